#include "sealine/stcp/connection.hpp"
#include "stcp/faults_fixture.hpp"
#include "support/stcp_pair.hpp"
#include "support/stcp_rogue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>

// Every fault point of the records, F1 and F3 among them, F11..F15, provoked by a peer that owns
// the keys, and what follows: nothing on the wire, no bytes to the application, all keys gone.

namespace sealine::stcp {
namespace {

using std::chrono::seconds;
using test::Bytes;
using test::StcpPair;
using test::StcpRogue;

constexpr std::array kModes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};
constexpr std::uint8_t kData = 0;
constexpr std::uint8_t kClose = 1;
constexpr std::uint8_t kRekey = 2;
constexpr std::uint8_t kPing = 3;
constexpr std::uint8_t kFinish = 5;
constexpr std::uint8_t kPinUpdate = 6;

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
