#include "sealine/stcp/connection.hpp"
#include "stcp/detail/handshake_record.hpp"
#include "support/stcp_pair.hpp"
#include "support/stcp_rogue.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>

// Every fault point F1..F15, provoked by a peer that may own good keys, and what follows: nothing
// on the wire, no bytes to the application, all keys gone.

namespace sealine::stcp {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Bytes;
using test::StcpEnd;
using test::StcpPair;
using test::StcpRogue;
using test::Verdict;

constexpr std::array kModes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};
constexpr std::uint8_t kData = 0;
constexpr std::uint8_t kClose = 1;
constexpr std::uint8_t kRekey = 2;
constexpr std::uint8_t kPing = 3;
constexpr std::uint8_t kFinish = 5;
constexpr std::uint8_t kPinUpdate = 6;

/// After a fault: its code and number, no byte, no state but ERROR, and no use of the keys.
void expect_silent(StcpPair& pair, StcpEnd& end, Errc code, int fault_point) {
  ASSERT_TRUE(end.machine->fault()) << "no fault";
  EXPECT_EQ(end.machine->fault()->code, code) << to_string(end.machine->fault()->code);
  EXPECT_EQ(describe(code).fault_point, fault_point);
  if (describe(code).fault == Fault::authentication) {
    EXPECT_EQ(end.machine->fault()->detail, 0U);
  }
  EXPECT_EQ(end.state(), State::error);
  EXPECT_FALSE(end.machine->has_transmit());
  Bytes out(4096);
  EXPECT_EQ(end.machine->poll_transmit(out, pair.now), 0U);
  EXPECT_FALSE(end.machine->poll_timeout());
  const auto sealed = end.machine->seal(out, out, pair.now);
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().code, code);
  Bytes in(100);
  const auto opened = end.machine->handle_bytes(in, out, pair.now);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, code);
  Bytes key(32);
  EXPECT_FALSE(end.machine->export_key("anything", {}, key));
  end.machine->close(pair.now);
  end.machine->abort(1, pair.now);
  end.machine->ping(pair.now);
  end.machine->request_rekey(pair.now);
  end.machine->run_ahead();
  end.machine->accept_peer_key(pair.now);
  end.machine->handle_timeout(pair.now + hours(10));
  EXPECT_EQ(end.machine->poll_transmit(out, pair.now), 0U);
  EXPECT_FALSE(end.machine->can_send());
  EXPECT_FALSE(end.machine->can_receive());
  EXPECT_FALSE(end.machine->poll_event());
  end.machine->handle_end_of_stream(pair.now);
  EXPECT_EQ(end.state(), State::closed);
  EXPECT_EQ(end.fault(), code);
}

/// A machine of one role in ENCRYPTED, and a rogue with its keys.
struct Behind {
  explicit Behind(Mode mode, bool machine_is_server, StcpPair::Options options = {})
      : pair([&] {
          options.mode = mode;
          return options;
        }()) {
    if (machine_is_server) {
      rogue = std::make_unique<StcpRogue>(pair.client_config, *pair.engine, pair.rng);
      end = &pair.server;
    } else {
      rogue = std::make_unique<StcpRogue>(pair.server_config, *pair.engine, pair.rng);
      end = &pair.client;
    }
  }

  bool start() { return rogue->shake_hands(*end->machine, pair.now) && end->is_encrypted(); }

  void give(const Bytes& wire) { pair.deliver(*end, wire); }

  StcpPair pair;
  std::unique_ptr<StcpRogue> rogue;
  StcpEnd* end;
};

// --- the handshake

// SPEC stcp.md#faults
TEST(StcpFaults, F1_head_of_step_1) {
  for (const auto& [at, value] : {std::pair{8, 'X'}, {11, 'Q'}, {12, 2}, {13, 2}, {13, 0}}) {
    StcpPair pair(Mode::tofu);
    Bytes hello = pair.take_output(pair.client);
    hello[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(value);
    pair.deliver(pair.server, hello);
    expect_silent(pair, pair.server, Errc::bad_record_head, 1);
  }
}

// SPEC stcp.md#faults
TEST(StcpFaults, F1_length_of_step_1_before_any_of_its_body) {
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{65}, std::uint64_t{67}, std::uint64_t{1} << 32U,
        std::uint64_t{1} << 63U, ~std::uint64_t{0}}) {
    StcpPair pair(Mode::tofu);
    Bytes hello = pair.take_output(pair.client);
    detail::store_be64(length, hello.data());
    hello.resize(24);
    pair.deliver(pair.server, hello);
    expect_silent(pair, pair.server, Errc::bad_length, 1);
  }
}

