#include "sealine/stx/receiver.hpp"

#include "sealine/crypto/engine.hpp"
#include "support/no_alloc.hpp"
#include "support/stx_pair.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

// A receiver against a sender that says what the test wants.

namespace sealine::stx {
namespace {

using test::stx_content;
using test::stx_file;
using test::stx_leaf;

constexpr std::uint32_t kBlock = 1U << kMinBlockLog2;

class StxReceiver : public ::testing::Test {
 protected:
  /// A control frame that opened.
  void say(const Message& message, LaneId lane = 0) {
    const auto slot =
        receiver.expect_frame(lane,
                              {.sequence = kControlSequence | type_of(message),
                               .size_bytes = static_cast<std::uint32_t>(encoded_bytes(message))},
                              now);
    ASSERT_TRUE(slot.has_value());
    receiver.handle_message(lane, *slot, message, now);
  }

  Result<FrameSlot> head(std::uint32_t block, LaneId lane = 0, std::uint32_t size = kBlock) {
    return receiver.expect_frame(lane, {.sequence = block, .size_bytes = size}, now);
  }

  void block(std::uint32_t number, LaneId lane = 0, std::uint32_t size = kBlock) {
    const auto slot = head(number, lane, size);
    ASSERT_TRUE(slot.has_value());
    write(*slot, lane, size);
  }

  void write(const FrameSlot& slot, LaneId lane = 0, std::uint32_t size = kBlock) {
    receiver.handle_block(lane, slot, leaf(slot.head.sequence), size, now);
  }

  static Hash leaf(std::uint32_t block) {
    Hash leaf{};
    leaf[0] = static_cast<std::uint8_t>(block);
    leaf[1] = static_cast<std::uint8_t>(block >> 8U);
    leaf[2] = static_cast<std::uint8_t>(block >> 16U);
    return leaf;
  }

  Hash root(std::uint32_t blocks) {
    Tree tree(*engine);
    for (std::uint32_t i = 0; i < blocks; ++i) tree.add(leaf(i));
    return tree.root();
  }

  /// META of a file of so many full blocks, and the answer.
  void offer(std::uint32_t blocks, const MetaAnswer& answer = {}) {
    Meta meta = stx_file("f" + std::to_string(offered), std::uint64_t{blocks} * kBlock);
    meta.item = offered++;
    say(meta);
    receiver.answer(meta.item, answer);
  }

  void offer_unknown() {
    Meta meta = stx_file("-", 0);
    meta.item = offered++;
    meta.size_unknown = true;
    say(meta);
    receiver.answer(meta.item, {});
  }

  End end(std::uint32_t blocks) {
    return {.item = 0,
            .blocks = blocks,
            .size_bytes = std::uint64_t{blocks} * kBlock,
            .root = root(blocks)};
  }

  /// What the receiver sends on a lane.
  std::vector<Message> heard(LaneId lane = 0) {
    std::vector<Message> messages;
    while (const auto frame = receiver.poll_frame(lane, now)) {
      messages.push_back(*parse_message(frame->head.type(), frame->plaintext, Side::server));
    }
    return messages;
  }

  template <class M>
  std::optional<M> heard_one(LaneId lane = 0) {
    std::optional<M> found;
    for (const Message& message : heard(lane)) {
      if (const auto* m = std::get_if<M>(&message)) found = *m;
    }
    return found;
  }

  template <class E>
  std::optional<E> event() {
    while (auto next = receiver.poll_event()) {
      if (auto* e = std::get_if<E>(&*next)) return std::move(*e);
    }
    return std::nullopt;
  }

  /// CLOSE{1}, the last frame.
  void expect_fault() {
    const auto over = event<SessionOver>();
    ASSERT_TRUE(over.has_value());
    EXPECT_EQ(over->code, Code::protocol);
    EXPECT_FALSE(over->by_peer);
    EXPECT_EQ(over->fault.code, Errc::protocol_broken);
    EXPECT_EQ(heard(), std::vector<Message>{Close{Code::protocol}});
    EXPECT_EQ(receiver.state(), Sender::State::closed);
    EXPECT_TRUE(heard().empty());
  }

  std::unique_ptr<crypto::Engine> engine = std::move(*crypto::make_engine());
  TimePoint now{};
  Limits limits;
  Receiver receiver{limits, kMaxBlockLog2, false, *engine, now};
  ItemId offered = 0;
};

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

// --- SELECT, blocks

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
