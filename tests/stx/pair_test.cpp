#include "sealine/stx/receiver.hpp"
#include "sealine/stx/sender.hpp"
#include "support/stx_pair.hpp"

#include <gtest/gtest.h>

#include <algorithm>

// Both machines against each other, over lanes that deliver in an order drawn by a seed.

namespace sealine::stx {
namespace {

using test::stx_content;
using test::stx_file;
using test::StxFrame;
using test::StxPair;
using test::StxSource;

constexpr std::size_t kBlock = std::size_t{1} << kMinBlockLog2;

StxSource file(std::string name, std::size_t size, std::uint64_t seed = 0) {
  return {.meta = stx_file(std::move(name), size), .content = stx_content(size, seed)};
}

void expect_clean_end(const StxPair& pair) {
  ASSERT_TRUE(pair.sender_over && pair.receiver_over);
  EXPECT_EQ(pair.sender_over->code, Code::normal);
  EXPECT_FALSE(pair.sender_over->by_peer);
  EXPECT_EQ(pair.receiver_over->code, Code::normal);
  EXPECT_TRUE(pair.receiver_over->by_peer);
}

void expect_delivered(const StxPair& pair, std::size_t source = 0) {
  const StxSource& sent = pair.sources[source];
  const auto& name = sent.meta.entries[0].name;
  ASSERT_TRUE(pair.disk.contains(name));
  EXPECT_TRUE(pair.disk.at(name).finished);
  EXPECT_TRUE(pair.disk.at(name).part == sent.content) << name;
}

// SPEC stx.md#course
TEST(StxPair, one_file) {
  StxPair pair;
  pair.sources.push_back(file("a", 5 * kBlock + 100));
  pair.start();
  pair.run();
  expect_clean_end(pair);
  expect_delivered(pair);
  EXPECT_EQ(pair.over.at(0).code, Code::normal);
  EXPECT_EQ(pair.blocks_sent, 6U);
}

/// Runs until `blocks` blocks have been written, or nothing is left to do.
void run_until_written(StxPair& pair, std::uint64_t blocks) {
  while (pair.blocks_written < blocks && pair.step()) {
  }
}

// SPEC stx.md#items
TEST(StxPair, edges_of_sizes) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kBlock - 1, kBlock, kBlock + 1,
                                 2 * kBlock, 3 * kBlock - 1}) {
    StxPair pair;
    pair.sources = {file("a", size)};
    pair.start();
    pair.run();
    expect_clean_end(pair);
    expect_delivered(pair);
  }
}

// SPEC stx.md#course
TEST(StxPair, many_items_cost_no_round_trip_each) {
  StxPair pair;
  for (int i = 0; i < 300; ++i) {
    pair.sources.push_back(file("f" + std::to_string(i), static_cast<std::size_t>(i) * 300));
  }
  pair.start();
  pair.run();
  expect_clean_end(pair);
  for (std::size_t i = 0; i < pair.sources.size(); ++i) expect_delivered(pair, i);
}

TEST(StxPair, blocks_written_out_of_order) {
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    StxPair pair(seed);
    pair.in_order = false;
    pair.write_ahead = 40;
    pair.sources = {file("a", 60 * kBlock + 5), file("b", 20 * kBlock, 3)};
    pair.start();
    pair.run();
    expect_clean_end(pair);
    expect_delivered(pair, 0);
    expect_delivered(pair, 1);
  }
}

// SPEC stx.md#acknowledgement
TEST(StxPair, damaged_blocks_are_sent_again) {
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    StxPair pair(seed);
    pair.in_order = false;
    pair.sources = {file("a", 50 * kBlock + 5)};
    std::uint64_t count = 0;
    pair.tamper = [&](LaneId, StxFrame& frame) {
      frame.damaged = !frame.head.is_control() && ++count % 7 == 0;
      return true;
    };
    pair.start();
    pair.run();
    expect_clean_end(pair);
    expect_delivered(pair);
    EXPECT_GT(pair.blocks_sent, 51U);
    EXPECT_EQ(pair.blocks_written, 51U);
  }
}