// SPEC stcp.md#handshake
TEST(StcpFaults, F1_settings_of_step_1_in_clear) {
  for (const auto& [log2, flags] : {std::pair{11, 0}, {25, 0}, {16, 1}, {0, 0}, {255, 255}}) {
    StcpPair pair(Mode::tofu);
    Bytes hello = pair.take_output(pair.client);
    hello[24 + 32] = static_cast<std::uint8_t>(log2);
    hello[24 + 33] = static_cast<std::uint8_t>(flags);
    pair.deliver(pair.server, hello);
    expect_silent(pair, pair.server, Errc::bad_settings, 1);
  }
}

// SPEC stcp.md#handshake
TEST(StcpFaults, F1_head_of_step_2_and_3) {
  for (std::size_t at = 0; at < 24; ++at) {
    StcpPair pair(Mode::mutual);
    pair.server_to_client = [&](Bytes& wire) {
      if (wire.size() > 100) wire[at] = static_cast<std::uint8_t>(wire[at] ^ 0x10U);
    };
    pair.run();
    expect_silent(pair, pair.client, Errc::bad_record_head, 1);
    EXPECT_EQ(pair.server.state(), State::key_exchange);

    StcpPair third(Mode::mutual);
    third.client_to_server = [&](Bytes& wire) {
      if (wire.size() > 100) wire[at] = static_cast<std::uint8_t>(wire[at] ^ 0x10U);
    };
    third.run();
    expect_silent(third, third.server, Errc::bad_record_head, 1);
  }
}

// SPEC stcp.md#modes
TEST(StcpFaults, F2_mode_or_suite_not_allowed) {
  for (const Mode offered : kModes) {
    StcpPair pair(offered);
    pair.server_config.identity =
        std::make_shared<crypto::KeyPair>(crypto::KeyPair::generate(*pair.engine, pair.rng));
    for (const Mode allowed : kModes) {
      if (allowed == offered) continue;
      pair.server_config.modes = {allowed};
      pair.restart();
      pair.run();
      expect_silent(pair, pair.server, Errc::mode_refused, 2);
      EXPECT_TRUE(pair.server.sent_wire.empty());
    }
  }
  for (const int mode : {2, 3, 6, 7, 8, 9, 10, 255}) {
    StcpPair pair(Mode::tofu);
    Bytes hello = pair.take_output(pair.client);
    hello[14] = static_cast<std::uint8_t>(mode);
    pair.deliver(pair.server, hello);
    expect_silent(pair, pair.server, Errc::mode_refused, 2);
  }
  StcpPair pair(Mode::tofu);
  Bytes hello = pair.take_output(pair.client);
  hello[15] = 2;  // the hybrid suite
  pair.deliver(pair.server, hello);
  expect_silent(pair, pair.server, Errc::mode_refused, 2);
}

