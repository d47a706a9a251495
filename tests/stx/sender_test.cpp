#include "sealine/stx/sender.hpp"

#include "sealine/crypto/engine.hpp"
#include "support/no_alloc.hpp"
#include "support/stx_pair.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

// A sender against a receiver that says what the test wants.

namespace sealine::stx {
namespace {

using test::stx_file;

constexpr std::uint32_t kBlock = 1U << kMinBlockLog2;

class Holes final : public ZeroRuns {
 public:
  Holes() = default;

  std::uint32_t zero_blocks(ItemId, std::uint32_t block) override {
    const auto found = at.find(block);
    return found == at.end() ? 0 : found->second;
  }

  std::map<std::uint32_t, std::uint32_t> at;
};

class StxSender : public ::testing::Test {
 protected:
  void offer(std::uint32_t blocks) {
    sender.offer(stx_file("f", std::uint64_t{blocks} * kBlock), now);
  }

  /// An item of so many blocks, new to the receiver; META is out.
  void begin(std::uint32_t blocks) {
    offer(blocks);
    ASSERT_TRUE(sender.poll_frame(0, now).has_value());
    say(MetaOk{.item = items++});
  }

  void say(const Message& message, LaneId lane = 0) { sender.handle_message(lane, message, now); }

  static Hash leaf(std::uint32_t block) {
    Hash leaf{};
    leaf[0] = static_cast<std::uint8_t>(block);
    leaf[1] = static_cast<std::uint8_t>(block >> 8U);
    return leaf;
  }

  Hash root(std::uint32_t blocks) {
    Tree tree(*engine);
    for (std::uint32_t i = 0; i < blocks; ++i) tree.add(leaf(i));
    return tree.root();
  }

  /// Takes frames whose leaves come later, or never.
  void skip(int frames, LaneId lane = 0) {
    for (int i = 0; i < frames; ++i) ASSERT_TRUE(sender.poll_frame(lane, now).has_value());
  }

  /// All that the sender gives for a lane, in words; a block's leaf is handed in.
  std::vector<std::string> sent(LaneId lane = 0) {
    std::vector<std::string> words;
    while (const auto order = sender.poll_frame(lane, now)) {
      if (const auto* block = std::get_if<BlockFrame>(&*order)) {
        sender.handle_leaf(block->item, block->block, leaf(block->block));
        words.push_back((block->resend ? "r" : "b") + std::to_string(block->block));
        continue;
      }
      const auto& control = std::get<ControlFrame>(*order);
      last = *parse_message(control.head.type(), control.plaintext, Side::client);
      words.push_back(word(control.head.type()));
    }
    return words;
  }

  static std::string word(std::uint8_t type) {
    static const char* const kWords[] = {"", "META",  "",     "",       "",     "RESUME", "", "END",
                                         "", "CLOSE", "KEEP", "SELECT", "DROP", "ZERO"};
    return kWords[type];
  }

  template <class E>
  std::optional<E> event() {
    while (auto next = sender.poll_event()) {
      if (auto* e = std::get_if<E>(&*next)) return std::move(*e);
    }
    return std::nullopt;
  }

  void expect_fault() {
    const auto over = event<SessionOver>();
    ASSERT_TRUE(over.has_value());
    EXPECT_EQ(over->code, Code::protocol);
    EXPECT_FALSE(over->by_peer);
    EXPECT_EQ(sent(), Words{"CLOSE"});
    EXPECT_EQ(std::get<Close>(last).code, Code::protocol);
    EXPECT_EQ(sender.state(), Sender::State::closed);
  }

  void expect_close_6() {
    EXPECT_EQ(event<SessionOver>()->code, Code::line_damage);
    EXPECT_EQ(sent(), Words{"CLOSE"});
    EXPECT_EQ(std::get<Close>(last).code, Code::line_damage);
  }

  void anew() {
    sender = Sender(limits, holes, *engine, now);
    items = 0;
  }

  using Words = std::vector<std::string>;

