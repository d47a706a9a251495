#include "sealine/stx/receiver.hpp"
#include "stx/receiver_fixture.hpp"
#include "support/stx_pair.hpp"

#include <gtest/gtest.h>

#include <vector>

// What a receiver says on its lanes, and what may come on them: ACK, silence, CLOSE.

namespace sealine::stx {
namespace {

using test::stx_file;

// --- the wrong lane, the wrong side

// SPEC stx.md#lanes
TEST_F(StxReceiver, other_lanes_carry_select_data_keepalive_and_close_alone) {
  const Message wrong[] = {stx_file("a", 1), Resume{.roots = {leaf(0)}}, End{}, Drop{},
                           Zero{.count = 1}};
  for (const Message& message : wrong) {
    receiver = Receiver(limits, kMaxBlockLog2, false, *engine, now);
    receiver.handle_lane_opened(3, now);
    say(message, 3);
    EXPECT_EQ(receiver.state(), Sender::State::closed);
    EXPECT_EQ(heard(3), std::vector<Message>{Close{Code::protocol}});
    expect_fault();
  }
}

TEST_F(StxReceiver, messages_about_items_without_meta_are_faults) {
  const Message wrong[] = {Resume{.roots = {leaf(0)}}, End{}, Drop{}, Zero{.count = 1}, Select{}};
  for (const Message& message : wrong) {
    receiver = Receiver(limits, kMaxBlockLog2, false, *engine, now);
    say(message);
    expect_fault();
  }
}

TEST_F(StxReceiver, messages_of_the_server_are_faults) {
  const Message wrong[] = {MetaOk{}, Ack{}, Nak{}, ResumeOk{}, Done{}};
  for (const Message& message : wrong) {
    receiver = Receiver(limits, kMaxBlockLog2, false, *engine, now);
    say(message);
    expect_fault();
  }
}

// --- ACK

// SPEC stx.md#acknowledgement
TEST_F(StxReceiver, acknowledges_10_ms_after_a_frame) {
  offer(4);
  heard();
  const TimePoint first = now;
  now += std::chrono::milliseconds(9);
  EXPECT_EQ(receiver.poll_timeout(), first + std::chrono::milliseconds(10));
  receiver.handle_timeout(now);
  EXPECT_TRUE(heard().empty());
  now += std::chrono::milliseconds(1);
  receiver.handle_timeout(now);
  EXPECT_EQ(heard(), std::vector<Message>({Ack{.received = 1, .durable = 1}}));
  EXPECT_EQ(receiver.poll_timeout(), now + limits.keep_alive_after);
}

TEST_F(StxReceiver, acknowledges_8_mib) {
  offer(1000);
  say(Select{0});
  heard();
  std::uint32_t sent = 0;
  while (heard().empty()) block(sent++);
  EXPECT_EQ(sent, kAckBytes / (kBlock + kFrameOverheadBytes) + 1);
}

TEST_F(StxReceiver, acknowledges_all_blocks_at_once) {
  offer(3);
  say(Select{0});
  heard();
  block(0);
  block(1);
  EXPECT_TRUE(heard().empty());
  block(2);
  EXPECT_EQ(heard(), std::vector<Message>({Ack{.received = 5, .durable = 2}}));
}

TEST_F(StxReceiver, received_waits_for_the_oldest_frame_under_work) {
  offer(3);
  say(Select{0});
  heard();
  const auto a = head(0);
  const auto b = head(1);
  const auto c = head(2);
  write(*c);
  write(*a);
  now += limits.ack_after;
  receiver.handle_timeout(now);
  EXPECT_EQ(heard_one<Ack>()->received, 3U);
  write(*b);
  EXPECT_EQ(heard_one<Ack>()->received, 5U);
}

TEST_F(StxReceiver, nak_stands_before_the_ack_that_covers_it) {
  offer(3);
  say(Select{0});
  heard();
  block(0);
  receiver.handle_damaged(0, *head(1), now);
  block(2);
  now += limits.ack_after;
  receiver.handle_timeout(now);
  EXPECT_EQ(heard(), std::vector<Message>({Nak{3}, Ack{.received = 5, .durable = 2}}));
}

// SPEC stx.md#acknowledgement
TEST_F(StxReceiver, durable_speaks_of_the_leading_run) {
  offer(6);
  say(Select{0});
  block(0);  // frame 2
  block(3);  // 3
  block(1);  // 4
  heard();
  receiver.handle_durable(0, 2);
  EXPECT_EQ(heard_one<Ack>(), (Ack{.received = 5, .durable = 3})) << "block 3 is behind a gap";
  block(2);  // 5
  receiver.handle_durable(0, 4);
  EXPECT_EQ(heard_one<Ack>(), (Ack{.received = 6, .durable = 6}));
}

TEST_F(StxReceiver, durable_is_never_more_than_is_held) {
  offer(6);
  say(Select{0});
  block(0);
  heard();
  receiver.handle_durable(0, 6);
  block(1);
  now += limits.ack_after;
  receiver.handle_timeout(now);
  EXPECT_EQ(heard_one<Ack>(), (Ack{.received = 4, .durable = 3}));
}

TEST_F(StxReceiver, frames_of_a_pack_are_durable_with_done) {
  Meta meta = stx_file("d/a", kBlock);
  meta.entries.push_back({.kind = EntryKind::directory, .name = "d"});
  say(meta);
  receiver.answer(0, {});
  say(Select{0});
  block(0);
  EXPECT_EQ(heard_one<Ack>(), (Ack{.received = 3, .durable = 2}));
  say(end(1));
  receiver.finish(0, Code::normal, {});
  now += limits.ack_after;
  receiver.handle_timeout(now);
  EXPECT_EQ(heard_one<Ack>(), (Ack{.received = 4, .durable = 4}));
}

// --- silence, CLOSE

// SPEC stx.md#acknowledgement
TEST_F(StxReceiver, says_keepalive_and_gives_up) {
  now += limits.keep_alive_after;
  receiver.handle_timeout(now);
  EXPECT_EQ(heard(), std::vector<Message>{KeepAlive{}});
  now = TimePoint{} + limits.silence_timeout;
  receiver.handle_timeout(now);
  const auto over = event<SessionOver>();
  ASSERT_TRUE(over.has_value());
  EXPECT_EQ(over->fault.code, Errc::idle_timeout);
  EXPECT_FALSE(receiver.poll_timeout().has_value());
}

TEST_F(StxReceiver, a_silent_lane_ends_alone) {
  receiver.handle_lane_opened(2, now);
  now += std::chrono::seconds(20);
  say(KeepAlive{});
  now += std::chrono::seconds(10);
  receiver.handle_timeout(now);
  EXPECT_EQ(event<LaneSilent>()->lane, 2);
  EXPECT_EQ(receiver.state(), Sender::State::running);
}

// SPEC stx.md#course
TEST_F(StxReceiver, close_with_an_item_not_over_is_a_fault) {
  offer(1);
  heard();
  say(Close{});
  expect_fault();
}

TEST_F(StxReceiver, close_is_answered_and_the_last_frame) {
  say(Close{});
  EXPECT_EQ(heard(), std::vector<Message>{Close{}});
  EXPECT_TRUE(event<SessionOver>()->by_peer);
  EXPECT_FALSE(receiver.expect_frame(0, {.sequence = kControlSequence | 10U}, now).has_value());
}

TEST_F(StxReceiver, close_with_a_code_ends_the_session_with_it) {
  offer(1);
  heard();
  say(Close{Code::shutting_down});
  EXPECT_EQ(heard(), std::vector<Message>{Close{Code::shutting_down}});
  EXPECT_EQ(event<SessionOver>()->code, Code::shutting_down);
}

TEST_F(StxReceiver, close_of_another_lane_ends_that_lane) {
  receiver.handle_lane_opened(1, now);
  say(Close{}, 1);
  EXPECT_EQ(heard(1), std::vector<Message>{Close{}});
  EXPECT_FALSE(receiver.expect_frame(1, {.sequence = kControlSequence | 10U}, now).has_value());
  EXPECT_EQ(receiver.state(), Sender::State::running);
}

}  // namespace
}  // namespace sealine::stx