/// The seven points of small order and their twins with the high bit, which X25519 ignores.
std::vector<Bytes> small_order_points() {
  std::vector<Bytes> points;
  for (const char* hex : {"0000000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000000",
                          "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                          "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                          "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    points.push_back(test::from_hex(hex));
    points.push_back(points.back());
    points.back()[31] = static_cast<std::uint8_t>(points.back()[31] | 0x80U);
  }
  return points;
}

// SPEC stcp.md#faults
TEST(StcpFaults, F3_small_order_ephemeral_of_the_client) {
  for (const Bytes& point : small_order_points()) {
    for (const Mode mode : {Mode::anonymous, Mode::tofu, Mode::mutual}) {
      StcpPair pair(mode);
      Bytes hello = pair.take_output(pair.client);
      std::ranges::copy(point, hello.begin() + 24);
      pair.deliver(pair.server, hello);
      expect_silent(pair, pair.server, Errc::dh_all_zero, 3);
      EXPECT_TRUE(pair.server.sent_wire.empty());
    }
  }
}

// SPEC stcp.md#faults
TEST(StcpFaults, F3_small_order_ephemeral_of_the_server) {
  for (const Bytes& point : small_order_points()) {
    for (const Mode mode : kModes) {
      StcpPair pair(mode);
      pair.server_to_client = [&](Bytes& wire) { std::ranges::copy(point, wire.begin() + 24); };
      pair.run();
      expect_silent(pair, pair.client, Errc::dh_all_zero, 3);
    }
  }
}

// SPEC stcp.md#faults
TEST(StcpFaults, F3_small_order_static_keys) {
  for (const Bytes& point : small_order_points()) {
    // A server that seals such a point as its static key; es is then zero at the client.
    for (const Mode mode : {Mode::tofu, Mode::mutual}) {
      Behind b(mode, false);
      auto bad =
          std::make_shared<crypto::KeyPair>(crypto::KeyPair::generate(*b.pair.engine, b.pair.rng));
      std::ranges::copy(point, bad->public_key.bytes.begin());
      b.pair.server_config.identity = bad;
      EXPECT_FALSE(b.start());
      expect_silent(b.pair, *b.end, Errc::dh_all_zero, 3);
    }
    // A client of mode 4 likewise; se is zero at the server.
    Behind b(Mode::mutual, true);
    auto bad =
        std::make_shared<crypto::KeyPair>(crypto::KeyPair::generate(*b.pair.engine, b.pair.rng));
    std::ranges::copy(point, bad->public_key.bytes.begin());
    b.pair.client_config.identity = bad;
    EXPECT_FALSE(b.start());
    expect_silent(b.pair, *b.end, Errc::dh_all_zero, 3);
  }
}

// SPEC stcp.md#faults
TEST(StcpFaults, F4_step_1_with_another_psk_and_the_right_hint) {
  StcpPair pair(Mode::psk);
  // A hint key of one secret beside another one: the hint matches, the tag cannot.
  pair.server_config.psks[0].psk = crypto::Psk(FixedView<32>(ByteArray<32>{9}));
  pair.restart();
  pair.run();
  expect_silent(pair, pair.server, Errc::hello_not_authentic, 4);
  EXPECT_TRUE(pair.server.sent_wire.empty());
}

// SPEC stcp.md#handshake
TEST(StcpFaults, F5_unknown_hint) {
  StcpPair pair(Mode::psk);
  Bytes hello = pair.take_output(pair.client);
  hello[20] = static_cast<std::uint8_t>(hello[20] ^ 1U);
  pair.deliver(pair.server, hello);
  expect_silent(pair, pair.server, Errc::unknown_hint, 5);

  StcpPair stranger(Mode::psk);
  stranger.server_config.psks.clear();
  stranger.restart();
  stranger.run();
  expect_silent(stranger, stranger.server, Errc::unknown_hint, 5);
  EXPECT_TRUE(stranger.server.sent_wire.empty());
}

// SPEC stcp.md#handshake
TEST(StcpFaults, F5_comes_before_any_diffie_hellman) {
  StcpPair pair(Mode::psk);
  Bytes hello = pair.take_output(pair.client);
  std::fill_n(hello.begin() + 24, 32, std::uint8_t{0});  // a point of small order with a wrong hint
  pair.deliver(pair.server, hello);
  expect_silent(pair, pair.server, Errc::unknown_hint, 5);
}

// SPEC stcp.md#handshake
TEST(StcpFaults, F5_hint_where_there_is_none) {
  for (const Mode mode : {Mode::anonymous, Mode::tofu, Mode::mutual}) {
    StcpPair pair(mode);
    Bytes hello = pair.take_output(pair.client);
    hello[23] = 1;
    pair.deliver(pair.server, hello);
    expect_silent(pair, pair.server, Errc::unknown_hint, 5);
  }
}

// SPEC stcp.md#faults
TEST(StcpFaults, F6_step_2_does_not_verify) {
  for (const Mode mode : kModes) {
    StcpPair pair(mode);
    pair.server_to_client = [](Bytes& wire) {
      wire.back() = static_cast<std::uint8_t>(wire.back() ^ 1U);
    };
    pair.run();
    expect_silent(pair, pair.client, Errc::answer_not_authentic, 6);
  }
}

// SPEC stcp.md#handshake
TEST(StcpFaults, F6_any_edit_of_step_1_shows_in_step_2) {
  // In the modes whose step 1 is in clear: settings and commitment are under h.
  for (const Mode mode : {Mode::anonymous, Mode::tofu, Mode::mutual}) {
    StcpPair pair(mode);
    pair.client_to_server = [](Bytes& wire) {
      if (wire.size() == 90) wire[24 + 40] = static_cast<std::uint8_t>(wire[24 + 40] ^ 1U);
    };
    pair.run();
    expect_silent(pair, pair.client, Errc::answer_not_authentic, 6);
    EXPECT_EQ(pair.server.state(), State::key_exchange);
  }
  // Mode byte: NN for NX, which a server of both modes takes.
  StcpPair pair(Mode::tofu);
  pair.server_config.modes = {Mode::anonymous, Mode::tofu};
  pair.restart();
  pair.client_to_server = [](Bytes& wire) { wire[14] = 0; };
  pair.run();
  EXPECT_EQ(pair.client.fault(), Errc::bad_record_head);  // step 2 of another mode
}

// SPEC stcp.md#sas
TEST(StcpFaults, F7_key_not_accepted_leaves_nothing_on_the_wire) {
  for (const Mode mode : {Mode::tofu, Mode::mutual}) {
    for (const Errc why : {Errc::peer_key_changed, Errc::peer_key_refused}) {
      StcpPair pair(mode);
      pair.client.verdict = Verdict::wait;
      pair.run();
      const std::size_t before = pair.client.sent_wire.size();
      ASSERT_TRUE(pair.client.find<PeerKeyShown>());
      EXPECT_EQ(pair.client.find<PeerKeyShown>()->key, pair.server_config.identity->public_key);
      pair.client.machine->refuse_peer_key(why);
      pair.run();
      EXPECT_EQ(pair.client.sent_wire.size(), before);
      expect_silent(pair, pair.client, why, 7);
      EXPECT_EQ(pair.server.state(), State::key_exchange);
    }
  }
  StcpPair pair(Mode::mutual);
  pair.server.verdict = Verdict::refuse;
  pair.run();
  EXPECT_EQ(pair.server.sent_wire.size(), 24U + 130U);  // step 2 and nothing more
  EXPECT_TRUE(pair.client.is_encrypted());
  EXPECT_EQ(pair.server.find<PeerKeyShown>()->key, pair.client_config.identity->public_key);
  expect_silent(pair, pair.server, Errc::peer_key_refused, 7);
  // The client meets that as a truncation before any record.
  pair.client.machine->handle_end_of_stream(pair.now);
  EXPECT_EQ(pair.client.fault(), Errc::truncated);
}

// SPEC stcp.md#finish
TEST(StcpFaults, F8_everything_about_finish_but_its_length) {
  for (const Mode mode : kModes) {
    const std::size_t size = mode == Mode::psk ? 0 : 32;
    const auto provoke = [&](auto make, Errc code, int point) {
      Behind b(mode, true);
      ASSERT_TRUE(b.rogue->shake_hands(*b.end->machine, b.pair.now, false));
      b.give(make(*b.rogue));
      expect_silent(b.pair, *b.end, code, point);
    };
    const Bytes wrong(size, 7);
    const auto right = [](StcpRogue& r) {
      return ByteView(r.agreement.nonce_a).first(r.agreement.mode == Mode::psk ? 0 : 32);
    };
    // Length: the one thing that is F1.
    provoke([&](StcpRogue& r) { return r.seal(kFinish, Bytes(size + 1)); }, Errc::bad_length, 1);
    provoke([&](StcpRogue& r) { return r.seal(kFinish, right(r), 1); }, Errc::bad_length, 1);
    provoke([&](StcpRogue& r) { return r.seal(kData, test::Bytes(100)); }, Errc::bad_length, 1);
    // IV, tag, type, pad, commitment.
    provoke(
        [&](StcpRogue& r) {
          auto w = r.finish();
          w[8] ^= 1U;
          return w;
        },
        Errc::finish_not_authentic, 8);
    provoke(
        [&](StcpRogue& r) {
          auto w = r.finish();
          w.back() ^= 1U;
          return w;
        },
        Errc::finish_not_authentic, 8);
    provoke(
        [&](StcpRogue& r) {
          auto w = r.finish();
          w[24] ^= 1U;
          return w;
        },
        Errc::finish_not_authentic, 8);
    for (const int type : {0, 1, 2, 3, 4, 6, 7, 255}) {
      provoke([&](StcpRogue& r) { return r.seal(static_cast<std::uint8_t>(type), right(r)); },
              Errc::finish_not_authentic, 8);
    }
    if (size != 0) {
      provoke([&](StcpRogue& r) { return r.seal(kFinish, wrong); }, Errc::finish_not_authentic, 8);
      provoke([&](StcpRogue& r) { return r.seal(kFinish, right(r).first(31), 1); },
              Errc::finish_not_authentic, 8);
      provoke([&](StcpRogue& r) { return r.seal(kFinish, {}, 32); }, Errc::finish_not_authentic, 8);
    }
    provoke([&](StcpRogue& r) { return r.seal_with_trailer(kFinish, right(r), 0xFFFFFF); },
            Errc::finish_not_authentic, 8);
  }
}

// SPEC stcp.md#faults
TEST(StcpFaults, F8_tag_of_step_3) {
  for (const std::size_t at : {std::size_t{24}, std::size_t{24 + 40}, std::size_t{24 + 63}}) {
    StcpPair pair(Mode::mutual);
    pair.client_to_server = [&](Bytes& wire) {
      if (wire.size() > 100) wire[at] = static_cast<std::uint8_t>(wire[at] ^ 1U);
    };
    pair.run();
    expect_silent(pair, pair.server, Errc::finish_not_authentic, 8);
  }
}

// SPEC stcp.md#limits
TEST(StcpFaults, F9_handshake_deadline_in_every_stage) {
  for (const Mode mode : kModes) {
    StcpPair nobody(mode);
    const TimePoint start = nobody.now;
    EXPECT_EQ(nobody.client.machine->poll_timeout(), start + seconds(10));
    EXPECT_EQ(nobody.server.machine->poll_timeout(), start + seconds(10));
    nobody.client.machine->handle_timeout(start + seconds(10) - milliseconds(1));
    EXPECT_EQ(nobody.client.state(), State::key_exchange);
    nobody.now = start + seconds(10);
    for (StcpEnd* end : {&nobody.client, &nobody.server}) {
      end->machine->handle_timeout(nobody.now);
      expect_silent(nobody, *end, Errc::handshake_timeout, 9);
    }
  }
  // Progress does not lengthen it: a byte each second.
  StcpPair slow(Mode::tofu);
  const Bytes hello = slow.take_output(slow.client);
  for (int i = 0; i < 10; ++i) {
    slow.deliver(slow.server, ByteView(hello).subspan(static_cast<std::size_t>(i), 1));
    slow.now += seconds(1);
    slow.server.machine->handle_timeout(slow.now);
  }
  expect_silent(slow, slow.server, Errc::handshake_timeout, 9);
  // Nor does a verdict that is thought over.
  StcpPair thinking(Mode::mutual);
  thinking.client.verdict = Verdict::wait;
  thinking.run();
  thinking.now += seconds(10);
  thinking.client.machine->handle_timeout(thinking.now);
  expect_silent(thinking, thinking.client, Errc::handshake_timeout, 9);
}

// SPEC stcp.md#state-machine
TEST(StcpFaults, end_of_stream_in_the_handshake_is_truncation) {
  for (const Mode mode : kModes) {
    StcpPair pair(mode);
    pair.client.machine->handle_end_of_stream(pair.now);
    expect_silent(pair, pair.client, Errc::truncated, 0);
    pair.server.machine->handle_end_of_stream(pair.now);
    expect_silent(pair, pair.server, Errc::truncated, 0);
  }
}

// --- records

class StcpRecordFaults : public testing::TestWithParam<bool> {
 protected:
  static bool machine_is_server() { return GetParam(); }

  /// Gives one run of wire bytes to a fresh machine, and expects this.
  template <class Make>
  void provoke(Make make, Errc code, int point, Mode mode = Mode::tofu) {
    Behind b(mode, machine_is_server());
    ASSERT_TRUE(b.start());
    const Bytes wire = make(*b.rogue);
    b.give(wire);
    EXPECT_TRUE(b.end->received.empty());
    expect_silent(b.pair, *b.end, code, point);
  }

  template <class Make>
  void allow(Make make, Mode mode = Mode::tofu) {
    Behind b(mode, machine_is_server());
    ASSERT_TRUE(b.start());
    b.give(make(*b.rogue));
    EXPECT_FALSE(b.end->machine->fault()) << to_string(b.end->machine->fault()->code);
  }
};

// SPEC stcp.md#record
TEST_P(StcpRecordFaults, F1_length_out_of_bounds) {
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{19}, std::uint64_t{65536 + 21},
        std::uint64_t{1} << 32U, std::uint64_t{1} << 63U, ~std::uint64_t{0}}) {
    provoke(
        [&](StcpRogue& r) {
          Bytes wire = r.seal(kData, Bytes(1));
          detail::store_be64(length, wire.data());
          wire.resize(24);  // the head is enough
          return wire;
        },
        Errc::bad_length, 1);
  }
  allow([](StcpRogue& r) { return r.seal(kData); });                // 20
  allow([](StcpRogue& r) { return r.seal(kData, Bytes(65536)); });  // M + 20
  allow([](StcpRogue& r) { return r.seal(kData, Bytes(6), 65530); });
}

