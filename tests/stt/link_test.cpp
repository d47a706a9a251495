// The simulator of paths against arithmetic: a test of STT is worth what this is.
#include "support/link.hpp"

#include "tests/sim/base/trace.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <set>
#include <vector>

namespace sealine::test {
namespace {

using namespace std::chrono_literals;
using stt::EcnMark;

constexpr TimePoint kStart{std::chrono::hours(1)};

std::vector<std::uint8_t> numbered(std::uint32_t number, std::size_t bytes = 100) {
  std::vector<std::uint8_t> out(std::max<std::size_t>(bytes, 4));
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<std::uint8_t>(number >> (8 * i));
  return out;
}

struct Seen {
  std::uint32_t number = 0;
  TimePoint at{};
  EcnMark mark{};
  std::uint64_t source = 0;
  std::vector<std::uint8_t> bytes;
};

std::vector<Seen> all_of(Link& link) {
  std::vector<Seen> seen;
  while (const auto at = link.next_arrival()) {
    while (const auto arrived = link.receive(*at)) {
      std::uint32_t number = 0;
      for (std::size_t i = 0; i < 4; ++i) {
        number |= static_cast<std::uint32_t>(arrived->bytes[i]) << (8 * i);
      }
      seen.push_back({.number = number,
                      .at = *at,
                      .mark = arrived->mark,
                      .source = arrived->source,
                      .bytes = {arrived->bytes.begin(), arrived->bytes.end()}});
    }
  }
  return seen;
}

std::vector<Seen> burst(Link& link, std::uint32_t count, std::size_t bytes = 100,
                        Duration apart = {}) {
  for (std::uint32_t i = 0; i < count; ++i) {
    link.send(numbered(i, bytes), 0, EcnMark::ect0, kStart + i * apart);
  }
  return all_of(link);
}

// n trials of probability p: within five standard deviations.
void expect_share(std::uint64_t hits, std::uint64_t n, double p) {
  const double mean = static_cast<double>(n) * p;
  EXPECT_NEAR(static_cast<double>(hits), mean, 5 * std::sqrt(mean * (1 - p)) + 1);
}

TEST(Link, ADatagramTakesItsTimeOnTheLineAndItsWay) {
  // 1,250 bytes at 10 Mbit/s: 1 ms; then 20 ms of way.
  Link link({.bits_per_second = 10'000'000, .delay = 20ms}, 1);
  const auto seen = burst(link, 3, 1250);
  ASSERT_EQ(seen.size(), 3U);
  EXPECT_EQ(seen[0].at, kStart + 21ms);
  EXPECT_EQ(seen[1].at, kStart + 22ms);
  EXPECT_EQ(seen[2].at, kStart + 23ms);
}

TEST(Link, ALineThatWasIdleOwesNothing) {
  Link link({.bits_per_second = 10'000'000}, 1);
  const auto seen = burst(link, 3, 1250, 1500us);
  ASSERT_EQ(seen.size(), 3U);
  for (std::uint32_t i = 0; i < 3; ++i) EXPECT_EQ(seen[i].at, kStart + i * 1500us + 1ms);
}

TEST(Link, HeadersCostTimeAndAreNoPartOfTheMtu) {
  Link link({.bits_per_second = 10'000'000, .mtu_bytes = 1222, .header_bytes = 28}, 1);
  const auto seen = burst(link, 2, 1222);
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[1].at, kStart + 2ms);
}

TEST(Link, BandwidthIsWhatItSays) {
  for (const std::uint64_t rate : {10'000'000U, 100'000'000U, 1'000'000'000U}) {
    Link link({.bits_per_second = rate, .delay = 1ms}, 1);
    const auto seen = burst(link, 10'000, 1472);
    ASSERT_EQ(seen.size(), 10'000U);
    const double seconds = std::chrono::duration<double>(seen.back().at - kStart - 1ms).count();
    EXPECT_NEAR(10'000 * 1472 * 8 / seconds / static_cast<double>(rate), 1.0, 1e-4) << rate;
  }
}

TEST(Link, TheQueueDropsExactlyWhatDoesNotFit) {
  // One in the bottleneck, 10 x 100 bytes wait, the rest is gone.
  Link link({.bits_per_second = 800'000, .queue_bytes = 1000}, 1);
  EXPECT_EQ(burst(link, 20, 100).size(), 11U);
  EXPECT_EQ(link.counts().queue_full, 9U);
  // And each place is free again when its datagram is begun: 1 ms apiece.
  Link later({.bits_per_second = 800'000, .queue_bytes = 1000}, 1);
  for (std::uint32_t i = 0; i < 20; ++i) later.send(numbered(i), 0, EcnMark::none, kStart);
  EXPECT_EQ(later.queued_bytes(kStart), 1000U);
  EXPECT_EQ(later.queued_bytes(kStart + 999us), 1000U);
  EXPECT_EQ(later.queued_bytes(kStart + 1ms), 900U);
  later.send(numbered(20), 0, EcnMark::none, kStart + 1ms);
  later.send(numbered(21), 0, EcnMark::none, kStart + 1ms);
  EXPECT_EQ(later.counts().queue_full, 10U);
  EXPECT_EQ(later.queued_bytes(kStart + 1ms), 1000U);
  EXPECT_EQ(later.queued_bytes(kStart + 1s), 0U);
}

TEST(Link, NoQueueAtAllStillPassesWhatComesOneByOne) {
  Link link({.bits_per_second = 800'000, .queue_bytes = 0}, 1);
  EXPECT_EQ(burst(link, 10, 100, 1ms).size(), 10U);
  Link crowded({.bits_per_second = 800'000, .queue_bytes = 0}, 1);
  EXPECT_EQ(burst(crowded, 10, 100, 500us).size(), 5U);
}

TEST(Link, MarksAboveItsThresholdWhatTakesMarks) {
  Link link({.bits_per_second = 800'000, .mark_above_bytes = 500}, 1);
  const auto seen = burst(link, 10, 100);
  ASSERT_EQ(seen.size(), 10U);
  // Before number i wait i - 1 others.
  for (const Seen& s : seen) {
    EXPECT_EQ(s.mark, s.number >= 7 ? EcnMark::ce : EcnMark::ect0) << s.number;
  }
  EXPECT_EQ(link.counts().marked, 3U);
  Link plain({.bits_per_second = 800'000, .mark_above_bytes = 0}, 1);
  for (std::uint32_t i = 0; i < 5; ++i) plain.send(numbered(i), 0, EcnMark::none, kStart);
  for (const Seen& s : all_of(plain)) EXPECT_EQ(s.mark, EcnMark::none);
}

TEST(Link, LosesItsShare) {
  for (const double loss : {0.001, 0.01, 0.03, 0.3}) {
    Link link({.loss = loss}, 7);
    const auto seen = burst(link, 100'000, 4);
    EXPECT_EQ(seen.size() + link.counts().lost, 100'000U);
    expect_share(link.counts().lost, 100'000, loss);
  }
}

TEST(Link, BurstsHaveTheirShareAndTheirLength) {
  // Bad for 1 / 0.25 = 4 datagrams on the average, good for 100.
  Link link({.bursts = BurstLoss{.to_bad = 0.01, .to_good = 0.25}}, 3);
  const auto seen = burst(link, 200'000, 4);
  const double share = static_cast<double>(link.counts().lost) / 200'000;
  EXPECT_NEAR(share, 0.01 / 0.26, 0.004);
  std::size_t gaps = 0;
  for (std::size_t i = 1; i < seen.size(); ++i) gaps += seen[i].number - seen[i - 1].number > 1;
  EXPECT_NEAR(static_cast<double>(link.counts().lost) / static_cast<double>(gaps), 4.0, 0.4);
}

TEST(Link, JitterKeepsOrderAndItsBounds) {
  Link link({.delay = 10ms, .jitter = 5ms}, 5);
  const auto seen = burst(link, 1000, 4, 10us);
  ASSERT_EQ(seen.size(), 1000U);
  Duration most{};
  for (std::uint32_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(seen[i].number, i);
    const Duration way = seen[i].at - (kStart + i * 10us);
    EXPECT_GE(way, 10ms);
    EXPECT_LE(way, 15ms);
    most = std::max(most, way);
  }
  EXPECT_GT(most, 14ms);
}

TEST(Link, HoldsBackUntilTheWindowHasPassed) {
  Link link({.delay = 1ms, .reorder = 0.1, .reorder_window = 8}, 5);
  const auto seen = burst(link, 10'000, 4, 10us);
  ASSERT_EQ(seen.size(), 10'000U) << "each once";
  expect_share(link.counts().reordered, 10'000, 0.1);
  // Overtaken by at most 8 that were not held back themselves.
  std::set<std::uint32_t> numbers;
  std::size_t most = 0;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    numbers.insert(seen[i].number);
    std::size_t overtaken = 0;
    std::uint32_t newest = 0;
    for (std::size_t k = i < 100 ? 0 : i - 100; k < i; ++k) {
      if (seen[k].number < newest) continue;
      newest = seen[k].number;
      overtaken += newest > seen[i].number;
    }
    most = std::max(most, overtaken);
  }
  EXPECT_EQ(numbers.size(), 10'000U);
  EXPECT_EQ(most, 8U);
}

TEST(Link, NobodyIsHeldBackForEver) {
  Link link({.delay = 1ms, .reorder = 1, .reorder_window = 8, .reorder_hold = 30ms}, 5);
  const auto seen = burst(link, 1);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].at, kStart + 31ms);
}

TEST(Link, Copies) {
  Link link({.duplicate = 0.2}, 9);
  const auto seen = burst(link, 20'000, 50);
  EXPECT_EQ(seen.size(), 20'000 + link.counts().duplicated);
  expect_share(link.counts().duplicated, 20'000, 0.2);
  for (const Seen& s : seen) EXPECT_EQ(s.bytes, numbered(s.number, 50));
}

TEST(Link, FlipsOneBit) {
  Link link({.corrupt = 0.1}, 9);
  const auto seen = burst(link, 20'000, 50);
  ASSERT_EQ(seen.size(), 20'000U);
  expect_share(link.counts().corrupted, seen.size(), 0.1);
  int flipped = 0;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    const auto sent = numbered(i, 50);
    int bits = 0;
    for (std::size_t k = 0; k < sent.size(); ++k) {
      bits += std::popcount(static_cast<unsigned>(sent[k] ^ seen[i].bytes[k]));
    }
    EXPECT_LE(bits, 1);
    flipped += bits;
  }
  EXPECT_EQ(static_cast<std::uint64_t>(flipped), link.counts().corrupted);
}

TEST(Link, DropsWhatIsLargerThanItsMtu) {
  Link link({.mtu_bytes = 1400}, 1);
  link.send(numbered(1, 1400), 0, EcnMark::none, kStart);
  link.send(numbered(2, 1401), 0, EcnMark::none, kStart);
  link.settings().mtu_bytes = 1500;
  link.send(numbered(3, 1401), 0, EcnMark::none, kStart);
  const auto seen = all_of(link);
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[1].number, 3U);
  EXPECT_EQ(link.counts().too_large, 1U);
}

TEST(Link, ABlackholeHasABeginningAndAnEnd) {
  Link link({.blackholes = {{.from = kStart + 10ms, .until = kStart + 20ms}}}, 1);
  const auto seen = burst(link, 30, 4, 1ms);
  ASSERT_EQ(seen.size(), 20U);
  EXPECT_EQ(seen[9].number, 9U);
  EXPECT_EQ(seen[10].number, 20U);
  EXPECT_EQ(link.counts().swallowed, 10U);
}

TEST(Link, ANatGivesAnotherAddress) {
  Link link({}, 1);
  link.settings().rewrite_source = [](std::uint64_t source, TimePoint now) {
    return now < kStart + 5ms ? source + 100 : source + 200;
  };
  link.send(numbered(1), 7, EcnMark::none, kStart);
  link.send(numbered(2), 7, EcnMark::none, kStart + 5ms);
  const auto seen = all_of(link);
  EXPECT_EQ(seen[0].source, 107U);
  EXPECT_EQ(seen[1].source, 207U);
}

TEST(Link, TheSameSeedGivesTheSameFates) {
  const LinkSettings settings{.bits_per_second = 10'000'000,
                              .delay = 10ms,
                              .jitter = 2ms,
                              .queue_bytes = 20'000,
                              .loss = 0.05,
                              .duplicate = 0.05,
                              .corrupt = 0.05,
                              .reorder = 0.1};
  const auto run = [&](std::uint64_t seed) {
    Link link(settings, seed);
    sim::Trace trace;
    for (const Seen& s : burst(link, 2000, 200, 100us)) {
      trace.add(static_cast<std::uint64_t>(s.at.time_since_epoch().count()));
      trace.add(s.bytes);
    }
    return trace.value();
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

}  // namespace
}  // namespace sealine::test
