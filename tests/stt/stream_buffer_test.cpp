#include "stt/detail/stream_buffer.hpp"

#include "stt/detail/ring_pool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <random>
#include <tuple>
#include <vector>

namespace sealine::stt::detail {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{};

// What a stream does to its buffer, beside a deque that does the same.
void run_beside_a_deque(StreamBuffer& buffer, std::uint32_t seed, std::size_t most) {
  std::mt19937 random(seed);
  const auto below = [&](std::size_t limit) { return random() % limit; };
  std::deque<std::uint8_t> model;
  std::uint64_t end = buffer.base();
  std::uint8_t next = 0;
  for (int step = 0; step < 300; ++step) {
    std::vector<std::uint8_t> run(below(most));
    for (std::uint8_t& byte : run) byte = next++;
    buffer.write(end, run);
    model.insert(model.end(), run.begin(), run.end());
    end += run.size();

    for (std::size_t left = below(2 * most); left > 0 && !model.empty();) {
      const ByteView piece = buffer.piece(buffer.base(), std::min(end, buffer.base() + left));
      ASSERT_FALSE(piece.empty());
      ASSERT_TRUE(std::equal(piece.begin(), piece.end(), model.begin()));
      model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(piece.size()));
      buffer.drop_below(buffer.base() + piece.size());
      left -= piece.size();
    }
    if (model.empty()) buffer.release();
  }
}

TEST(SttStreamBuffer, GivesTheBytesOfEveryPositionWhateverItGrowsAndDrains) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    StreamBuffer buffer;
    buffer.drop_below(seed * 777);  // a ring that does not begin at its front
    run_beside_a_deque(buffer, seed, 1 + seed * 400);
  }
}

TEST(SttStreamBuffer, OfOnePoolDoNotGetInEachOthersWay) {
  RingPool pool;
  StreamBuffer first(&pool);
  StreamBuffer second(&pool);
  const std::vector<std::uint8_t> ones(70000, 1);
  const std::vector<std::uint8_t> twos(70000, 2);
  for (std::uint64_t at = 0; at < 10 * ones.size(); at += ones.size()) {
    first.write(at, ones);
    second.write(at, twos);
    ASSERT_EQ(first.piece(at, at + 1).front(), 1);
    ASSERT_EQ(second.piece(at, at + 1).front(), 2);
    first.drop_below(at + ones.size());
    second.drop_below(at + ones.size());
    first.release();
    StreamBuffer third(&pool);
    run_beside_a_deque(third, 9, 5000);
    second.release();
  }
}