// SPEC stcp.md#record
TEST_P(StcpRecordFaults, F11_comes_before_the_tag_and_without_the_body) {
  provoke(
      [](StcpRogue& r) {
        Bytes w = r.seal(kData, Bytes(9));
        w[8] ^= 1U;
        w.back() ^= 1U;
        return w;
      },
      Errc::record_out_of_place, 11);
  provoke(
      [](StcpRogue& r) {
        Bytes w = r.seal(kData, Bytes(9));
        w[23] ^= 0x80U;
        w.resize(24);
        return w;
      },
      Errc::record_out_of_place, 11);
  // F1 comes before F11.
  provoke(
      [](StcpRogue& r) {
        Bytes w = r.seal(kData, Bytes(9));
        w[8] ^= 1U;
        w[0] = 1;
        return w;
      },
      Errc::bad_length, 1);
}

// SPEC stcp.md#record
TEST_P(StcpRecordFaults, F12_tag_and_length_are_authenticated) {
  provoke(
      [](StcpRogue& r) {
        Bytes w = r.seal(kData, Bytes(9));
        w.back() ^= 1U;
        return w;
      },
      Errc::record_not_authentic, 12);
  provoke(
      [](StcpRogue& r) {
        Bytes w = r.seal(kData, Bytes(9));
        w[24] ^= 1U;
        return w;
      },
      Errc::record_not_authentic, 12);
  // Length is in the AAD: one that is true of the bytes but not of the seal.
  provoke(
      [](StcpRogue& r) {
        Bytes w = r.seal(kData, Bytes(9), 0, 1);
        w.push_back(0);
        return w;
      },
      Errc::record_not_authentic, 12);
  provoke(
      [](StcpRogue& r) {
        Bytes w = r.seal(kData, Bytes(9));
        w[7] = static_cast<std::uint8_t>(w[7] - 1U);
        return w;
      },
      Errc::record_not_authentic, 12);
}

