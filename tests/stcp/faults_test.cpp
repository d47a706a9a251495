#include "sealine/stcp/connection.hpp"
#include "stcp/detail/handshake_record.hpp"
#include "stcp/faults_fixture.hpp"
#include "support/stcp_pair.hpp"
#include "support/stcp_rogue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

// Every fault point of the handshake, F1..F9, provoked by a peer that may own good keys, and what
// follows: nothing on the wire, no bytes to the application, all keys gone. Those of records:
// record_faults_test.cpp.

namespace sealine::stcp {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Bytes;
using test::StcpEnd;
using test::StcpPair;
using test::StcpRogue;
using test::Verdict;

constexpr std::array kModes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};
constexpr std::uint8_t kData = 0;
constexpr std::uint8_t kFinish = 5;

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

}  // namespace
}  // namespace sealine::stcp
