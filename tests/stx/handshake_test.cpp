#include "sealine/stx/handshake.hpp"

#include "sealine/base/writer.hpp"
#include "sealine/crypto/engine.hpp"
#include "stx/detail/keys.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace sealine::stx {
namespace {

using test::Bytes;

constexpr UnixMillis kUnixMs = 1'700'000'000'000;
constexpr TimePoint kNow{std::chrono::seconds(5)};

std::shared_ptr<const crypto::Psk> psk_of(std::uint8_t first) {
  const Bytes bytes = test::counting(32, first);
  return std::make_shared<const crypto::Psk>(ByteView(bytes).first<32>());
}

Bytes transmit(auto& end) {
  Bytes out(256);
  out.resize(end.poll_transmit(out));
  return out;
}

class Handshake : public ::testing::Test {
 protected:
  std::unique_ptr<crypto::Engine> engine_ =
      std::move(crypto::make_engine(crypto::EngineChoice::openssl).value());
  test::SeededRng rng_{1};
  NonceMemory nonces_;
  std::shared_ptr<ServerHandshakeConfig> config_ = std::make_shared<ServerHandshakeConfig>();

  Handshake() { config_->psks = {psk_of(1)}; }

  ClientHandshake client(std::uint8_t psk = 1, UnixMillis unix_ms = kUnixMs) {
    return ClientHandshake::create(psk_of(psk), {.lane = 3, .transfer = {1, 2, 3}}, *engine_, rng_,
                                   unix_ms)
        .value();
  }