// SPEC stcp.md#record
TEST_P(StcpRecordFaults, F13_trailer) {
  for (const int type : {4, 7, 8, 0x80, 255}) {
    provoke([&](StcpRogue& r) { return r.seal(static_cast<std::uint8_t>(type)); },
            Errc::bad_trailer, 13);
  }
  for (const std::uint32_t pad : {1U, 0x10000U, 0xFFFFFFU}) {
    provoke([&](StcpRogue& r) { return r.seal_with_trailer(kData, {}, pad); }, Errc::bad_trailer,
            13);
  }
  provoke([](StcpRogue& r) { return r.seal_with_trailer(kData, Bytes(10), 11); }, Errc::bad_trailer,
          13);
  for (const std::size_t size : {std::size_t{0}, std::size_t{2}, std::size_t{100}}) {
    provoke([&](StcpRogue& r) { return r.seal(kClose, Bytes(size)); }, Errc::bad_trailer, 13);
  }
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{31}, std::size_t{33}, std::size_t{64}}) {
    provoke([&](StcpRogue& r) { return r.seal(kRekey, Bytes(size)); }, Errc::bad_trailer, 13);
    provoke([&](StcpRogue& r) { return r.seal(kPinUpdate, Bytes(size)); }, Errc::bad_trailer, 13);
  }
  provoke([](StcpRogue& r) { return r.seal(kPing, Bytes(1)); }, Errc::bad_trailer, 13);
  // F13 comes before F14: a PIN_UPDATE of a wrong size in the wrong direction or mode.
  provoke([](StcpRogue& r) { return r.seal(kPinUpdate, Bytes(5)); }, Errc::bad_trailer, 13,
          Mode::anonymous);
}