  std::unique_ptr<crypto::Engine> engine = std::move(*crypto::make_engine());
  TimePoint now{};
  Limits limits;
  Holes holes;
  Sender sender{limits, holes, *engine, now};
  ItemId items = 0;
  Message last;
};

// --- the course

// SPEC stx.md#course
TEST_F(StxSender, one_item_in_its_order) {
  begin(3);
  EXPECT_EQ(sent(), Words({"SELECT", "b0", "b1", "b2"}));
  say(Ack{.received = 4, .durable = 2});
  EXPECT_TRUE(sent().empty()) << "block 2 is not covered";
  say(Ack{.received = 5, .durable = 2});
  EXPECT_EQ(sent(), Words{"END"});
  EXPECT_EQ(std::get<End>(last),
            (End{.item = 0, .blocks = 3, .size_bytes = 3 * kBlock, .root = root(3)}));
  sender.finish();
  EXPECT_TRUE(sent().empty());
  say(Done{});
  EXPECT_EQ(sent(), Words{"CLOSE"});
  EXPECT_EQ(sender.state(), Sender::State::closing);
  say(Close{});
  EXPECT_EQ(sender.state(), Sender::State::closed);
  EXPECT_EQ(event<ItemOver>()->code, Code::normal);
  EXPECT_EQ(event<SessionOver>()->code, Code::normal);
}

TEST_F(StxSender, later_items_go_on_while_the_first_waits_for_acknowledgement) {
  begin(1);
  begin(1);
  EXPECT_EQ(sent(), Words({"SELECT", "b0", "SELECT", "b0"}));
}

TEST_F(StxSender, nothing_goes_before_meta_ok) {
  offer(2);
  EXPECT_EQ(sent(), Words{"META"});
  EXPECT_TRUE(sent().empty());
}

// SPEC stx.md#limits
TEST_F(StxSender, meta_runs_64_items_ahead) {
  unsigned offered = 0;
  for (; sender.can_offer(); ++offered) offer(1);
  EXPECT_EQ(offered, kMaxOpenItems);
  sent();
  say(MetaOk{.item = 0, .code = Code::refused});
  EXPECT_TRUE(sender.can_offer());
}

TEST_F(StxSender, meta_runs_4_mib_ahead) {
  Meta meta = stx_file("d", 0);
  meta.entries.assign(250, {.kind = EntryKind::directory, .name = std::string(4095, 'x')});
  std::size_t bytes = 0;
  for (; sender.can_offer(); bytes += encoded_bytes(meta)) sender.offer(meta, now);
  EXPECT_LE(bytes, kMaxOpenMetaBytes);
  EXPECT_GT(bytes, kMaxOpenMetaBytes - 2 * kMaxFrameBytes);
}

// SPEC stx.md#course
TEST_F(StxSender, resumes_behind_what_is_proved) {
  offer(4);
  sent();
  say(MetaOk{.item = 0, .have = 3});
  EXPECT_EQ(event<LeavesWanted>()->count, 3U);
  EXPECT_TRUE(sent().empty());
  const std::vector<Hash> leaves = {leaf(0), leaf(1), leaf(2)};
  sender.handle_leaves(0, std::span(leaves).first(1));
  sender.handle_leaves(0, std::span(leaves).subspan(1));
  EXPECT_EQ(sent(), Words{"RESUME"});
  EXPECT_EQ(std::get<Resume>(last), (Resume{.item = 0, .run_log2 = 0, .roots = leaves}));
  say(ResumeOk{.item = 0, .start = 2});
  EXPECT_EQ(event<ItemStarted>()->start, 2U);
  EXPECT_EQ(sent(), Words({"SELECT", "b2", "b3"}));
  say(Ack{.received = 5, .durable = 2});
  EXPECT_EQ(sent(), Words{"END"});
  EXPECT_EQ(std::get<End>(last).root, root(4)) << "the tree goes on from the proved prefix";
}

TEST_F(StxSender, all_there_means_end_without_select) {
  offer(2);
  sent();
  say(MetaOk{.item = 0, .have = 2});
  const std::vector<Hash> leaves = {leaf(0), leaf(1)};
  sender.handle_leaves(0, leaves);
  sent();
  say(ResumeOk{.item = 0, .start = 2});
  EXPECT_EQ(sent(), Words{"END"});
  EXPECT_EQ(std::get<End>(last).root, root(2));
}

// SPEC stx.md#course
TEST_F(StxSender, receiver_may_have_more_of_a_stream_than_it_turns_out_to_be) {
  Meta meta = stx_file("-", 0);
  meta.size_unknown = true;
  sender.offer(meta, now);
  sender.supply(0, 2, 2 * kBlock);
  skip(1);
  say(MetaOk{.item = 0, .code = {}, .have = 5});
  const auto wanted = event<LeavesWanted>();
  ASSERT_TRUE(wanted.has_value());
  sender.cannot_read_twice(0);
  EXPECT_EQ(sent(), Words({"SELECT", "b0", "b1"}));
}

// SPEC stx.md#items
TEST_F(StxSender, holes_go_as_zero_on_lane_0) {
  sender.handle_lane_opened(1, now);
  holes.at = {{1, 2}};
  begin(4);
  EXPECT_EQ(sent(1), Words({"SELECT", "b0", "b3"}));
  EXPECT_EQ(sender.poll_timeout(), TimePoint::min()) << "lane 0 has something now";
  EXPECT_EQ(sent(0), Words{"ZERO"});
  EXPECT_EQ(std::get<Zero>(last), (Zero{.item = 0, .first = 1, .count = 2}));
  say(Ack{.received = 3, .durable = 0}, 1);
  EXPECT_TRUE(sent().empty()) << "the run is not covered";
  say(Ack{.received = 2, .durable = 0});
  EXPECT_EQ(sent(), Words{"END"});
}

TEST_F(StxSender, unknown_size_ends_with_what_was_supplied) {
  Meta meta = stx_file("-", 0);
  meta.size_unknown = true;
  sender.offer(meta, now);
  sent();
  say(MetaOk{.item = 0});
  EXPECT_TRUE(sent().empty());
  sender.supply(0, 2, std::nullopt);
  EXPECT_EQ(sent(), Words({"SELECT", "b0", "b1"}));
  say(Ack{.received = 4, .durable = 0});
  EXPECT_TRUE(sent().empty());
  sender.supply(0, 3, 2 * kBlock + 7);
  const auto order = sender.poll_frame(0, now);
  EXPECT_EQ(std::get<BlockFrame>(*order).block_bytes, 7U);
  sender.handle_leaf(0, 2, leaf(2));
  say(Ack{.received = 5, .durable = 0});
  EXPECT_EQ(sent(), Words{"END"});
  EXPECT_EQ(std::get<End>(last),
            (End{.item = 0, .blocks = 3, .size_bytes = 2 * kBlock + 7, .root = root(3)}));
}

TEST_F(StxSender, end_waits_for_leaves) {
  begin(1);
  skip(2);  // SELECT, and a block whose leaf is still being hashed
  say(Ack{.received = 3, .durable = 0});
  EXPECT_TRUE(sent().empty());
  sender.handle_leaf(0, 0, leaf(0));
  EXPECT_EQ(sent(), Words{"END"});
}

TEST_F(StxSender, drop_is_the_last_of_an_item) {
  begin(2);
  sent();
  sender.drop(0, Code::source_changed);
  sender.finish();
  EXPECT_EQ(sent(), Words({"DROP", "CLOSE"}));
}

TEST_F(StxSender, answers_that_crossed_a_drop_are_let_pass) {
  offer(2);
  sent();
  sender.drop(0, Code::source_changed);
  EXPECT_EQ(sent(), Words{"DROP"});
  say(MetaOk{.item = 0, .have = 1});
  say(Done{.item = 0, .code = Code::no_space, .entries = {}});
  EXPECT_EQ(sender.state(), Sender::State::running);
  EXPECT_FALSE(event<ItemOver>().has_value());
  say(Ack{.received = 2, .durable = 2});  // covers DROP: nothing can come any more
  say(Done{.item = 0, .code = Code::no_space, .entries = {}});
  expect_fault();
}

TEST_F(StxSender, done_with_a_code_ends_an_item_at_any_time) {
  const auto after = [this](auto what) {
    anew();
    what();
    say(Done{.item = 0, .code = Code::no_space, .entries = {}});
    EXPECT_EQ(event<ItemOver>()->code, Code::no_space);
    EXPECT_TRUE(sent().empty());
    EXPECT_EQ(sender.state(), Sender::State::running);
  };
  after([&] { offer(3), sent(); });
  after([&] { begin(3); });
  after([&] { begin(3), sent(); });
  after([&] { begin(0), sent(); });
  after([&] { offer(3), sent(), say(MetaOk{.item = 0, .have = 1}); });
}

// --- window

// SPEC stx.md#acknowledgement
TEST_F(StxSender, the_window_counts_in_order_of_sending) {
  limits.window_bytes = 4 * kBlock;
  anew();
  begin(20);
  EXPECT_EQ(sent(), Words({"SELECT", "b0", "b1", "b2", "b3"}));
  say(Nak{2});
  say(Ack{.received = 6, .durable = 0});
  EXPECT_EQ(sent(), Words{"r0"}) << "the oldest is not covered before its resend is";
  say(Ack{.received = 7, .durable = 0});
  EXPECT_EQ(sent(), Words({"b4", "b5", "b6", "b7"}));
}

TEST_F(StxSender, a_small_frame_counts_as_16_kib) {
  limits.window_bytes = 4 * kBlock;
  anew();
  for (int i = 0; i < 8; ++i) {
    sender.offer(stx_file("f", 1), now);
    skip(1);
    say(MetaOk{.item = static_cast<ItemId>(i)});
  }
  unsigned blocks = 0;
  for (const auto& word : sent()) blocks += word == "b0" ? 1 : 0;
  EXPECT_EQ(blocks, 4U);
}

TEST_F(StxSender, a_resend_goes_first) {
  begin(9);
  skip(4);  // SELECT, b0, b1, b2
  say(Nak{2});
  EXPECT_EQ(sent()[0], "r0");
}

TEST_F(StxSender, a_lane_stops_when_nothing_is_acknowledged) {
  // A receiver that ends items without acknowledging frames.
  unsigned frames = 0;
  for (ItemId i = 0; i < 20000; ++i) {
    ASSERT_TRUE(sender.can_offer());
    offer(1);
    const auto words = sent();
    if (words.empty()) break;
    frames += static_cast<unsigned>(words.size());
    say(MetaOk{.item = i, .code = Code::refused});
  }
  EXPECT_EQ(frames, 16384U);
  sender.close(Code::shutting_down);
  EXPECT_EQ(sent(), Words{"CLOSE"});
}

// --- ACK and NAK that cannot be

// SPEC stx.md#acknowledgement
TEST_F(StxSender, forged_acks_are_faults) {
  const Ack wrong[] = {{.received = 6, .durable = 0},   // beyond what was sent
                       {.received = 2, .durable = 0},   // going back
                       {.received = 4, .durable = 0},   // durable going back
                       {.received = 4, .durable = 5}};  // above received
  for (const Ack& ack : wrong) {
    anew();
    begin(3);
    sent();
    say(Ack{.received = 3, .durable = 2});
    say(ack);
    expect_fault();
  }
}

TEST_F(StxSender, forged_naks_are_faults) {
  for (const std::uint64_t frame : {1U, 5U, 99U}) {  // below received, not yet sent
    anew();
    begin(3);
    sent();
    say(Ack{.received = 2, .durable = 0});
    say(Nak{frame});
    expect_fault();
  }
}

TEST_F(StxSender, a_frame_is_not_damaged_twice) {
  begin(3);
  sent();
  say(Nak{2});
  say(Nak{2});
  expect_fault();
}

TEST_F(StxSender, the_third_nak_of_a_block_closes_with_6) {
  begin(3);
  sent();
  say(Nak{2});
  EXPECT_EQ(sent(), Words{"r0"});
  say(Nak{5});
  EXPECT_EQ(sent(), Words{"r0"});
  say(Nak{6});
  expect_close_6();
}

TEST_F(StxSender, a_nak_of_a_control_frame_closes_with_6) {
  for (const std::uint64_t frame : {0U, 1U}) {  // META, SELECT
    anew();
    begin(3);
    sent();
    say(Nak{frame});
    expect_close_6();
  }
}

TEST_F(StxSender, acks_are_of_their_lane) {
  sender.handle_lane_opened(1, now);
  begin(3);
  EXPECT_EQ(sent(1), Words({"SELECT", "b0", "b1", "b2"}));
  say(Ack{.received = 2, .durable = 0});
  expect_fault();
}

// --- lanes

// SPEC stx.md#lanes
TEST_F(StxSender, blocks_of_a_lane_that_ended_go_to_the_others) {
  sender.handle_lane_opened(1, now);
  begin(4);
  skip(4, 1);  // SELECT, b0, b1, b2
  say(Ack{.received = 2, .durable = 0}, 1);
  sender.handle_leaf(0, 0, leaf(0));
  sender.handle_lane_ended(1, now);
  EXPECT_EQ(sent(), Words({"SELECT", "r1", "r2", "b3"}));
  say(Ack{.received = 5, .durable = 0});
  EXPECT_EQ(sent(), Words{"END"});
  EXPECT_EQ(std::get<End>(last).root, root(4));
}

TEST_F(StxSender, a_lane_that_the_server_closes_is_answered) {
  sender.handle_lane_opened(1, now);
  begin(2);
  EXPECT_EQ(sent(1), Words({"SELECT", "b0", "b1"}));
  say(Close{}, 1);
  EXPECT_EQ(sent(1), Words{"CLOSE"});
  EXPECT_EQ(sent(0), Words({"SELECT", "r0", "r1"}));
  sender.handle_lane_ended(1, now);
  EXPECT_TRUE(sent(0).empty()) << "once is enough";
}

TEST_F(StxSender, select_stands_before_the_first_block_of_another_item_on_each_lane) {
  sender.handle_lane_opened(1, now);
  begin(2);
  begin(2);
  skip(1);
  EXPECT_EQ(std::get<BlockFrame>(*sender.poll_frame(0, now)).item, 0U);
  EXPECT_EQ(sent(1), Words({"SELECT", "b1", "SELECT", "b0", "b1"}));
}

TEST_F(StxSender, other_lanes_hear_ack_nak_keepalive_and_close_alone) {
  const Message wrong[] = {MetaOk{}, ResumeOk{}, Done{}};
  for (const Message& message : wrong) {
    anew();
    sender.handle_lane_opened(1, now);
    begin(1);
    say(message, 1);
    expect_fault();
  }
}

// --- answers that cannot be

// SPEC stx.md#course
TEST_F(StxSender, answers_about_items_that_were_not_offered_are_faults) {
  const Message wrong[] = {MetaOk{.item = 1}, ResumeOk{.item = 1},
                           Done{.item = 1, .code = Code::name, .entries = {}}};
  for (const Message& message : wrong) {
    anew();
    begin(1);
    offer(1);  // META waits
    say(message);
    EXPECT_EQ(sender.state(), Sender::State::closed);
  }
}

TEST_F(StxSender, meta_ok_out_of_order_is_a_fault) {
  offer(1);
  offer(1);
  sent();
  say(MetaOk{.item = 1});
  expect_fault();
}

TEST_F(StxSender, meta_ok_twice_is_a_fault) {
  begin(1);
  say(MetaOk{.item = 0});
  expect_fault();
}

TEST_F(StxSender, have_above_the_blocks_is_a_fault) {
  offer(3);
  sent();
  say(MetaOk{.item = 0, .have = 4});
  expect_fault();
}

TEST_F(StxSender, resume_ok_without_resume_is_a_fault) {
  begin(1);
  say(ResumeOk{.item = 0, .start = 0});
  expect_fault();
}

TEST_F(StxSender, start_that_no_run_ends_at_is_a_fault) {
  offer(4);
  sent();
  say(MetaOk{.item = 0, .have = 2});
  const std::vector<Hash> leaves = {leaf(0), leaf(1)};
  sender.handle_leaves(0, leaves);
  sent();
  say(ResumeOk{.item = 0, .start = 3});
  expect_fault();
}

TEST_F(StxSender, done_0_before_end_is_a_fault) {
  begin(1);
  say(Done{});
  expect_fault();
}

TEST_F(StxSender, done_about_an_entry_that_is_not_there_is_a_fault) {
  begin(0);
  sent();
  say(Done{.item = 0, .code = Code::normal, .entries = {{.entry = 1, .code = Code::exists}}});
  expect_fault();
}

TEST_F(StxSender, done_twice_is_a_fault) {
  begin(0);
  sent();
  say(Done{});
  say(Done{});
  expect_fault();
}

TEST_F(StxSender, messages_of_a_client_are_faults) {
  const Message wrong[] = {Meta{}, Resume{}, End{}, Select{}, Drop{}, Zero{}};
  for (const Message& message : wrong) {
    anew();
    say(message);
    expect_fault();
  }
}

TEST_F(StxSender, close_0_with_an_item_not_over_is_a_fault) {
  begin(1);
  sent();
  say(Close{});
  expect_fault();
}

TEST_F(StxSender, close_with_a_code_ends_the_session) {
  begin(1);
  sent();
  say(Close{Code::busy});
  const auto over = event<SessionOver>();
  EXPECT_EQ(over->code, Code::busy);
  EXPECT_TRUE(over->by_peer);
  EXPECT_EQ(sent(), Words{"CLOSE"});
}

TEST_F(StxSender, what_does_not_parse_is_a_fault) {
  sender.handle_bad_message({Errc::protocol_broken}, now);
  expect_fault();
}

// --- durable

// SPEC stx.md#acknowledgement
TEST_F(StxSender, durable_speaks_of_all_blocks_up_to_its_own) {
  begin(4);
  sent();
  say(Ack{.received = 5, .durable = 4});
  EXPECT_EQ(event<BlocksDurable>()->blocks, 2U);
  say(Ack{.received = 6, .durable = 4});
  EXPECT_FALSE(event<BlocksDurable>().has_value());
  say(Ack{.received = 6, .durable = 6});
  EXPECT_EQ(event<BlocksDurable>()->blocks, 4U);
}

TEST_F(StxSender, a_damaged_frame_holds_nothing_durable) {
  begin(2);
  sent();
  say(Nak{3});
  say(Ack{.received = 4, .durable = 4});
  EXPECT_EQ(event<BlocksDurable>()->blocks, 1U);
}

// --- time

TEST_F(StxSender, says_keepalive_and_gives_up) {
  EXPECT_EQ(sender.poll_timeout(), now + limits.keep_alive_after);
  now += limits.keep_alive_after;
  sender.handle_timeout(now);
  EXPECT_EQ(sent(), Words{"KEEP"});
  now = TimePoint{} + limits.silence_timeout;
  sender.handle_timeout(now);
  EXPECT_EQ(event<SessionOver>()->fault.code, Errc::idle_timeout);
}

TEST_F(StxSender, every_frame_of_the_receiver_is_a_sign_of_life) {
  now += std::chrono::seconds(20);
  say(KeepAlive{});
  now += std::chrono::seconds(20);
  sender.handle_timeout(now);
  EXPECT_EQ(sender.state(), Sender::State::running);
}

TEST_F(StxSender, a_silent_lane_ends_alone) {
  sender.handle_lane_opened(2, now);
  begin(1);
  EXPECT_EQ(sent(2), Words({"SELECT", "b0"}));
  now += std::chrono::seconds(20);
  say(KeepAlive{});
  now += std::chrono::seconds(10);
  sender.handle_timeout(now);
  EXPECT_EQ(event<LaneSilent>()->lane, 2);
  EXPECT_EQ(sent(), Words({"SELECT", "r0"}));
}

// --- cost

TEST_F(StxSender, a_block_allocates_nothing) {
  limits.window_bytes = 100 * kBlock;
  anew();
  begin(4000);
  skip(2);  // SELECT, and block 0 without its leaf: no node is hashed, for libcrypto allocates
  std::uint64_t received = 3;
  const auto window_of_blocks = [&] {
    for (int i = 0; i < 99; ++i, ++received) {
      const auto order = sender.poll_frame(0, now);
      const auto* block = std::get_if<BlockFrame>(&*order);
      sender.handle_leaf(0, block->block, leaf(block->block));
    }
    sender.handle_message(0, Ack{.received = received, .durable = 0}, now);
  };
  for (int i = 0; i < 11; ++i) window_of_blocks();
  const test::NoAlloc guard;
  for (int i = 0; i < 8; ++i) window_of_blocks();
}

}  // namespace
}  // namespace sealine::stx