// SPEC stx.md#limits
TEST(StxPair, a_block_damaged_three_times_ends_the_session) {
  StxPair pair;
  pair.sources = {file("a", 5 * kBlock)};
  pair.tamper = [](LaneId, StxFrame& frame) {
    frame.damaged = frame.head.sequence == 2;
    return true;
  };
  pair.start();
  pair.run();
  ASSERT_TRUE(pair.sender_over && pair.receiver_over);
  EXPECT_EQ(pair.sender_over->code, Code::line_damage);
  EXPECT_FALSE(pair.sender_over->by_peer);
  EXPECT_EQ(pair.receiver_over->code, Code::line_damage);
  EXPECT_TRUE(pair.receiver_over->by_peer);
  EXPECT_EQ(std::ranges::count(pair.server_log, "4"), 3);
}

TEST(StxPair, a_damaged_control_frame_ends_the_session) {
  StxPair pair;
  pair.sources = {file("a", 5 * kBlock)};
  pair.tamper = [](LaneId, StxFrame& frame) {
    frame.damaged = frame.head.is_control() && frame.head.type() == 7;
    return true;
  };
  pair.start();
  pair.run();
  ASSERT_TRUE(pair.sender_over && pair.receiver_over);
  EXPECT_EQ(pair.sender_over->code, Code::line_damage);
  EXPECT_EQ(pair.sender_over->fault.code, Errc::line_damaged);
}

// SPEC stx.md#limits
TEST(StxPair, the_hundredth_nak_of_a_session_ends_it) {
  StxPair pair;
  pair.sources = {file("a", 400 * kBlock)};
  pair.tamper = [](LaneId, StxFrame& frame) {
    frame.damaged = !frame.head.is_control() && frame.counter % 2 == 0;
    return true;
  };
  pair.start();
  pair.run();
  ASSERT_TRUE(pair.receiver_over);
  EXPECT_EQ(pair.receiver_over->code, Code::line_damage);
  EXPECT_FALSE(pair.receiver_over->by_peer);
  EXPECT_EQ(std::ranges::count(pair.server_log, "4"), 99);
}

// --- lanes

// SPEC stx.md#lanes
TEST(StxPair, lanes_come_and_go) {
  for (std::uint64_t seed = 1; seed < 30; ++seed) {
    StxPair pair(seed);
    pair.in_order = false;
    pair.limits.window_bytes = 12 * kBlock;
    pair.sources = {file("a", 60 * kBlock + 9, seed), file("b", 30 * kBlock), file("c", 7)};
    pair.start();
    pair.open_lane(1);
    pair.open_lane(2);
    run_until_written(pair, 20);
    pair.cut_lane(1);
    run_until_written(pair, 30);
    pair.open_lane(1);
    pair.open_lane(3);
    run_until_written(pair, 50);
    pair.cut_lane(2);
    pair.cut_lane(3);
    pair.run();
    expect_clean_end(pair);
    for (std::size_t i = 0; i < 3; ++i) expect_delivered(pair, i);
  }
}

// SPEC stx.md#lanes
TEST(StxPair, the_end_of_lane_0_is_truncated) {
  StxPair pair;
  pair.sources = {file("a", 20 * kBlock)};
  pair.start();
  run_until_written(pair, 5);
  pair.cut_lane(0);
  ASSERT_TRUE(pair.sender_over && pair.receiver_over);
  EXPECT_EQ(pair.sender_over->fault.code, Errc::truncated);
  EXPECT_EQ(pair.receiver_over->fault.code, Errc::truncated);
  EXPECT_EQ(retry_after(pair.sender_over->code), Retry::always);
}

// --- resuming