// SPEC stcp.md#record
TEST_P(StcpRecordFaults, pad_bytes_are_not_looked_at) {
  Behind b(Mode::tofu, machine_is_server());
  ASSERT_TRUE(b.start());
  b.give(b.rogue->seal_with_trailer(kData, Bytes(50, 0xEE), 45));
  EXPECT_EQ(b.end->received, Bytes(5, 0xEE));
  EXPECT_FALSE(b.end->fault());
}

// SPEC stcp.md#finish
TEST_P(StcpRecordFaults, F14_finish_is_the_first_record_and_no_other) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{32}, std::size_t{500}}) {
    provoke([&](StcpRogue& r) { return r.seal(kFinish, Bytes(size)); }, Errc::wrong_state, 14);
  }
}

// SPEC stcp.md#rekey
TEST_P(StcpRecordFaults, F14_rekey_out_of_its_place) {
  if (machine_is_server()) {
    provoke([](StcpRogue& r) { return r.seal(kRekey); }, Errc::wrong_state, 14);  // R3 unasked
    Behind b(Mode::tofu, true);
    ASSERT_TRUE(b.start());
    const auto share = crypto::KeyPair::generate(*b.pair.engine, b.pair.rng).public_key;
    b.give(b.rogue->seal(kRekey, share.bytes));
    EXPECT_FALSE(b.end->fault());
    b.give(b.rogue->seal(kRekey, share.bytes));  // R1 before the R3 of the last one
    expect_silent(b.pair, *b.end, Errc::wrong_state, 14);
  } else {
    provoke([](StcpRogue& r) { return r.seal(kRekey, Bytes(32, 9)); }, Errc::wrong_state,
            14);                                         // R2 unasked
    allow([](StcpRogue& r) { return r.seal(kRekey); });  // R0 is never out of place
  }
}

