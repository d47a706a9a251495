#include "sealine/stx/receiver.hpp"
#include "stx/receiver_fixture.hpp"
#include "support/stx_pair.hpp"

#include <gtest/gtest.h>

// SELECT and the blocks behind it, at a receiver: which are taken, and which are not wanted.

namespace sealine::stx {
namespace {

using test::stx_file;

// SPEC stx.md#frame
TEST_F(StxReceiver, a_block_without_select_is_not_even_counted) {
  offer(4);
  EXPECT_FALSE(head(0).has_value());
  EXPECT_TRUE(receiver.expect_frame(0, {.sequence = kControlSequence | 10U}, now).has_value());
}

TEST_F(StxReceiver, select_of_an_item_without_meta_is_a_fault) {
  say(Select{0});
  expect_fault();
}

TEST_F(StxReceiver, select_before_meta_ok_is_a_fault) {
  say(stx_file("a", 5));
  say(Select{0});
  expect_fault();
}

TEST_F(StxReceiver, a_block_out_of_range_is_refused_by_its_head) {
  offer(4);
  say(Select{0});
  EXPECT_FALSE(head(4).has_value());
  EXPECT_TRUE(head(3).has_value());
}

TEST_F(StxReceiver, a_size_over_the_block_is_refused_by_its_head) {
  offer(4);
  say(Select{0});
  EXPECT_FALSE(head(0, 0, kBlock + 1).has_value());
  EXPECT_FALSE(head(0, 0, 0).has_value());
}

TEST_F(StxReceiver, select_is_of_a_lane) {
  offer(4);
  receiver.handle_lane_opened(1, now);
  say(Select{0});
  EXPECT_FALSE(head(0, 1).has_value());
}

TEST_F(StxReceiver, frames_of_an_item_that_is_over_are_let_pass) {
  offer(4);
  say(Select{0});
  receiver.refuse(0, Code::no_space);
  const auto slot = head(77777);  // of any number: the item is forgotten
  ASSERT_TRUE(slot.has_value());
  EXPECT_FALSE(slot->wanted);
  write(*slot);
  say(Select{0});
  say(Zero{.item = 0, .first = 5, .count = 99});
  say(Resume{.item = 0, .run_log2 = 0, .roots = {leaf(0)}});
  say(Drop{.item = 0});
  say(end(9));
  EXPECT_EQ(receiver.state(), Sender::State::running);
}

TEST_F(StxReceiver, a_block_that_is_held_or_on_its_way_is_not_wanted_again) {
  offer(4);
  receiver.handle_lane_opened(1, now);
  say(Select{0});
  say(Select{0}, 1);
  const auto first = head(2);
  EXPECT_TRUE(first->wanted);
  EXPECT_FALSE(head(2, 1)->wanted);
  write(*first);
  EXPECT_FALSE(head(2, 1)->wanted);
}

TEST_F(StxReceiver, a_block_of_which_only_the_head_came_is_wanted_after_the_end_of_its_lane) {
  offer(4);
  receiver.handle_lane_opened(1, now);
  say(Select{0});
  say(Select{0}, 1);
  EXPECT_TRUE(head(2, 1)->wanted);
  receiver.handle_lane_ended(1, now);
  EXPECT_TRUE(head(2)->wanted);
}

TEST_F(StxReceiver, a_damaged_block_is_wanted_again) {
  offer(4);
  say(Select{0});
  const auto slot = head(2);
  receiver.handle_damaged(0, *slot, now);
  EXPECT_TRUE(head(2)->wanted);
}

// SPEC stx.md#items
TEST_F(StxReceiver, forms_of_a_block) {
  const FrameSlot whole{.head = {}, .block_bytes = kBlock, .block_log2 = 14};
  EXPECT_EQ(Receiver::block_form(whole, kBlock), BlockForm::as_is);
  EXPECT_FALSE(Receiver::block_form(whole, kBlock - 1).has_value()) << "no zstd in this item";
  EXPECT_FALSE(Receiver::block_form(whole, kBlock + 1).has_value());
  EXPECT_FALSE(Receiver::block_form(whole, 0).has_value());
  const FrameSlot last{.head = {}, .block_bytes = 100, .block_log2 = 14, .compressible = true};
  EXPECT_EQ(Receiver::block_form(last, 100), BlockForm::as_is);
  EXPECT_EQ(Receiver::block_form(last, 99), BlockForm::zstd);
  EXPECT_EQ(Receiver::block_form(last, kBlock), BlockForm::padded);
  EXPECT_FALSE(Receiver::block_form(last, 101).has_value());
  const FrameSlot stream{.head = {}, .block_bytes = kBlock, .block_log2 = 14, .size_unknown = true};
  EXPECT_EQ(Receiver::block_form(stream, 99), BlockForm::as_is);
}

// SPEC stx.md#items
TEST_F(StxReceiver, of_unknown_size_only_the_last_block_is_short) {
  offer_unknown();
  say(Select{0});
  block(0, 0, 10);
  block(1);
  expect_fault();
}

TEST_F(StxReceiver, of_unknown_size_no_two_blocks_are_short) {
  offer_unknown();
  say(Select{0});
  block(3, 0, 10);
  block(1, 0, 10);
  expect_fault();
}

// SPEC stx.md#acknowledgement
TEST_F(StxReceiver, holds_16384_pieces_behind_the_first_missing_block) {
  offer(3 * kMaxPiecesBehind);
  say(Select{0});
  for (std::uint32_t i = 0; i < kMaxPiecesBehind; ++i) block(2 * i + 1);
  EXPECT_EQ(receiver.state(), Sender::State::running);
  block(2 * kMaxPiecesBehind + 1);
  EXPECT_EQ(receiver.state(), Sender::State::closed);
}

TEST_F(StxReceiver, zero_runs_join_what_is_held) {
  offer(10);
  event<Receiving>();
  say(Select{0});
  block(2);
  block(5);
  say(Zero{.item = 0, .first = 1, .count = 7});
  EXPECT_EQ(event<ZeroRun>()->first, 1U);
  const auto second = event<ZeroRun>();
  EXPECT_EQ(second->first, 3U);
  EXPECT_EQ(second->count, 2U);
  EXPECT_EQ(event<ZeroRun>()->first, 6U);
  block(0);
  EXPECT_EQ(receiver.leading_blocks(0), 8U);
}

TEST_F(StxReceiver, zero_beyond_the_item_is_a_fault) {
  offer(10);
  heard();
  say(Zero{.item = 0, .first = 9, .count = 2});
  expect_fault();
}

}  // namespace
}  // namespace sealine::stx