  ServerHandshake server() {
    return ServerHandshake::create(config_, nonces_, *engine_, rng_, kUnixMs).value();
  }
};

/// A way to change what is on its way: message 0..4 is SH, CH||CA, SA, SKN, SKC.
using Meddle = std::function<void(int message, Bytes& bytes)>;

struct Outcome {
  std::optional<LaneOpening> client;
  std::optional<LaneOpening> server;
  std::optional<Error> client_error;
  std::optional<Error> server_error;
  std::size_t client_bytes_after_fault = 0;
  std::size_t server_bytes_after_fault = 0;
};

Outcome run(ClientHandshake client, ServerHandshake server, const Meddle& meddle = {}) {
  Outcome outcome;
  const auto feed_client = [&](const Bytes& bytes) {
    std::size_t used = 0;
    const auto progress = client.handle_bytes(bytes, used);
    if (!progress) {
      outcome.client_error = progress.error();
      outcome.client_bytes_after_fault = transmit(client).size();
    }
    return progress.has_value();
  };
  const auto feed_server = [&](const Bytes& bytes) {
    std::size_t used = 0;
    const auto progress = server.handle_bytes(bytes, kNow, used);
    if (!progress) {
      outcome.server_error = progress.error();
      outcome.server_bytes_after_fault = transmit(server).size();
    }
    return progress.has_value();
  };
  const auto on_the_way = [&](int message, Bytes bytes) {
    if (meddle) meddle(message, bytes);
    return bytes;
  };
  if (!feed_client(on_the_way(0, transmit(server)))) return outcome;
  if (!feed_server(on_the_way(1, transmit(client)))) return outcome;
  if (!feed_client(on_the_way(2, transmit(server)))) return outcome;
  if (!feed_server(on_the_way(3, transmit(client)))) return outcome;
  const Bytes confirmation = on_the_way(4, transmit(server));
  outcome.server = std::move(server).take();
  if (!feed_client(confirmation)) return outcome;
  outcome.client = std::move(client).take();
  return outcome;
}

TEST_F(Handshake, gives_both_ends_the_same_keys) {
  config_->parameters = {.max_block_log2 = 16, .accepts_zstd = false};
  const Outcome outcome = run(client(), server());
  ASSERT_TRUE(outcome.client && outcome.server);
  const LaneOpening& c = *outcome.client;
  const LaneOpening& s = *outcome.server;
  EXPECT_EQ(test::to_hex(c.send_key.expose()), test::to_hex(s.receive_key.expose()));
  EXPECT_EQ(test::to_hex(c.receive_key.expose()), test::to_hex(s.send_key.expose()));
  EXPECT_NE(test::to_hex(c.send_key.expose()), test::to_hex(c.receive_key.expose()));
  EXPECT_EQ(s.client.lane, 3);
  EXPECT_EQ(s.client.transfer, (TransferId{1, 2, 3}));
  EXPECT_EQ(c.server.max_block_log2, 16);
  EXPECT_FALSE(c.server.accepts_zstd);
}

TEST_F(Handshake, keys_are_new_each_time) {
  const Outcome one = run(client(), server());
  const Outcome two = run(client(), server());
  ASSERT_TRUE(one.client && two.client);
  EXPECT_NE(test::to_hex(one.client->send_key.expose()),
            test::to_hex(two.client->send_key.expose()));
}

// SPEC stx.md#psk: the hint picks one of several keys.
TEST_F(Handshake, hint_picks_the_key) {
  config_->psks = {psk_of(9), psk_of(5), psk_of(1), psk_of(7)};
  for (std::size_t i = 0; i < config_->psks.size(); ++i) {
    const std::uint8_t first = config_->psks[i]->expose()[0];
    const Outcome outcome = run(client(first), server());
    ASSERT_TRUE(outcome.client && outcome.server);
    EXPECT_EQ(outcome.server->psk_index, i);
  }
}

// SPEC stx.md#faults: an unknown hint is answered only after CA is read, as a bad CA.
TEST_F(Handshake, wrong_psk_is_a_bad_proof_and_no_sooner) {
  ClientHandshake stranger = client(2);
  ServerHandshake listener = server();
  std::size_t used = 0;
  ASSERT_TRUE(stranger.handle_bytes(transmit(listener), used));
  const Bytes flight = transmit(stranger);
  ASSERT_EQ(flight.size(), 88U);
  ASSERT_EQ(listener.handle_bytes(ByteView(flight).first(87), kNow, used),
            HandshakeProgress::need_bytes);
  EXPECT_EQ(used, 56U);
  const auto refused = listener.handle_bytes(ByteView(flight).subspan(56), kNow, used);
  ASSERT_FALSE(refused);

  // The same error as a known hint with a wrong CA has.
  const Outcome damaged = run(client(), server(), [](int message, Bytes& bytes) {
    if (message == 1) bytes.back() ^= 1;
  });
  ASSERT_TRUE(damaged.server_error);
  EXPECT_EQ(refused.error(), *damaged.server_error);
  EXPECT_EQ(refused.error().code, Errc::mac_mismatch);
  EXPECT_TRUE(transmit(listener).empty());
}

// T4: each bit of each byte of each message.
TEST_F(Handshake, survives_each_flipped_bit) {
  const std::array<std::size_t, 5> sizes{56, 88, 32, 68, 68};
  std::size_t runs = 0;
  for (int target = 0; target < 5; ++target) {
    for (std::size_t bit = 0; bit < sizes[static_cast<std::size_t>(target)] * 8; ++bit) {
      const Outcome outcome = run(client(), server(), [&](int message, Bytes& bytes) {
        ASSERT_EQ(bytes.size(), sizes[static_cast<std::size_t>(message)]);
        if (message == target) bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      });
      ++runs;
      ASSERT_FALSE(outcome.client && outcome.server) << target << " " << bit;
      ASSERT_FALSE(outcome.client) << target << " " << bit;
      ASSERT_TRUE(outcome.client_error || outcome.server_error);
      ASSERT_EQ(outcome.client_bytes_after_fault + outcome.server_bytes_after_fault, 0U);
      // Damage to what the client says never opens the server.
      ASSERT_TRUE(target == 4 || !outcome.server);
    }
  }
  EXPECT_EQ(runs, 312U * 8);
}

TEST_F(Handshake, a_fault_is_final) {
  ServerHandshake listener = server();
  ClientHandshake caller = client();
  Bytes hello = transmit(listener);
  std::size_t used = 0;
  Bytes bad = hello;
  bad[0] = 'T';
  EXPECT_FALSE(caller.handle_bytes(bad, used));
  const auto again = caller.handle_bytes(hello, used);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::wrong_state);
}