TEST(SttStreamBuffer, TakesBytesOutOfOrder) {
  StreamBuffer buffer;
  const std::vector<std::uint8_t> late(3000, 9);
  const std::vector<std::uint8_t> early(5000, 4);
  buffer.write(5000, late);
  buffer.write(0, early);
  std::vector<std::uint8_t> all;
  while (all.size() < 8000) {
    const ByteView piece = buffer.piece(all.size(), 8000);
    all.insert(all.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(std::count(all.begin(), all.begin() + 5000, 4), 5000);
  EXPECT_EQ(std::count(all.begin() + 5000, all.end(), 9), 3000);
}

TEST(SttRingPool, GivesAgainWhatItWasGiven) {
  RingPool pool;
  Ring ring = pool.take(65536);
  ASSERT_EQ(ring.size, 65536U);
  const std::uint8_t* const memory = ring.bytes.get();
  pool.give_back(std::move(ring));
  EXPECT_EQ(pool.take(32768).bytes.get(), memory);
}

TEST(SttRingPool, KeepsALargeRingFromThoseWhoNeedLittle) {
  RingPool pool;
  pool.give_back(pool.take(std::size_t{1} << 20U));
  EXPECT_EQ(pool.take(1024).size, 1024U);
  EXPECT_EQ(pool.kept_bytes(), std::size_t{1} << 20U);
}

TEST(SttRingPool, KeepsNoMoreThanAMebibyte) {
  RingPool pool;
  std::vector<Ring> rings;
  for (int i = 0; i < 100; ++i) rings.push_back(pool.take(65536));
  for (Ring& ring : rings) pool.give_back(std::move(ring));
  EXPECT_EQ(pool.kept_bytes(), std::size_t{1} << 20U);
  rings.clear();
  RingPool other;
  for (int i = 0; i < 100; ++i) rings.push_back(other.take(4096));
  for (Ring& ring : rings) other.give_back(std::move(ring));
  EXPECT_EQ(other.kept_bytes(), 16U * 4096);
}

TEST(SttRingPool, KeepsNothingOnceASecondWasQuiet) {
  RingPool pool;
  pool.watch(kStart);
  EXPECT_FALSE(pool.poll_timeout()) << "nothing is kept";
  pool.give_back(pool.take(65536));
  pool.watch(kStart);
  ASSERT_EQ(pool.poll_timeout(), kStart + 1s);
  pool.handle_timeout(kStart + 999ms);
  EXPECT_EQ(pool.kept_bytes(), 65536U);
  pool.handle_timeout(kStart + 1s);  // it was used within this second
  EXPECT_EQ(pool.kept_bytes(), 65536U);
  ASSERT_EQ(pool.poll_timeout(), kStart + 2s);
  pool.handle_timeout(kStart + 2s);
  EXPECT_EQ(pool.kept_bytes(), 0U);
  EXPECT_FALSE(pool.poll_timeout());
}

// The runs of a set, lowest first.
std::vector<Span> runs_of(SpanSet set) {
  std::vector<Span> runs;
  while (!set.is_empty()) {
    runs.push_back(set.front());
    set.drop_below(set.front().end);
  }
  return runs;
}

TEST(SttSpanSet, TakesARunOutWhereverItLies) {
  SpanSet set;
  for (const Span span :
       {Span{.begin = 10, .end = 20}, Span{.begin = 30, .end = 40}, Span{.begin = 50, .end = 60}}) {
    EXPECT_EQ(set.add(span), 10U);
  }
  const auto without = [&set](std::uint64_t begin, std::uint64_t end) {
    SpanSet rest = set;
    rest.remove({.begin = begin, .end = end});
    return runs_of(rest);
  };
  const std::vector<Span> all{{10, 20}, {30, 40}, {50, 60}};
  EXPECT_EQ(without(0, 10), all);
  EXPECT_EQ(without(20, 30), all);
  EXPECT_EQ(without(60, 99), all);
  EXPECT_EQ(without(35, 35), all);
  EXPECT_EQ(without(38, 32), all) << "a run of less than nothing";
  EXPECT_EQ(without(33, 35), (std::vector<Span>{{10, 20}, {30, 33}, {35, 40}, {50, 60}}));
  EXPECT_EQ(without(30, 35), (std::vector<Span>{{10, 20}, {35, 40}, {50, 60}}));
  EXPECT_EQ(without(35, 40), (std::vector<Span>{{10, 20}, {30, 35}, {50, 60}}));
  EXPECT_EQ(without(30, 40), (std::vector<Span>{{10, 20}, {50, 60}}));
  EXPECT_EQ(without(15, 55), (std::vector<Span>{{10, 15}, {55, 60}}));
  EXPECT_EQ(without(0, 99), std::vector<Span>{});
}

TEST(SttSpanSet, TakesAllRunsOfAnotherOut) {
  SpanSet set;
  EXPECT_EQ(set.add({.begin = 0, .end = 100}), 100U);
  SpanSet other;
  EXPECT_EQ(other.add({.begin = 10, .end = 20}), 10U);
  EXPECT_EQ(other.add({.begin = 90, .end = 200}), 110U);
  set.remove(other);
  EXPECT_EQ(runs_of(set), (std::vector<Span>{{0, 10}, {20, 90}}));
  set.remove(set);
  EXPECT_TRUE(set.is_empty());
  set.remove(other);
  EXPECT_TRUE(set.is_empty());
}

TEST(SttSpanSet, GrowsByARunThatTouchesNoOther) {
  SpanSet set;
  EXPECT_TRUE(set.would_grow({.begin = 5, .end = 6}));
  EXPECT_EQ(set.add({.begin = 10, .end = 20}), 10U);
  EXPECT_EQ(set.add({.begin = 30, .end = 40}), 10U);
  for (const auto& [begin, end, grows] : std::vector<std::tuple<int, int, bool>>{{0, 9, true},
                                                                                 {0, 10, false},
                                                                                 {12, 15, false},
                                                                                 {20, 25, false},
                                                                                 {20, 30, false},
                                                                                 {21, 29, true},
                                                                                 {25, 30, false},
                                                                                 {40, 50, false},
                                                                                 {41, 50, true},
                                                                                 {0, 99, false}}) {
    const Span span{.begin = static_cast<std::uint64_t>(begin),
                    .end = static_cast<std::uint64_t>(end)};
    EXPECT_EQ(set.would_grow(span), grows) << begin << " " << end;
    SpanSet grown = set;
    grown.add(span);
    EXPECT_EQ(grown.size() > set.size(), grows) << begin << " " << end;
  }
}

}  // namespace
}  // namespace sealine::stt::detail
