#include "sealine/stx/receiver.hpp"

#include "stx/receiver_fixture.hpp"
#include "support/no_alloc.hpp"
#include "support/stx_pair.hpp"

#include <gtest/gtest.h>

#include <vector>

// The course of an item at a receiver: META, RESUME, END; and what a block costs.

namespace sealine::stx {
namespace {

using test::stx_file;

// --- META

// SPEC stx.md#items
TEST_F(StxReceiver, items_are_numbered_in_the_order_of_meta) {
  Meta meta = stx_file("a", 1);
  meta.item = 1;
  say(meta);
  expect_fault();
}

// SPEC stx.md#acknowledgement
TEST_F(StxReceiver, nak_of_a_meta_goes_before_the_fault_that_follows_from_it) {
  Meta meta = stx_file("a", 1);
  const FrameHead head{.sequence = kControlSequence | type_of(meta),
                       .size_bytes = static_cast<std::uint32_t>(encoded_bytes(meta))};
  const auto damaged = receiver.expect_frame(0, head, now);
  ASSERT_TRUE(damaged.has_value());
  receiver.handle_damaged(0, *damaged, now);
  meta.item = 1;
  say(meta);
  EXPECT_EQ(heard(), (std::vector<Message>{Nak{0}, Close{Code::protocol}}));
}

TEST_F(StxReceiver, an_item_number_is_not_used_twice) {
  offer(0);
  Meta meta = stx_file("a", 1);
  meta.item = 0;
  say(meta);
  expect_fault();
}

TEST_F(StxReceiver, blocks_larger_than_it_said_are_a_fault) {
  receiver = Receiver(limits, 16, false, *engine, now);
  say(stx_file("a", 1, 17));
  expect_fault();
}

TEST_F(StxReceiver, zstd_that_it_did_not_accept_is_a_fault) {
  Meta meta = stx_file("a", 1);
  meta.compressible = true;
  say(meta);
  expect_fault();
}

// SPEC stx.md#limits
TEST_F(StxReceiver, at_most_64_items_between_meta_and_done) {
  for (ItemId i = 0; i < kMaxOpenItems; ++i) offer(1);
  EXPECT_EQ(receiver.state(), Sender::State::running);
  Meta meta = stx_file("a", 1);
  meta.item = offered;
  say(meta);
  expect_fault();
}

TEST_F(StxReceiver, an_item_counts_until_its_last_frame_has_gone_out) {
  for (ItemId i = 0; i < kMaxOpenItems; ++i) offer(1, {.code = Code::refused});
  EXPECT_EQ(heard().size(), kMaxOpenItems);
  for (ItemId i = 0; i < kMaxOpenItems; ++i) offer(1, {.code = Code::refused});
  EXPECT_EQ(receiver.state(), Sender::State::running);
  Meta meta = stx_file("a", 1);
  meta.item = offered;
  say(meta);
  EXPECT_EQ(receiver.state(), Sender::State::closed) << "64 META_OK wait to be sent";
}

// SPEC stx.md#limits
TEST_F(StxReceiver, at_most_4_mib_of_meta) {
  Meta meta = stx_file("d", 0);
  meta.entries.assign(230, {.kind = EntryKind::directory, .name = std::string(4095, 'x')});
  const std::size_t each = encoded_bytes(meta);
  std::size_t sum = 0;
  for (; sum + each <= kMaxOpenMetaBytes; sum += each) {
    meta.item = offered++;
    say(meta);
  }
  EXPECT_EQ(receiver.state(), Sender::State::running);
  meta.item = offered++;
  say(meta);
  expect_fault();
}

// SPEC stx.md#course
TEST_F(StxReceiver, answers_go_out_in_the_order_of_meta) {
  for (ItemId i = 0; i < 4; ++i) {
    Meta meta = stx_file("a", 1);
    meta.item = i;
    say(meta);
  }
  receiver.answer(2, {});
  receiver.answer(1, {.code = Code::name});
  EXPECT_TRUE(heard().empty());
  receiver.answer(0, {});
  const std::vector<Message> expected = {MetaOk{.item = 0}, MetaOk{.item = 1, .code = Code::name},
                                         MetaOk{.item = 2}};
  EXPECT_EQ(heard(), expected);
  say(Drop{.item = 3, .code = Code::source_changed});
  EXPECT_TRUE(heard().empty()) << "DROP has no answer";
}

TEST_F(StxReceiver, a_dropped_item_holds_up_no_answer) {
  for (ItemId i = 0; i < 2; ++i) {
    Meta meta = stx_file("a", 1);
    meta.item = i;
    say(meta);
  }
  receiver.answer(1, {});
  say(Drop{.item = 0, .code = Code::source_changed});
  EXPECT_EQ(heard(), std::vector<Message>{MetaOk{.item = 1}});
}

// --- RESUME

// SPEC stx.md#course
TEST_F(StxReceiver, resume_without_have_is_a_fault) {
  offer(4);
  heard();
  say(Resume{.item = 0, .run_log2 = 0, .roots = {leaf(0)}});
  expect_fault();
}

TEST_F(StxReceiver, resume_twice_is_a_fault) {
  offer(4, {.have = 2});
  heard();
  say(Resume{.item = 0, .run_log2 = 0, .roots = {leaf(0), leaf(1)}});
  say(Resume{.item = 0, .run_log2 = 0, .roots = {leaf(0), leaf(1)}});
  expect_fault();
}

TEST_F(StxReceiver, resume_of_another_number_of_runs_is_a_fault) {
  offer(4, {.have = 2});
  heard();
  say(Resume{.item = 0, .run_log2 = 0, .roots = {leaf(0)}});
  expect_fault();
}

TEST_F(StxReceiver, resume_of_another_run_length_is_a_fault) {
  offer(4, {.have = 2});
  heard();
  say(Resume{.item = 0, .run_log2 = 1, .roots = {leaf(0), leaf(1)}});
  expect_fault();
}

TEST_F(StxReceiver, data_while_resume_is_compared_is_a_fault) {
  offer(4, {.have = 2});
  heard();
  say(Resume{.item = 0, .run_log2 = 0, .roots = {leaf(0), leaf(1)}});
  say(Select{0});
  expect_fault();
}

TEST_F(StxReceiver, start_is_the_equal_runs_from_the_left) {
  offer(4, {.have = 3});
  heard();
  const std::vector<Hash> ours = {leaf(0), leaf(1), leaf(2)};
  receiver.handle_leaves(0, ours, false);
  say(Resume{.item = 0, .run_log2 = 0, .roots = {leaf(0), leaf(9), leaf(2)}});
  EXPECT_EQ(heard(), std::vector<Message>({ResumeOk{.item = 0, .start = 1}}));
  EXPECT_EQ(event<Receiving>()->start, 1U);
  EXPECT_EQ(receiver.leading_blocks(0), 1U);
}

// Runs of several blocks, the last of them partial, at the sizes where they begin.
TEST_F(StxReceiver, start_in_runs_of_two) {
  constexpr std::uint32_t kHave = kMaxRuns + 1;
  for (const bool last_differs : {false, true}) {
    receiver = Receiver(limits, kMaxBlockLog2, false, *engine, now);
    offered = 0;
    offer(kHave + 5, {.have = kHave});
    heard();
    RunRoots theirs(*engine, 1);
    std::vector<Hash> ours;
    for (std::uint32_t i = 0; i < kHave; ++i) {
      ours.push_back(leaf(i));
      theirs.add(leaf(last_differs && i == kHave - 1 ? 7 : i));
    }
    theirs.finish();
    say(Resume{.item = 0, .run_log2 = 1, .roots = {theirs.roots().begin(), theirs.roots().end()}});
    receiver.handle_leaves(0, std::span(ours).first(1000), false);
    receiver.handle_leaves(0, std::span(ours).subspan(1000), false);
    EXPECT_EQ(heard_one<ResumeOk>()->start, last_differs ? kHave - 1 : kHave);
  }
}

TEST_F(StxReceiver, no_resume_means_block_0) {
  for (const Message& first :
       {Message(Select{0}), Message(Zero{.item = 0, .first = 0, .count = 1})}) {
    receiver = Receiver(limits, kMaxBlockLog2, false, *engine, now);
    offered = 0;
    offer(4, {.have = 2});
    event<LeavesWanted>();
    say(first);
    EXPECT_EQ(event<Receiving>()->start, 0U);
  }
}

TEST_F(StxReceiver, end_without_resume_means_block_0_and_misses_all) {
  offer(4, {.have = 4});
  heard();
  say(end(4));
  expect_fault();
}

// --- END

// SPEC stx.md#course
TEST_F(StxReceiver, a_block_missing_at_end_is_a_fault) {
  offer(3);
  say(Select{0});
  block(0);
  block(2);
  heard();
  say(end(3));
  expect_fault();
}

TEST_F(StxReceiver, end_that_differs_is_done_13) {
  const auto differ = [this](auto change) {
    receiver = Receiver(limits, kMaxBlockLog2, false, *engine, now);
    offered = 0;
    offer(2);
    say(Select{0});
    block(0);
    block(1);
    End wrong = end(2);
    change(wrong);
    say(wrong);
    EXPECT_EQ(event<ItemFailed>()->code, Code::root_differs);
    EXPECT_EQ(heard_one<Done>(), (Done{.item = 0, .code = Code::root_differs, .entries = {}}));
    EXPECT_EQ(receiver.state(), Sender::State::running);
  };
  differ([](End& wrong) { wrong.root[31] ^= 1U; });
  differ([](End& wrong) { ++wrong.size_bytes; });
  differ([](End& wrong) { ++wrong.blocks; });
  differ([](End& wrong) { --wrong.blocks; });
}

TEST_F(StxReceiver, end_twice_is_a_fault) {
  offer(0);
  say(end(0));
  heard();
  say(end(0));
  expect_fault();
}

TEST_F(StxReceiver, end_of_unknown_size_tells_it) {
  offer_unknown();
  say(Select{0});
  block(0);
  block(1, 0, 10);
  End told = end(2);
  told.size_bytes = kBlock + 10;
  say(told);
  EXPECT_EQ(event<ItemComplete>()->size_bytes, kBlock + 10U);
}

// --- cost

// (The nodes of the tree are hashed by libcrypto, which allocates: so none are here.)
TEST_F(StxReceiver, a_block_allocates_nothing) {
  offer(4000);
  say(Select{0});
  std::uint32_t next = 1;
  for (; next < 2100; ++next) block(next);
  heard();
  const test::NoAlloc guard;
  for (int i = 0; i < 500; ++i, ++next) {
    const auto slot = head(next);
    receiver.handle_block(0, *slot, leaf(next), kBlock, now);
  }
}

}  // namespace
}  // namespace sealine::stx