struct Interrupted : ::testing::Test {
  /// 20 blocks, of which at least 8 are durable when the connection is lost.
  Interrupted() {
    pair.commit_every = 2;
    pair.sources = {file("a", 20 * kBlock - 7)};
    pair.start();
    run_until_written(pair, 9);
    pair.crash();
    EXPECT_GE(pair.disk["a"].have, 8U);
    have = pair.disk["a"].have;
    written_before = pair.blocks_written;
  }

  void again() {
    pair.start();
    pair.run();
    expect_clean_end(pair);
    expect_delivered(pair);
  }

  StxPair pair;
  std::uint32_t have = 0;
  std::uint64_t written_before = 0;
};

// SPEC stx.md#course
TEST_F(Interrupted, goes_on_from_what_is_proved) {
  again();
  EXPECT_EQ(pair.started.at(0), have);
  EXPECT_EQ(pair.blocks_written - written_before, 20U - have);
}

TEST_F(Interrupted, changed_source_starts_at_the_first_difference) {
  pair.sources[0].content[3 * kBlock + 17] ^= 1U;
  again();
  EXPECT_EQ(pair.started.at(0), 3U);
}

TEST_F(Interrupted, damaged_part_starts_at_the_first_difference) {
  pair.disk["a"].part[5 * kBlock] ^= 1U;
  again();
  EXPECT_EQ(pair.started.at(0), 5U);
}

TEST_F(Interrupted, shrunk_source) {
  pair.sources[0].content.resize(2 * kBlock + 1);
  pair.sources[0].meta = stx_file("a", 2 * kBlock + 1);
  again();
  EXPECT_EQ(pair.started.at(0), 2U);
}

TEST_F(Interrupted, grown_source) {
  pair.sources[0].content = stx_content(25 * kBlock);
  pair.sources[0].meta = stx_file("a", 25 * kBlock);
  again();
  EXPECT_EQ(pair.started.at(0), have);
}

TEST_F(Interrupted, part_file_shorter_than_the_ledger_says) {
  pair.disk["a"].part.resize(4 * kBlock + 3);
  again();
  EXPECT_EQ(pair.started.at(0), 4U);
}

TEST_F(Interrupted, part_file_gone) {
  pair.disk["a"].part.clear();
  again();
  EXPECT_EQ(pair.started.at(0), 0U);
}

TEST_F(Interrupted, source_that_cannot_be_read_twice_starts_anew) {
  pair.sources[0].unreadable_twice = true;
  again();
  EXPECT_EQ(pair.started.at(0), 0U);
  EXPECT_EQ(std::ranges::count(pair.client_log, "c5"), 0);
}

TEST(StxPair, finished_file_in_place_is_proved_and_not_sent) {
  StxPair pair;
  pair.sources = {file("a", 9 * kBlock + 1)};
  pair.start();
  pair.run();
  const auto sent = pair.blocks_sent;
  pair.start();
  pair.run();
  expect_clean_end(pair);
  expect_delivered(pair);
  EXPECT_EQ(pair.blocks_sent, sent);
  EXPECT_EQ(pair.started.at(0), 10U);
  EXPECT_EQ(std::ranges::count(pair.client_log, "c11"), 0) << "no SELECT without a block";
}

TEST(StxPair, other_content_in_place) {
  for (const bool keep_old : {false, true}) {
    StxPair pair;
    pair.sources = {file("a", 9 * kBlock)};
    pair.start();
    pair.run();
    const auto old = pair.disk["a"].part;
    pair.sources[0].content[8 * kBlock] ^= 1U;
    pair.policy = [&](const Meta&) {
      return MetaAnswer{.have = 9, .in_place = true, .keep_old = keep_old};
    };
    pair.start();
    pair.run();
    expect_clean_end(pair);
    if (keep_old) {
      EXPECT_EQ(pair.over.at(0).code, Code::exists);
      EXPECT_EQ(pair.failed.at(0), Code::exists);
      EXPECT_TRUE(pair.disk["a"].part == old);
    } else {
      EXPECT_EQ(pair.started.at(0), 0U) << "never from the middle of a file in its place";
      expect_delivered(pair);
    }
  }
}

