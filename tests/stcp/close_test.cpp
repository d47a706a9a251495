#include "sealine/stcp/connection.hpp"
#include "stcp/joined.hpp"
#include "support/stcp_rogue.hpp"

#include <gtest/gtest.h>

#include <chrono>

// How a connection ends: CLOSE and its reasons, each direction by itself; ABORT; truncation.

namespace sealine::stcp {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Bytes;

// SPEC stcp.md#close
TEST(StcpClose, half_close_leaves_the_other_direction_open) {
  Joined pair;
  pair.send(pair.client, Bytes(10, 1));
  pair.run();
  pair.client.machine->close(pair.now);
  EXPECT_FALSE(pair.client.machine->can_send());
  EXPECT_TRUE(pair.client.machine->can_receive());
  Bytes out(100);
  EXPECT_EQ(pair.client.machine->seal(Bytes(1), out, pair.now).error().code, Errc::already_closed);
  pair.run();
  EXPECT_TRUE(pair.server.find<DataEnded>());
  EXPECT_TRUE(pair.both_encrypted());
  EXPECT_FALSE(pair.server.machine->can_receive());
  EXPECT_TRUE(pair.server.machine->can_send());
  // TCP FIN may follow, and the other direction goes on as long as it likes.
  pair.end_stream(pair.client);
  EXPECT_FALSE(pair.server.fault());
  for (int i = 0; i < 100; ++i) {
    pair.advance(seconds(200));
    pair.send(pair.server, Bytes(1000, 2));
    pair.run();
  }
  EXPECT_EQ(pair.client.received.size(), 100'000U);
  pair.server.machine->close(pair.now);
  pair.run();
  EXPECT_EQ(pair.client.state(), State::closed);
  EXPECT_EQ(pair.server.state(), State::closed);
  EXPECT_TRUE(pair.client.find<DataEnded>());
  EXPECT_FALSE(pair.client.fault());
  EXPECT_FALSE(pair.server.fault());
}

// SPEC stcp.md#close
TEST(StcpClose, no_record_of_any_type_follows_it) {
  Joined pair;
  pair.client.machine->close(pair.now);
  pair.run();
  const std::size_t sent = pair.client.sent_wire.size();
  pair.client.machine->close(pair.now);
  pair.client.machine->ping(pair.now);
  pair.client.machine->request_rekey(pair.now);
  pair.client.machine->abort(17, pair.now);  // too late to be told
  pair.run();
  EXPECT_EQ(pair.client.sent_wire.size(), sent);
  EXPECT_EQ(pair.client.state(), State::closed);
}

// SPEC stcp.md#close
TEST(StcpClose, end_of_stream_without_close_is_truncation) {
  Joined pair;
  pair.send(pair.client, Bytes(10, 1));
  pair.run();
  pair.end_stream(pair.client);
  EXPECT_EQ(pair.server.received.size(), 10U);
  EXPECT_EQ(pair.server.fault(), Errc::truncated);
  EXPECT_EQ(pair.server.state(), State::error);
  EXPECT_FALSE(pair.server.find<DataEnded>());
  EXPECT_EQ(describe(Errc::truncated).fault_point, 0);
  EXPECT_FALSE(pair.server.machine->has_transmit());  // no CLOSE is sent
}

// SPEC stcp.md#close
TEST(StcpClose, abort_reaches_the_peer_after_the_data_and_is_answered) {
  for (const int reason : {1, 2, 16, 255}) {
    Joined pair;
    pair.send(pair.client, Bytes(10, 1));
    static_cast<void>(0);
    Bytes wire = pair.take_output(pair.client);
    pair.client.machine->abort(static_cast<std::uint8_t>(reason), pair.now);
    const Bytes close = pair.take_output(pair.client);
    EXPECT_EQ(close.size(), 45U);
    wire.insert(wire.end(), close.begin(), close.end());
    pair.deliver(pair.server, wire);
    EXPECT_EQ(pair.server.received.size(), 10U);
    ASSERT_TRUE(pair.server.find<Aborted>());
    EXPECT_EQ(pair.server.find<Aborted>()->reason, reason);
    EXPECT_EQ(pair.server.machine->fault(),
              (Error{Errc::aborted, static_cast<std::uint32_t>(reason)}));
    EXPECT_FALSE(pair.server.machine->can_send());
    EXPECT_EQ(pair.server.machine->seal(Bytes(1), wire, pair.now).error().code, Errc::aborted);
    pair.run();  // the answer
    EXPECT_EQ(pair.server.state(), State::closed);
    EXPECT_EQ(pair.client.state(), State::closed);
    EXPECT_FALSE(pair.client.find<Aborted>());
    EXPECT_FALSE(pair.client.fault());
  }
}

// SPEC stcp.md#close
TEST(StcpClose, the_answer_has_the_same_reason) {
  Joined pair;
  test::StcpRogue rogue(pair.client_config, *pair.engine, pair.rng);
  pair.restart();
  ASSERT_TRUE(rogue.shake_hands(*pair.server.machine, pair.now));
  pair.deliver(pair.server, rogue.seal(1, Bytes{77}));
  Bytes answer = pair.take_output(pair.server);
  const auto record = rogue.open(answer);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->type, 1);
  EXPECT_EQ(record->data, Bytes{77});
  EXPECT_EQ(pair.server.state(), State::closed);
}

// SPEC stcp.md#close
TEST(StcpClose, an_answer_takes_the_place_of_a_close_not_yet_sent) {
  Joined pair;
  test::StcpRogue rogue(pair.client_config, *pair.engine, pair.rng);
  pair.restart();
  ASSERT_TRUE(rogue.shake_hands(*pair.server.machine, pair.now));
  pair.server.machine->close(pair.now);
  pair.deliver(pair.server, rogue.seal(1, Bytes{77}));
  Bytes answer = pair.take_output(pair.server);
  EXPECT_EQ(rogue.open(answer)->data, Bytes{77});
  EXPECT_TRUE(answer.empty());
}

// SPEC stcp.md#close
TEST(StcpClose, whoever_has_sent_close_does_not_answer_an_abort) {
  Joined pair;
  pair.server.machine->close(pair.now);
  pair.run();
  const std::size_t sent = pair.server.sent_wire.size();
  pair.client.machine->abort(5, pair.now);
  pair.run();
  EXPECT_EQ(pair.server.sent_wire.size(), sent);
  EXPECT_EQ(pair.server.state(), State::closed);
  EXPECT_EQ(pair.client.state(), State::closed);
  EXPECT_EQ(pair.server.fault(), Errc::aborted);
}

// SPEC stcp.md#close
TEST(StcpClose, an_abort_takes_the_place_of_a_close_not_yet_sent) {
  Joined pair;
  pair.client.machine->close(pair.now);
  pair.client.machine->abort(5, pair.now);
  pair.run();
  EXPECT_EQ(pair.server.find<Aborted>()->reason, 5);
}

// SPEC stcp.md#close
TEST(StcpClose, the_aborting_side_discards_and_waits_a_second) {
  Joined pair;
  pair.send(pair.server, Bytes(50, 3));
  const Bytes late = pair.take_output(pair.server);
  pair.client.machine->abort(5, pair.now);
  static_cast<void>(pair.take_output(pair.client));  // and the network eats it
  pair.deliver(pair.client, late);
  EXPECT_TRUE(pair.client.received.empty());
  EXPECT_EQ(pair.client.machine->statistics().records_received, 1U);
  EXPECT_TRUE(pair.client.is_encrypted());
  pair.now += seconds(1) - milliseconds(1);
  pair.client.machine->handle_timeout(pair.now);
  EXPECT_TRUE(pair.client.is_encrypted());
  pair.now += milliseconds(1);
  pair.client.machine->handle_timeout(pair.now);
  EXPECT_EQ(pair.client.state(), State::closed);
  EXPECT_FALSE(pair.client.fault());
}

TEST(StcpClose, end_of_stream_after_our_own_abort_is_the_end) {
  Joined pair;
  pair.client.machine->abort(5, pair.now);
  static_cast<void>(pair.take_output(pair.client));
  pair.end_stream(pair.server);
  EXPECT_EQ(pair.client.state(), State::closed);
  EXPECT_FALSE(pair.client.fault());
}

TEST(StcpClose, both_abort_at_once) {
  Joined pair;
  pair.client.machine->abort(5, pair.now);
  pair.server.machine->abort(6, pair.now);
  pair.run();
  EXPECT_EQ(pair.client.state(), State::closed);
  EXPECT_EQ(pair.server.state(), State::closed);
}

TEST(StcpClose, both_close_at_once) {
  Joined pair;
  pair.client.machine->close(pair.now);
  pair.server.machine->close(pair.now);
  pair.run();
  EXPECT_EQ(pair.client.state(), State::closed);
  EXPECT_EQ(pair.server.state(), State::closed);
  EXPECT_TRUE(pair.client.find<DataEnded>());
  EXPECT_TRUE(pair.server.find<DataEnded>());
  Bytes key(32);
  EXPECT_EQ(pair.client.machine->export_key("x", {}, key).error().code, Errc::not_encrypted);
}

}  // namespace
}  // namespace sealine::stcp
