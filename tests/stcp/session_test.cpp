#include "sealine/stcp/connection.hpp"
#include "stcp/joined.hpp"
#include "support/no_alloc.hpp"
#include "support/stcp_pair.hpp"

#include <gtest/gtest.h>

#include <chrono>

// ENCRYPTED: data, PING, PIN_UPDATE, padding, and what it costs.

namespace sealine::stcp {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Bytes;
using test::StcpEnd;
using test::StcpPair;

// --- data

// SPEC stcp.md#record
TEST(StcpData, both_ways_at_once) {
  Joined pair;
  const Bytes up(300'000, 1);
  const Bytes down(200'001, 2);
  pair.send(pair.client, up);
  pair.send(pair.server, down);
  pair.run();
  EXPECT_EQ(pair.server.received, up);
  EXPECT_EQ(pair.client.received, down);
  const Statistics s = pair.client.machine->statistics();
  EXPECT_EQ(s.data_bytes_sent, up.size());
  EXPECT_EQ(s.data_bytes_received, down.size());
  EXPECT_EQ(s.records_sent, 1U + 5U);
  EXPECT_EQ(s.records_received, 4U);
  EXPECT_EQ(s.wire_bytes_sent, 76U + up.size() + 5U * 44U);
  EXPECT_EQ(pair.server.machine->statistics().wire_bytes_received, s.wire_bytes_sent);
}

TEST(StcpData, seal_takes_what_fits) {
  Joined pair;
  Bytes out(44);
  auto sealed = pair.client.machine->seal(Bytes(10), out, pair.now);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->taken, 0U);
  EXPECT_EQ(sealed->written, 0U);
  out.resize(45);
  sealed = pair.client.machine->seal(Bytes(10), out, pair.now);
  EXPECT_EQ(sealed->taken, 1U);
  EXPECT_EQ(sealed->written, 45U);
  sealed = pair.client.machine->seal({}, out, pair.now);
  EXPECT_EQ(sealed->written, 0U);
  out.resize(65536 + 44 + 50);
  sealed = pair.client.machine->seal(Bytes(70'000), out, pair.now);
  EXPECT_EQ(sealed->taken, 65536U + 6U);  // a whole record, and one of what is left
  EXPECT_EQ(sealed->written, out.size());
}

TEST(StcpData, delivered_to_any_size_of_buffer) {
  for (const std::size_t out_bytes : {0U, 1U, 7U, 44U, 100U, 5000U}) {
    Joined pair;
    pair.server.out_bytes = out_bytes;
    Bytes data = test::counting(256);
    data.insert(data.end(), data.begin(), data.end());
    for (const std::size_t size : {std::size_t{1}, std::size_t{64}, std::size_t{500}}) {
      pair.send(pair.client, ByteView(data).first(size));
      pair.run();
    }
    EXPECT_EQ(pair.server.received.size(), 565U);
    EXPECT_EQ(Bytes(pair.server.received.begin() + 65, pair.server.received.end()),
              Bytes(data.begin(), data.begin() + 500));
  }
}

TEST(StcpData, stops_when_out_is_full_and_says_what_it_wants) {
  Joined pair;
  Bytes wire(1000);
  std::size_t written = 0;
  for (int i = 0; i < 3; ++i) {
    const auto sealed = pair.client.machine->seal(Bytes(10, static_cast<std::uint8_t>(i)),
                                                  MutableBytes(wire).subspan(written), pair.now);
    written += sealed->written;
  }
  wire.resize(written);
  Bytes out(15);
  auto opened = pair.server.machine->handle_bytes(wire, out, pair.now);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->consumed, 2U * 54U);
  EXPECT_EQ(opened->delivered, 15U);
  EXPECT_EQ(test::copy_of(opened->spill), Bytes(5, 1));
  opened = pair.server.machine->handle_bytes(MutableBytes(wire).subspan(108),
                                             MutableBytes(out).first(10), pair.now);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->delivered, 10U);
  EXPECT_EQ(opened->consumed, 54U);
  EXPECT_TRUE(opened->spill.empty());
  EXPECT_EQ(pair.server.machine->wanted_bytes(), 24U);
  // Full to the last byte: the next record waits where it is.
  Bytes two(1000);
  written = 0;
  for (int i = 0; i < 2; ++i)
    written +=
        pair.client.machine->seal(Bytes(10), MutableBytes(two).subspan(written), pair.now)->written;
  two.resize(written);
  opened = pair.server.machine->handle_bytes(two, MutableBytes(out).first(10), pair.now);
  EXPECT_EQ(opened->consumed, 54U);
  EXPECT_EQ(pair.server.machine->wanted_bytes(), 54U);
}

// SPEC stcp.md#record
TEST(StcpData, wanted_bytes_lead_to_each_record) {
  Joined pair;
  Bytes wire(1000);
  const auto sealed = pair.client.machine->seal(Bytes(100, 5), wire, pair.now);
  wire.resize(sealed->written);
  Bytes out(100);
  EXPECT_EQ(pair.server.machine->wanted_bytes(), 24U);
  auto opened = pair.server.machine->handle_bytes(MutableBytes(wire).first(23), out, pair.now);
  EXPECT_EQ(opened->consumed, 0U);
  EXPECT_EQ(pair.server.machine->wanted_bytes(), 24U);
  opened = pair.server.machine->handle_bytes(MutableBytes(wire).first(24), out, pair.now);
  EXPECT_EQ(opened->consumed, 0U);
  EXPECT_EQ(pair.server.machine->wanted_bytes(), 144U);
  opened = pair.server.machine->handle_bytes(MutableBytes(wire).first(143), out, pair.now);
  EXPECT_EQ(opened->consumed, 0U);
  opened = pair.server.machine->handle_bytes(wire, out, pair.now);
  EXPECT_EQ(opened->consumed, 144U);
  EXPECT_EQ(out, Bytes(100, 5));
}

TEST(StcpData, run_ahead_changes_no_byte) {
  for (const bool ahead : {false, true}) {
    Joined pair;
    for (int i = 0; i < 10; ++i) {
      if (ahead) {
        pair.client.machine->run_ahead();
        pair.server.machine->run_ahead();
        pair.server.machine->run_ahead();
      }
      pair.send(pair.client, Bytes(static_cast<std::size_t>(i) + 1, 1));
      pair.run();
      if (i == 5) pair.client.machine->request_rekey(pair.now);
      if (ahead) pair.client.machine->run_ahead();
      pair.run();
    }
    EXPECT_EQ(pair.server.received.size(), 55U);
    EXPECT_EQ(pair.server.machine->statistics().epoch_received, 1);
    static Bytes first;
    if (!ahead) first = pair.client.sent_wire;
    EXPECT_EQ(first, pair.client.sent_wire);
  }
}

// --- ping, pin update

// SPEC stcp.md#close
TEST(StcpPing, shows_life_and_is_never_answered) {
  Joined pair;
  const std::size_t sent = pair.server.sent_wire.size();
  const std::size_t before = pair.client.sent_wire.size();
  pair.client.machine->ping(pair.now);
  pair.run();
  EXPECT_EQ(pair.client.sent_wire.size(), before + 44);
  EXPECT_EQ(pair.server.sent_wire.size(), sent);
  EXPECT_EQ(pair.server.machine->statistics().records_received, 2U);
  EXPECT_TRUE(pair.server.received.empty());
}

// SPEC stcp.md#limits
TEST(StcpPing, asked_for_too_often_it_does_not_make_a_fault) {
  Joined pair;
  for (int i = 0; i < 200; ++i) {
    pair.client.machine->ping(pair.now);
    pair.run();
  }
  EXPECT_TRUE(pair.both_encrypted());
  pair.send(pair.client, Bytes(1));
  pair.run();
  EXPECT_TRUE(pair.both_encrypted());
}

// SPEC stcp.md#sas
TEST(StcpPinUpdate, reaches_the_client_in_the_modes_that_have_it) {
  for (const Mode mode : {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk}) {
    Joined pair({.mode = mode});
    crypto::PublicKey next;
    next.bytes.fill(0x5A);
    const auto told = pair.server.machine->announce_next_key(next);
    const bool has_place = mode == Mode::tofu || mode == Mode::mutual;
    EXPECT_EQ(told.has_value(), has_place);
    EXPECT_FALSE(pair.client.machine->announce_next_key(next));
    pair.run();
    ASSERT_EQ(pair.client.find<PinUpdated>() != nullptr, has_place);
    if (has_place) {
      EXPECT_EQ(pair.client.find<PinUpdated>()->next_key, next);
    }
    EXPECT_TRUE(pair.both_encrypted());
  }
}

TEST(StcpPinUpdate, several_in_one_run_all_arrive) {
  Joined pair;
  Bytes wire;
  for (std::uint8_t i = 1; i <= 3; ++i) {
    crypto::PublicKey next;
    next.bytes.fill(i);
    ASSERT_TRUE(pair.server.machine->announce_next_key(next));
    const Bytes one = pair.take_output(pair.server);
    wire.insert(wire.end(), one.begin(), one.end());
  }
  pair.deliver(pair.client, wire);
  int seen = 0;
  for (const Event& event : pair.client.events)
    seen += std::holds_alternative<PinUpdated>(event) ? 1 : 0;
  EXPECT_EQ(seen, 3);
}

// --- padding

// SPEC stcp.md#padding
TEST(StcpPadding, wire_sizes_tell_the_bucket_alone) {
  for (const Padding& padding :
       {Padding(PadToMultiple{256}), Padding(PadPadme{}), Padding(PadToMultiple{65536})}) {
    StcpPair::Options options = tofu();
    options.client_padding = padding;
    Joined pair(options);
    for (const std::size_t size : {1U, 2U, 100U, 255U, 256U, 257U, 5000U, 65535U, 65536U}) {
      const std::size_t before = pair.client.sent_wire.size();
      pair.server.received.clear();
      const Bytes data(size, 9);
      pair.send(pair.client, data);
      pair.run();
      EXPECT_EQ(pair.server.received, data);
      const std::size_t wire = pair.client.sent_wire.size() - before;
      EXPECT_EQ(wire, 44 + padded_size(padding, size, 65536));
      EXPECT_EQ(wire, pair.client.machine->sealed_size(size));
    }
    // Control records are padded too, FINISH is not.
    const std::size_t before = pair.client.sent_wire.size();
    pair.client.machine->ping(pair.now);
    pair.run();
    EXPECT_EQ(pair.client.sent_wire.size() - before, 44 + padded_size(padding, 0, 65536));
    EXPECT_EQ(ByteView(pair.client.sent_wire)[90 + 7], 52);
  }
}

TEST(StcpPadding, a_record_shrinks_to_what_fits_the_buffer) {
  StcpPair::Options options = tofu();
  options.client_padding = PadToMultiple{256};
  Joined pair(options);
  Bytes out(44 + 511);
  auto sealed = pair.client.machine->seal(Bytes(400, 1), out, pair.now);
  EXPECT_EQ(sealed->taken, 256U);
  EXPECT_EQ(sealed->written, 300U);
  out.resize(44 + 255);
  sealed = pair.client.machine->seal(Bytes(400, 1), out, pair.now);
  EXPECT_EQ(sealed->taken, 0U);
  EXPECT_EQ(sealed->written, 0U);
}

TEST(StcpPadding, sealed_size_counts_all_records) {
  Joined pair;
  EXPECT_EQ(pair.client.machine->sealed_size(0), 0U);
  EXPECT_EQ(pair.client.machine->sealed_size(1), 45U);
  EXPECT_EQ(pair.client.machine->sealed_size(65536), 65536U + 44U);
  EXPECT_EQ(pair.client.machine->sealed_size(65537), 65537U + 88U);
}

// SPEC stcp.md#padding
TEST(StcpPadding, constant_rate_hides_sizes_and_times) {
  StcpPair::Options options = tofu();
  options.client_padding = PadConstantRate{500, milliseconds(100)};
  Joined pair(options);
  const std::size_t before = pair.client.sent_wire.size();
  pair.send(pair.client, Bytes(1200, 4));
  pair.run();
  EXPECT_EQ(pair.client.sent_wire.size(), before);  // not yet its turn
  for (int i = 1; i <= 50; ++i) {
    pair.advance(milliseconds(100));
    EXPECT_EQ(pair.client.sent_wire.size(), before + static_cast<std::size_t>(i) * 544U) << i;
    if (i == 10) pair.client.machine->ping(pair.now);
    if (i == 20) pair.client.machine->request_rekey(pair.now);
    if (i == 30) pair.send(pair.client, Bytes(1, 4));
  }
  EXPECT_EQ(pair.server.received, Bytes(1201, 4));
  EXPECT_EQ(pair.server.machine->statistics().epoch_received, 1);
  pair.client.machine->close(pair.now);
  pair.advance(milliseconds(100));
  EXPECT_TRUE(pair.server.find<DataEnded>());
  const std::size_t closed = pair.client.sent_wire.size();
  EXPECT_EQ(closed, before + 51U * 544U);
  pair.advance(seconds(5));
  EXPECT_EQ(pair.client.sent_wire.size(), closed);
}

TEST(StcpPadding, a_late_turn_is_not_made_up_for) {
  StcpPair::Options options = tofu();
  options.client_padding = PadConstantRate{500, milliseconds(100)};
  Joined pair(options);
  const std::size_t before = pair.client.sent_wire.size();
  pair.now += seconds(60);
  pair.client.machine->handle_timeout(pair.now);
  pair.run();
  EXPECT_EQ(pair.client.sent_wire.size(), before + 544);
}

// SPEC stcp.md#limits
TEST(StcpPadding, the_fastest_pace_is_no_fault) {
  StcpPair::Options options = tofu();
  options.client_padding = PadConstantRate{64, Duration(seconds(1)) / 64};
  Joined pair(options);
  pair.advance(seconds(30));
  EXPECT_TRUE(pair.both_encrypted());
  EXPECT_EQ(pair.server.machine->statistics().records_received, 1U + 30U * 64U);
}

TEST(StcpPadding, changed_while_connected) {
  Joined pair;
  EXPECT_FALSE(pair.client.machine->set_padding(PadToMultiple{3}, pair.now));
  EXPECT_FALSE(pair.client.machine->set_padding(PadToMultiple{1U << 17U}, pair.now));  // above M
  ASSERT_TRUE(pair.client.machine->set_padding(PadConstantRate{100, milliseconds(50)}, pair.now));
  const std::size_t before = pair.client.sent_wire.size();
  pair.advance(seconds(1));
  EXPECT_EQ(pair.client.sent_wire.size(), before + 20U * 144U);
  ASSERT_TRUE(pair.client.machine->set_padding(PadNone{}, pair.now));
  pair.advance(seconds(1));
  EXPECT_EQ(pair.client.sent_wire.size(), before + 20U * 144U);
}

// --- cost

TEST(StcpCost, no_allocation_once_encrypted) {
  for (const auto choice : {crypto::EngineChoice::openssl, crypto::EngineChoice::fastest}) {
    StcpPair::Options options = tofu();
    options.engine = choice;
    Joined pair(options);
    Bytes data(200'000, 1);
    Bytes wire(300'000);
    Bytes out(300'000);
    crypto::PublicKey next;
    for (int round = 0; round < 3; ++round) {
      pair.now += seconds(2);
      std::size_t done = 0;
      {
        const test::NoAlloc guard;
        for (int turn = 0; turn < 2; ++turn) {
          StcpEnd& from = turn == 0 ? pair.client : pair.server;
          StcpEnd& to = pair.other(from);
          static_cast<void>(from.machine->set_padding(
              turn == 0 ? Padding(PadNone{}) : Padding(PadPadme{}), pair.now));
          from.machine->ping(pair.now);
          static_cast<void>(from.machine->announce_next_key(next));
          const auto sealed = from.machine->seal(data, wire, pair.now);
          std::size_t used = sealed ? sealed->written : 0;
          used += from.machine->poll_transmit(MutableBytes(wire).subspan(used), pair.now);
          for (std::size_t at = 0; at < used;) {
            const auto opened =
                to.machine->handle_bytes(MutableBytes(wire).subspan(at, used - at), out, pair.now);
            if (!opened) break;
            at += opened->consumed;
            done += opened->delivered;
            while (to.machine->poll_event()) {
            }
          }
          to.machine->run_ahead();
          from.machine->handle_timeout(pair.now);
          static_cast<void>(from.machine->poll_timeout());
        }
      }
      EXPECT_EQ(done, 2 * data.size());
      pair.run();
    }
    {
      const test::NoAlloc guard;
      pair.client.machine->close(pair.now);
      static_cast<void>(pair.client.machine->poll_transmit(wire, pair.now));
    }
  }
}

TEST(StcpCost, faults_do_not_allocate_either) {
  Joined pair;
  Bytes wire(100);
  Bytes out(100);
  const test::NoAlloc guard;
  static_cast<void>(pair.server.machine->handle_bytes(wire, out, pair.now));
}

}  // namespace
}  // namespace sealine::stcp