// --- kinds of items

// SPEC stx.md#items
TEST(StxPair, pack_with_entries_kept_out) {
  StxPair pair;
  StxSource pack = file("d/a", 100);
  pack.meta.entries.push_back(
      {.kind = EntryKind::file, .mode = 0600, .size_bytes = kBlock, .name = "d/b"});
  pack.meta.entries.push_back({.kind = EntryKind::directory, .mode = 0755, .name = "d"});
  pack.content = stx_content(100 + kBlock);
  pair.sources = {pack};
  pair.kept_out = {{.entry = 1, .code = Code::exists}};
  pair.start();
  pair.run();
  expect_clean_end(pair);
  EXPECT_EQ(pair.over.at(0).code, Code::normal);
  EXPECT_EQ(pair.over.at(0).entries, pair.kept_out);
  EXPECT_FALSE(pair.durable_told.contains(0)) << "a pack is durable with DONE";
}

// SPEC stx.md#items
TEST(StxPair, holes_are_not_sent) {
  StxPair pair;
  pair.sources = {file("a", 40 * kBlock + 10)};
  auto& source = pair.sources[0];
  source.holes = true;
  std::fill(source.content.begin() + 3 * kBlock, source.content.begin() + 20 * kBlock, 0);
  std::fill(source.content.begin() + 30 * kBlock, source.content.end(), 0);
  pair.start();
  pair.open_lane(1);
  pair.run();
  expect_clean_end(pair);
  expect_delivered(pair);
  EXPECT_EQ(pair.blocks_sent, 13U);
  EXPECT_EQ(std::ranges::count(pair.client_log, "c13"), 2);
}

TEST(StxPair, nothing_but_holes) {
  StxPair pair;
  pair.sources = {file("a", 40 * kBlock + 10)};
  pair.sources[0].holes = true;
  std::ranges::fill(pair.sources[0].content, 0);
  pair.start();
  pair.run();
  expect_clean_end(pair);
  expect_delivered(pair);
  EXPECT_EQ(pair.blocks_sent, 0U);
}

// SPEC stx.md#items
TEST(StxPair, padded_last_block) {
  StxPair pair;
  pair.sources = {file("a", 4 * kBlock + 10)};
  pair.sources[0].pad = true;
  pair.start();
  pair.run();
  expect_clean_end(pair);
  expect_delivered(pair);
}

// SPEC stx.md#items
TEST(StxPair, unknown_size) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{10}, kBlock, 7 * kBlock + 1}) {
    StxPair pair(size);
    pair.in_order = false;
    pair.sources = {file("a", size)};
    pair.sources[0].meta = stx_file("a", 0);
    pair.sources[0].meta.size_unknown = true;
    pair.start();
    pair.open_lane(1);
    pair.run();
    expect_clean_end(pair);
    expect_delivered(pair);
  }
}

// --- ends of items

TEST(StxPair, refused_items_let_the_others_go_on) {
  StxPair pair;
  pair.sources = {file("a", 5 * kBlock), file("b", 5 * kBlock)};
  pair.policy = [](const Meta& meta) {
    return MetaAnswer{.code = meta.item == 0 ? Code::name : Code::normal};
  };
  pair.start();
  pair.run();
  expect_clean_end(pair);
  EXPECT_EQ(pair.answered.at(0), Code::name);
  EXPECT_FALSE(pair.over.contains(0));
  expect_delivered(pair, 1);
}

TEST(StxPair, source_that_shrinks_is_dropped) {
  StxPair pair;
  pair.sources = {file("a", 30 * kBlock), file("b", 5 * kBlock)};
  pair.limits.window_bytes = 4 * kBlock;
  pair.start();
  run_until_written(pair, 4);
  pair.sources[0].content.resize(10 * kBlock);
  pair.run();
  expect_clean_end(pair);
  EXPECT_EQ(pair.dropped.at(0), Code::source_changed);
  expect_delivered(pair, 1);
}