// SPEC stx.md#handshake: any other byte of ver, flags, suite is a fault; so are zeros that are not.
TEST_F(Handshake, constants_of_the_hellos) {
  struct Case {
    std::size_t at;
    Errc code;
  };

  for (const Case& one : {Case{0, Errc::bad_record_head}, Case{3, Errc::bad_record_head},
                          Case{4, Errc::version_refused}, Case{5, Errc::bad_record_head},
                          Case{6, Errc::mode_refused}, Case{7, Errc::bad_record_head}}) {
    const Outcome at_client = run(client(), server(), [&one](int message, Bytes& bytes) {
      if (message == 0) bytes[one.at] ^= 2;
    });
    EXPECT_EQ(at_client.client_error.value_or(Error{}).code, one.code) << one.at;
    const Outcome at_server = run(client(), server(), [&one](int message, Bytes& bytes) {
      if (message == 1) bytes[one.at] ^= 2;
    });
    EXPECT_EQ(at_server.server_error.value_or(Error{}).code, one.code) << one.at;
  }
  for (std::size_t at = 48; at < 56; ++at) {
    const Outcome outcome = run(client(), server(), [at](int message, Bytes& bytes) {
      if (message == 0) bytes[at] = 0x80;
    });
    EXPECT_EQ(outcome.client_error.value_or(Error{}).code, Errc::bad_record_head) << at;
  }
}

TEST_F(Handshake, length_of_the_negotiation_is_fixed) {
  for (const int target : {3, 4}) {
    for (std::size_t at = 0; at < 4; ++at) {
      const Outcome outcome = run(client(), server(), [&](int message, Bytes& bytes) {
        if (message == target) bytes[at] ^= 0x40;
      });
      const auto& error = target == 3 ? outcome.server_error : outcome.client_error;
      EXPECT_EQ(error.value_or(Error{}).code, Errc::bad_handshake_message) << target << at;
    }
  }
}

TEST_F(Handshake, takes_its_bytes_one_by_one) {
  ServerHandshake listener = server();
  ClientHandshake caller = client();
  Bytes to_client = transmit(listener);
  Bytes to_server;
  const auto deliver = [](Bytes& wire, auto&& handle) {
    Bytes held;
    for (const std::uint8_t byte : wire) {
      held.push_back(byte);
      std::size_t used = 0;
      const auto progress = handle(held, used);
      ASSERT_TRUE(progress);
      ASSERT_LE(used, held.size());
      held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(used));
    }
    EXPECT_TRUE(held.empty());
    wire.clear();
  };
  for (int flight = 0; flight < 3; ++flight) {
    deliver(to_client,
            [&](ByteView in, std::size_t& used) { return caller.handle_bytes(in, used); });
    to_server = transmit(caller);
    deliver(to_server,
            [&](ByteView in, std::size_t& used) { return listener.handle_bytes(in, kNow, used); });
    to_client = transmit(listener);
  }
  EXPECT_TRUE(to_client.empty());
  const LaneOpening at_client = std::move(caller).take();
  const LaneOpening at_server = std::move(listener).take();
  EXPECT_EQ(test::to_hex(at_client.send_key.expose()),
            test::to_hex(at_server.receive_key.expose()));
}

TEST_F(Handshake, leaves_frames_behind_it_alone) {
  ServerHandshake listener = server();
  ClientHandshake caller = client();
  std::size_t used = 0;
  ASSERT_TRUE(caller.handle_bytes(transmit(listener), used));
  ASSERT_TRUE(listener.handle_bytes(transmit(caller), kNow, used));
  ASSERT_TRUE(caller.handle_bytes(transmit(listener), used));
  ASSERT_TRUE(listener.handle_bytes(transmit(caller), kNow, used));
  Bytes wire = transmit(listener);
  wire.resize(wire.size() + 100, 0xEE);
  ASSERT_EQ(caller.handle_bytes(wire, used), HandshakeProgress::done);
  EXPECT_EQ(used, 68U);
}

// SPEC stx.md#faults: an end between CA and SA is refused authentication.
TEST_F(Handshake, awaits_proof_between_ca_and_sa) {
  ServerHandshake listener = server();
  ClientHandshake caller = client();
  EXPECT_FALSE(caller.awaits_proof());
  std::size_t used = 0;
  ASSERT_TRUE(caller.handle_bytes(transmit(listener), used));
  EXPECT_TRUE(caller.awaits_proof());
  ASSERT_TRUE(listener.handle_bytes(transmit(caller), kNow, used));
  ASSERT_TRUE(caller.handle_bytes(transmit(listener), used));
  EXPECT_FALSE(caller.awaits_proof());
}