// SPEC stcp.md#rekey
TEST_P(StcpRecordFaults, F3_share_of_a_rekey) {
  for (const Bytes& point : small_order_points()) {
    Behind b(Mode::tofu, machine_is_server());
    ASSERT_TRUE(b.start());
    if (!machine_is_server()) {
      b.end->machine->request_rekey(b.pair.now);
      Bytes r1 = b.pair.take_output(*b.end);
      ASSERT_TRUE(b.rogue->open(r1));
    }
    b.give(b.rogue->seal(kRekey, point));
    expect_silent(b.pair, *b.end, Errc::dh_all_zero, 3);
  }
}

// SPEC stcp.md#close
TEST_P(StcpRecordFaults, F14_pin_update_where_it_has_no_place) {
  for (const Mode mode : kModes) {
    const auto make = [](StcpRogue& r) { return r.seal(kPinUpdate, Bytes(32, 1)); };
    const bool has_place = !machine_is_server() && (mode == Mode::tofu || mode == Mode::mutual);
    if (has_place) {
      allow(make, mode);
    } else {
      provoke(make, Errc::wrong_state, 14, mode);
    }
  }
}

// SPEC stcp.md#close
TEST_P(StcpRecordFaults, F14_anything_after_close) {
  for (const int type : {0, 1, 2, 3, 5, 6}) {
    Behind b(Mode::tofu, machine_is_server());
    ASSERT_TRUE(b.start());
    Bytes wire = b.rogue->seal(kData, Bytes(3, 1));
    const Bytes close = b.rogue->seal(kClose, Bytes(1));
    wire.insert(wire.end(), close.begin(), close.end());
    const Bytes more = b.rogue->seal(static_cast<std::uint8_t>(type), Bytes(type == 1 ? 1 : 0));
    wire.insert(wire.end(), more.begin(), more.end());
    b.give(wire);
    EXPECT_EQ(b.end->received, Bytes(3, 1));  // what was delivered stays delivered
    EXPECT_TRUE(b.end->find<DataEnded>());
    expect_silent(b.pair, *b.end, Errc::wrong_state, 14);
  }
  // A single byte is enough; and nothing that comes once the connection is CLOSED matters.
  Behind b(Mode::tofu, machine_is_server());
  ASSERT_TRUE(b.start());
  b.give(b.rogue->seal(kClose, Bytes(1)));
  b.give(Bytes(1));
  expect_silent(b.pair, *b.end, Errc::wrong_state, 14);
  Behind c(Mode::tofu, machine_is_server());
  ASSERT_TRUE(c.start());
  c.end->machine->close(c.pair.now);
  static_cast<void>(c.pair.take_output(*c.end));
  c.give(c.rogue->seal(kClose, Bytes(1)));
  EXPECT_EQ(c.end->state(), State::closed);
  c.give(Bytes(99));
  EXPECT_FALSE(c.end->fault());
}

// SPEC stcp.md#limits
TEST_P(StcpRecordFaults, F15_sixty_five_records_without_data) {
  for (const int type : {0, 3}) {
    Behind b(Mode::tofu, machine_is_server());
    ASSERT_TRUE(b.start());
    for (int i = 0; i < 64; ++i)
      b.give(b.rogue->seal(static_cast<std::uint8_t>(type), {}, type == 0 ? 10U : 0U));
    EXPECT_FALSE(b.end->fault());
    b.give(b.rogue->seal(static_cast<std::uint8_t>(type)));
    expect_silent(b.pair, *b.end, Errc::too_many_empty, 15);
  }
  // CLOSE is counted as the rest.
  Behind b(Mode::tofu, machine_is_server());
  ASSERT_TRUE(b.start());
  for (int i = 0; i < 64; ++i) b.give(b.rogue->seal(kPing));
  b.give(b.rogue->seal(kClose, Bytes(1)));
  expect_silent(b.pair, *b.end, Errc::too_many_empty, 15);
}

// SPEC stcp.md#limits
TEST_P(StcpRecordFaults, F15_not_at_sixty_four_a_second_nor_with_data_between) {
  Behind b(Mode::tofu, machine_is_server());
  ASSERT_TRUE(b.start());
  for (int second = 0; second < 20; ++second) {
    for (int i = 0; i < 64; ++i) b.give(b.rogue->seal(kPing));
    ASSERT_FALSE(b.end->fault()) << second;
    b.pair.now += seconds(1);
  }
  Behind c(Mode::tofu, machine_is_server());
  ASSERT_TRUE(c.start());
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 64; ++i) c.give(c.rogue->seal(kPing));
    c.give(c.rogue->seal(kData, Bytes(1)));
  }
  EXPECT_FALSE(c.end->fault());
}