TEST(StxPair, refused_in_the_middle) {
  StxPair pair;
  pair.sources = {file("a", 60 * kBlock), file("b", 5 * kBlock)};
  pair.limits.window_bytes = 8 * kBlock;
  pair.start();
  run_until_written(pair, 4);
  pair.receiver().refuse(0, Code::no_space);
  pair.run();
  expect_clean_end(pair);
  EXPECT_EQ(pair.over.at(0).code, Code::no_space);
  EXPECT_LT(pair.blocks_sent, 40U);
  expect_delivered(pair, 1);
}

// SPEC stx.md#items: END speaks of what was sent last
TEST(StxPair, resend_of_a_changed_block_is_what_end_speaks_of) {
  StxPair pair;
  pair.sources = {file("a", 6 * kBlock)};
  bool once = false;
  pair.tamper = [&](LaneId, StxFrame& frame) {
    if (frame.head.sequence == 2 && !once) {
      once = frame.damaged = true;
      pair.sources[0].content[2 * kBlock + 1] ^= 0x55U;  // after its first sending
    }
    return true;
  };
  pair.start();
  pair.run();
  expect_clean_end(pair);
  EXPECT_EQ(pair.over.at(0).code, Code::normal);
  expect_delivered(pair);
}

TEST(StxPair, durable_blocks_are_told) {
  StxPair pair;
  pair.sources = {file("a", 20 * kBlock)};
  pair.start();
  run_until_written(pair, 12);
  while (pair.step() && pair.durable_told[0] < 8) {
  }
  EXPECT_GE(pair.durable_told[0], 8U);
  EXPECT_LE(pair.durable_told[0], pair.disk["a"].have);
}

// Chance over everything that a network and a disk do to an honest pair.
TEST(StxPair, interrupted_again_and_again) {
  for (std::uint64_t seed = 1; seed < 40; ++seed) {
    test::SeededRng dice(seed);
    StxPair pair(seed);
    pair.in_order = seed % 2 == 0;
    pair.limits.window_bytes = (2 + dice.below(30)) * kBlock;
    for (std::uint64_t i = 0; i < 1 + dice.below(6); ++i) {
      pair.sources.push_back(file("f" + std::to_string(i), dice.below(40 * kBlock), i));
      pair.sources.back().holes = dice.below(3) == 0;
      if (dice.below(4) == 0) {
        auto& content = pair.sources.back().content;
        std::fill(content.begin(), content.begin() + static_cast<long>(content.size() / 2), 0);
      }
    }
    unsigned damage = 0;
    pair.tamper = [&](LaneId, StxFrame& frame) {
      frame.damaged = !frame.head.is_control() && dice.below(100) < 2 && ++damage < 50;
      return true;
    };
    bool done = false;
    for (int attempt = 0; attempt < 60 && !done; ++attempt) {
      pair.start();
      for (int i = 0; i < 400 && !(pair.sender_over && pair.receiver_over); ++i) {
        if (!pair.step()) break;
        const auto what = dice.below(60);
        if (what == 0) pair.open_lane(static_cast<LaneId>(1 + dice.below(3)));
        if (what == 1) pair.cut_lane(static_cast<LaneId>(1 + dice.below(3)));
        if (what == 2 && attempt < 8) break;
      }
      if (attempt >= 8) pair.run();
      done = pair.sender_over && pair.sender_over->code == Code::normal;
      if (!done) pair.crash();
      if (dice.below(4) == 0 && !pair.sources[0].content.empty()) {
        pair.sources[0].content[dice.below(pair.sources[0].content.size())] ^= 1U;
      }
      if (!done) continue;
    }
    EXPECT_TRUE(done) << "seed " << seed;
    for (std::size_t i = 1; i < pair.sources.size(); ++i) expect_delivered(pair, i);
  }
}

}  // namespace
}  // namespace sealine::stx