// T10: what a side wrote does not pass as the other's answer.
TEST_F(Handshake, a_reflected_proof_is_refused) {
  Bytes proof;
  const Outcome outcome = run(client(), server(), [&proof](int message, Bytes& bytes) {
    if (message == 1) proof.assign(bytes.end() - 32, bytes.end());
    if (message == 2) bytes = proof;
  });
  EXPECT_EQ(outcome.client_error.value_or(Error{}).code, Errc::mac_mismatch);

  Bytes offer;
  const Outcome reflected = run(client(), server(), [&offer](int message, Bytes& bytes) {
    if (message == 3) offer = bytes;
    if (message == 4) bytes = offer;
  });
  EXPECT_EQ(reflected.client_error.value_or(Error{}).code, Errc::tag_mismatch);
}

// T8: a recorded client's flight is of no use, whatever the server's memory holds.
TEST_F(Handshake, a_replayed_flight_is_refused) {
  Bytes flight;
  ASSERT_TRUE(run(client(), server(), [&flight](int message, Bytes& bytes) {
                if (message == 1) flight = bytes;
              }).server);
  ServerHandshake listener = server();
  static_cast<void>(transmit(listener));
  std::size_t used = 0;
  const auto replayed = listener.handle_bytes(flight, kNow, used);
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().code, Errc::mac_mismatch);
}

TEST_F(Handshake, a_repeated_client_nonce_is_refused) {
  const auto with_nonce = [&](TimePoint now) {
    test::FixedRng fixed;
    fixed.push(Bytes(32, 0x77)).push(test::counting(32));
    auto caller = ClientHandshake::create(psk_of(1), {}, *engine_, fixed, kUnixMs).value();
    ServerHandshake listener = server();
    std::size_t used = 0;
    EXPECT_TRUE(caller.handle_bytes(transmit(listener), used));
    return listener.handle_bytes(transmit(caller), now, used);
  };
  EXPECT_EQ(with_nonce(kNow), HandshakeProgress::reply);
  const auto second = with_nonce(kNow + std::chrono::seconds(599));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::packet_not_authentic);
  EXPECT_EQ(with_nonce(kNow + std::chrono::seconds(600)), HandshakeProgress::reply);
}

TEST_F(Handshake, only_proved_nonces_are_remembered) {
  ASSERT_TRUE(run(client(2), server()).server_error);
  EXPECT_EQ(nonces_.size(), 0U);
  ASSERT_TRUE(run(client(1), server()).server);
  EXPECT_EQ(nonces_.size(), 1U);
}