// SPEC stcp.md#rekey
TEST(StcpFaults, F15_too_many_rekeys_at_a_server) {
  Behind b(Mode::tofu, true);
  ASSERT_TRUE(b.start());
  const auto rekey = [&] {
    const auto share = crypto::KeyPair::generate(*b.pair.engine, b.pair.rng);
    b.give(b.rogue->seal(kRekey, share.public_key.bytes));
    Bytes wire = b.pair.take_output(*b.end);
    const auto r2 = b.rogue->open(wire);
    if (!r2) return false;
    detail::SharedX x;
    ByteArray<32> peer{};
    std::ranges::copy(r2->data, peer.begin());
    EXPECT_TRUE(b.pair.engine->x25519(share.secret.expose(), peer, x.writable()));
    ByteArray<32> hk{};
    b.pair.engine->sha256({b.rogue->agreement.keys.h, share.public_key.bytes, peer}, hk);
    b.rogue->receive.mix(*b.pair.engine, x, hk);
    b.give(b.rogue->seal(kRekey));
    b.rogue->send.mix(*b.pair.engine, x, hk);
    return true;
  };
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(rekey()) << i;
  // One second, or one MiB, buys one more.
  b.pair.now += seconds(1);
  ASSERT_TRUE(rekey());
  for (int i = 0; i < 17; ++i) b.give(b.rogue->seal(kData, Bytes(65536)));
  b.end->received.clear();
  ASSERT_TRUE(rekey());
  EXPECT_EQ(b.end->machine->statistics().epoch_received, 18);
  EXPECT_FALSE(rekey());
  expect_silent(b.pair, *b.end, Errc::too_many_empty, 15);
}

// SPEC stcp.md#limits
TEST(StcpFaults, F15_no_record_at_the_end_of_the_sequence) {
  Limits limits;
  limits.max_sequence = 6;
  StcpPair::Options options;
  options.client_limits = limits;
  options.server_limits = limits;
  // None is accepted with a sequence number of the cap.
  Behind b(Mode::tofu, true, options);
  ASSERT_TRUE(b.start());
  for (int i = 1; i < 6; ++i) b.give(b.rogue->seal(kData, Bytes(1)));
  EXPECT_FALSE(b.end->fault());
  b.give(b.rogue->seal(kData, Bytes(1)));
  expect_silent(b.pair, *b.end, Errc::too_many_empty, 15);

  // None is made; the last number is kept for CLOSE.
  StcpPair pair([&] {
    options.mode = Mode::tofu;
    return options;
  }());
  pair.run();
  Bytes wire(200);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(pair.client.machine->seal(Bytes(1), wire, pair.now));
  const auto refused = pair.client.machine->seal(Bytes(1), wire, pair.now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::sequence_exhausted);
  pair.client.machine->ping(pair.now);
  EXPECT_EQ(pair.client.machine->poll_transmit(wire, pair.now), 0U);
  pair.client.machine->close(pair.now);
  EXPECT_EQ(pair.client.machine->poll_transmit(wire, pair.now), 45U);
  EXPECT_FALSE(pair.client.fault());
}

// SPEC stcp.md#faults
TEST_P(StcpRecordFaults, what_was_delivered_before_the_fault_stays_delivered) {
  Behind b(Mode::tofu, machine_is_server());
  ASSERT_TRUE(b.start());
  Bytes wire = b.rogue->seal(kData, Bytes(10, 1));
  Bytes bad = b.rogue->seal(kData, Bytes(10, 2));
  bad.back() ^= 1U;
  wire.insert(wire.end(), bad.begin(), bad.end());
  Bytes out(100);
  const auto opened = b.end->machine->handle_bytes(wire, out, b.pair.now);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->delivered, 10U);
  EXPECT_EQ(opened->consumed, 54U);
  EXPECT_EQ(b.end->state(), State::error);  // at once
  expect_silent(b.pair, *b.end, Errc::record_not_authentic, 12);
}

// SPEC stcp.md#faults
TEST_P(StcpRecordFaults, bytes_of_a_bad_record_are_not_in_the_callers_buffer) {
  for (const bool bad_tag : {true, false}) {
    Behind b(Mode::tofu, machine_is_server());
    ASSERT_TRUE(b.start());
    // A bad tag; or a record that verifies and is refused for its trailer.
    Bytes wire =
        bad_tag ? b.rogue->seal(kData, Bytes(64, 0xAB)) : b.rogue->seal(kPing, Bytes(64, 0xAB));
    if (bad_tag) wire.back() ^= 1U;
    Bytes out(64, 0);
    ASSERT_FALSE(b.end->machine->handle_bytes(wire, out, b.pair.now));
    EXPECT_EQ(std::ranges::count(out, 0xAB), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(roles, StcpRecordFaults, testing::Bool(),
                         [](const auto& param) { return param.param ? "server" : "client"; });

}  // namespace
}  // namespace sealine::stcp