// SPEC stx.md#faults: looked at only with --require-clock; +-300 s; 0 refused.
TEST_F(Handshake, clock_where_it_is_asked_for) {
  const auto verdict = [&](UnixMillis theirs) { return run(client(1, theirs), server()); };
  EXPECT_TRUE(verdict(0).client);
  EXPECT_TRUE(verdict(1).client);
  config_->require_clock = true;
  EXPECT_TRUE(verdict(kUnixMs).client);
  EXPECT_TRUE(verdict(kUnixMs + 300'000).client);
  EXPECT_TRUE(verdict(kUnixMs - 300'000).client);
  for (const UnixMillis bad :
       {UnixMillis{0}, kUnixMs + 300'001, kUnixMs - 300'001, ~UnixMillis{0}}) {
    const Outcome outcome = verdict(bad);
    EXPECT_EQ(outcome.server_error.value_or(Error{}).code, Errc::packet_not_authentic) << bad;
    EXPECT_EQ(outcome.server_bytes_after_fault, 0U);
  }
}

TEST_F(Handshake, refuses_a_configuration_without_key) {
  EXPECT_FALSE(ClientHandshake::create(nullptr, {}, *engine_, rng_, 0));
  EXPECT_FALSE(ClientHandshake::create(psk_of(1), {.lane = 16, .transfer = {}}, *engine_, rng_, 0));
  config_->psks.clear();
  EXPECT_FALSE(ServerHandshake::create(config_, nonces_, *engine_, rng_, 0));
  config_->psks = {psk_of(1)};
  config_->parameters.max_block_log2 = 13;
  EXPECT_FALSE(ServerHandshake::create(config_, nonces_, *engine_, rng_, 0));
}

// --- an end that holds the key and does as it likes

/// SKN or SKC with any content, under the right key.
Bytes seal_offer(crypto::Engine& engine, const detail::HandshakeKey& key, ByteView aad,
                 ByteView ephemeral, ByteView parameters) {
  Bytes message(68);
  Writer(message).be(std::uint32_t{64}).bytes(ephemeral).bytes(parameters);
  engine.gcm_seal(key.expose(), ByteArray<12>{}, aad, {}, MutableBytes(message).subspan(4));
  return message;
}

class RogueHandshake : public Handshake {
 protected:
  detail::Root root_ = detail::root_of(*engine_, *psk_of(1));

  /// Replaces SKN on its way by one of this content; what the server says to it.
  std::optional<Error> server_takes(ByteView ephemeral, ByteView parameters) {
    Bytes hello;
    Bytes flight;
    Bytes proof;
    return run(client(), server(),
               [&](int message, Bytes& bytes) {
                 if (message == 0) hello = bytes;
                 if (message == 1) flight = bytes;
                 if (message == 2) proof = bytes;
                 if (message != 3) return;
                 const auto th3 = this->th3(hello, flight, proof);
                 bytes = seal_offer(*engine_, detail::client_handshake_key(*engine_, root_, th3),
                                    th3, ephemeral, parameters);
               })
        .server_error;
  }

  /// The same with SKC and the client.
  std::optional<Error> client_takes(ByteView ephemeral, ByteView parameters) {
    Bytes hello;
    Bytes flight;
    Bytes proof;
    Bytes offer;
    return run(client(), server(),
               [&](int message, Bytes& bytes) {
                 if (message == 0) hello = bytes;
                 if (message == 1) flight = bytes;
                 if (message == 2) proof = bytes;
                 if (message == 3) offer = bytes;
                 if (message != 4) return;
                 const auto th3 = this->th3(hello, flight, proof);
                 const auto th4 = detail::transcript(*engine_, {th3, offer});
                 bytes = seal_offer(*engine_, detail::server_handshake_key(*engine_, root_, th3),
                                    th4, ephemeral, parameters);
               })
        .client_error;
  }

  [[nodiscard]] Bytes good_key() {
    return test::copy_of(crypto::KeyPair::generate(*engine_, rng_).public_key.bytes);
  }

 private:
  [[nodiscard]] detail::Transcript th3(const Bytes& hello, const Bytes& flight,
                                       const Bytes& proof) {
    const auto th1 = detail::transcript(*engine_, {hello, ByteView(flight).first(56)});
    const auto th2 = detail::transcript(*engine_, {th1, ByteView(flight).subspan(56)});
    return detail::transcript(*engine_, {th2, proof});
  }
};

// SPEC stx.md#handshake: DH with an all-zero result is rejected.
TEST_F(RogueHandshake, low_order_points_are_refused) {
  Bytes client_parameters(16);
  Bytes server_parameters(16);
  server_parameters[0] = 20;
  ASSERT_FALSE(server_takes(good_key(), client_parameters));
  for (const char* point : {
           "0000000000000000000000000000000000000000000000000000000000000000",
           "0100000000000000000000000000000000000000000000000000000000000000",
           "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
           "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
       }) {
    for (const bool high_bit : {false, true}) {
      Bytes bytes = test::from_hex(point);
      if (high_bit) bytes[31] |= 0x80U;
      const auto at_server = server_takes(bytes, client_parameters);
      EXPECT_EQ(at_server.value_or(Error{}).code, Errc::dh_all_zero) << point;
      const auto at_client = client_takes(bytes, server_parameters);
      EXPECT_EQ(at_client.value_or(Error{}).code, Errc::dh_all_zero) << point;
    }
  }
}

TEST_F(RogueHandshake, client_parameters) {
  const auto refused = [this](std::size_t at, std::uint8_t value) {
    Bytes parameters(16);
    parameters[at] = value;
    const auto error = server_takes(good_key(), parameters);
    EXPECT_EQ(error.value_or(Error{Errc::bad_settings}).code, Errc::bad_settings);
    return error.has_value();
  };
  EXPECT_TRUE(refused(0, 1));  // role
  EXPECT_FALSE(refused(1, 15));
  EXPECT_TRUE(refused(1, 16));  // lane
  EXPECT_TRUE(refused(2, 1));
  EXPECT_TRUE(refused(3, 0x80));
  EXPECT_FALSE(refused(4, 0xFF));  // transfer: any bytes
  EXPECT_FALSE(refused(15, 0xFF));
}

TEST_F(RogueHandshake, server_parameters) {
  for (unsigned log2 = 0; log2 < 32; ++log2) {
    Bytes parameters(16);
    parameters[0] = static_cast<std::uint8_t>(log2);
    const auto error = client_takes(good_key(), parameters);
    // Another e_s than the server's is a rogue server's own: the client takes it.
    EXPECT_EQ(!error.has_value(), log2 >= 14 && log2 <= 20) << log2;
  }
  for (std::size_t at = 1; at < 16; ++at) {
    Bytes parameters(16);
    parameters[0] = 20;
    parameters[at] = 2;
    EXPECT_EQ(client_takes(good_key(), parameters).value_or(Error{}).code, Errc::bad_settings)
        << at;
  }
}

// An unknown hint is refused even where CA would verify under a key that is there.
TEST_F(RogueHandshake, a_right_proof_under_an_unknown_hint) {
  Bytes hello;
  const Outcome outcome = run(client(), server(), [&](int message, Bytes& bytes) {
    if (message == 0) hello = bytes;
    if (message != 1) return;
    bytes[48] ^= 1;
    const auto th1 = detail::transcript(*engine_, {hello, ByteView(bytes).first(56)});
    std::ranges::copy(detail::client_proof(*engine_, root_, th1), bytes.begin() + 56);
  });
  EXPECT_EQ(outcome.server_error.value_or(Error{}).code, Errc::mac_mismatch);
}

// --- the memory of nonces

TEST(NonceMemory, forgets_after_its_time) {
  NonceMemory memory;
  const TimePoint start{};
  EXPECT_TRUE(memory.insert({1}, start));
  EXPECT_FALSE(memory.insert({1}, start));
  EXPECT_TRUE(memory.insert({2}, start + std::chrono::seconds(300)));
  EXPECT_FALSE(memory.insert({1}, start + std::chrono::seconds(599)));
  EXPECT_EQ(memory.size(), 2U);
  EXPECT_TRUE(memory.insert({1}, start + std::chrono::seconds(600)));
  EXPECT_FALSE(memory.insert({2}, start + std::chrono::seconds(600)));
}

TEST(NonceMemory, holds_so_many_and_forgets_the_oldest) {
  NonceMemory memory;
  const auto nonce = [](std::uint32_t i) {
    ByteArray<32> bytes{};
    Writer(bytes).be(i);
    return bytes;
  };
  for (std::uint32_t i = 0; i < kMaxRememberedNonces; ++i) {
    ASSERT_TRUE(memory.insert(nonce(i), kNow));
  }
  EXPECT_FALSE(memory.insert(nonce(0), kNow));
  EXPECT_TRUE(memory.insert(nonce(0x80000000), kNow));
  EXPECT_EQ(memory.size(), kMaxRememberedNonces);
  EXPECT_FALSE(memory.insert(nonce(1), kNow));
  EXPECT_TRUE(memory.insert(nonce(0), kNow));
}

TEST(PeerId, of_a_key_and_of_a_psk_differ) {
  const auto engine = std::move(crypto::make_engine(crypto::EngineChoice::openssl).value());
  const auto psk = psk_of(1);
  crypto::PublicKey key;
  std::ranges::copy(psk->expose(), key.bytes.begin());
  EXPECT_NE(peer_id_of(*engine, *psk), peer_id_of(*engine, key));
  ByteArray<32> hash{};
  engine->sha256({as_bytes("stx1 id"), key.bytes}, hash);
  EXPECT_TRUE(std::ranges::equal(peer_id_of(*engine, key), ByteView(hash).first(16)));
}

}  // namespace
}  // namespace sealine::stx
