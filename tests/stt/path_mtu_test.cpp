#include "stt/detail/path_mtu.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace sealine::stt::detail {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{seconds(10)};

// Probes until the search is over, on a path that takes `path_bytes`; the sizes in order.
std::vector<std::size_t> search(PathMtu& mtu, std::size_t path_bytes, TimePoint now = kStart) {
  std::vector<std::size_t> sizes;
  while (const auto size = mtu.poll_probe(now)) {
    sizes.push_back(*size);
    mtu.handle_probe_sent(*size, now);
    EXPECT_FALSE(mtu.poll_probe(now)) << "one at a time";
    if (*size <= path_bytes) {
      mtu.handle_acked(*size, true, now);
    } else {
      mtu.handle_lost(*size, true, now);
    }
    if (sizes.size() > 100) break;
  }
  return sizes;
}

// SPEC stt.md#mtu
TEST(SttPathMtu, TakesTheCeilingAtOnceWhereItPasses) {
  PathMtu mtu(PathMtu::kBaseBytes, 1472, kStart);
  EXPECT_EQ(mtu.bytes(), 1200U);
  EXPECT_EQ(search(mtu, 1472), std::vector<std::size_t>{1472});
  EXPECT_EQ(mtu.bytes(), 1472U);
  EXPECT_FALSE(mtu.poll_timeout()) << "nothing above to be tried";
}

// SPEC stt.md#mtu
TEST(SttPathMtu, LostProbesAreRepeatedThreeTimes) {
  PathMtu mtu(PathMtu::kBaseBytes, 1452, kStart);
  for (int round = 0; round < 2; ++round) {
    ASSERT_EQ(mtu.poll_probe(kStart), 1452U);
    mtu.handle_probe_sent(1452, kStart);
    mtu.handle_lost(1452, true, kStart);
  }
  ASSERT_EQ(mtu.poll_probe(kStart), 1452U);
  mtu.handle_probe_sent(1452, kStart);
  mtu.handle_acked(1452, true, kStart);
  EXPECT_EQ(mtu.bytes(), 1452U);
}

// SPEC stt.md#mtu
TEST(SttPathMtu, FindsWhatEveryPathTakes) {
  for (const std::size_t ceiling : {std::size_t{1452}, std::size_t{1472}, std::size_t{8972}}) {
    for (std::size_t path = 1200; path <= ceiling; path += 13) {
      PathMtu mtu(PathMtu::kBaseBytes, ceiling, kStart);
      const auto sizes = search(mtu, path);
      EXPECT_LE(sizes.size(), 45U) << path;
      EXPECT_LE(mtu.bytes(), path);
      EXPECT_GT(mtu.bytes() + 8, path);
    }
  }
}

// SPEC stt.md#mtu
TEST(SttPathMtu, JumboPathsFallBackToEthernetExactly) {
  PathMtu mtu(PathMtu::kBaseBytes, 8972, kStart);
  const auto sizes = search(mtu, 1472);
  EXPECT_EQ(mtu.bytes(), 1472U);
  EXPECT_EQ(sizes[3], 1472U) << "after three of 8972";
}

// SPEC stt.md#mtu
TEST(SttPathMtu, TriesAgainAfterTenMinutes) {
  PathMtu mtu(PathMtu::kBaseBytes, 1472, kStart);
  search(mtu, 1300);
  const TimePoint again = kStart + seconds(600);
  EXPECT_EQ(mtu.poll_timeout(), again);
  EXPECT_FALSE(mtu.poll_probe(again - milliseconds(1)));
  EXPECT_EQ(search(mtu, 1472, again), std::vector<std::size_t>{1472});
  EXPECT_EQ(mtu.bytes(), 1472U);
}

// SPEC stt.md#mtu
TEST(SttPathMtu, AFixedSizeIsNeverProbed) {
  PathMtu mtu(1350, 1350, kStart);
  EXPECT_FALSE(mtu.poll_probe(kStart + seconds(6000)));
  EXPECT_FALSE(mtu.poll_timeout());
  EXPECT_EQ(mtu.bytes(), 1350U);
}

// SPEC stt.md#mtu
TEST(SttPathMtu, ABlackHoleBringsTheBaseBack) {
  PathMtu mtu(PathMtu::kBaseBytes, 1472, kStart);
  search(mtu, 1472);
  const TimePoint lost = kStart + seconds(5);
  for (int i = 0; i < 3; ++i) mtu.handle_lost(1472, false, lost);
  EXPECT_EQ(mtu.bytes(), 1472U) << "perhaps nothing passes at all";
  mtu.handle_acked(100, false, lost + milliseconds(50));
  EXPECT_EQ(mtu.bytes(), 1200U);
  EXPECT_FALSE(mtu.poll_probe(lost + seconds(599)));
  EXPECT_EQ(mtu.poll_timeout(), lost + milliseconds(50) + seconds(600));
  EXPECT_EQ(search(mtu, 1472, lost + seconds(601)), std::vector<std::size_t>{1472});
}

// SPEC stt.md#mtu
TEST(SttPathMtu, ABlackHoleIsFoundInTheMomentOfTheSmallAck) {
  PathMtu mtu(PathMtu::kBaseBytes, 1472, kStart);
  search(mtu, 1472);
  const TimePoint lost = kStart + seconds(5);
  mtu.handle_acked(100, false, lost);
  for (int i = 0; i < 3; ++i) mtu.handle_lost(1472, false, lost);
  EXPECT_EQ(mtu.bytes(), 1200U);
}

// SPEC stt.md#mtu
TEST(SttPathMtu, LossAmongLargeOnesThatPassIsNoBlackHole) {
  PathMtu mtu(PathMtu::kBaseBytes, 1472, kStart);
  search(mtu, 1472);
  for (int round = 1; round < 20; ++round) {
    const TimePoint now = kStart + seconds(round);
    mtu.handle_acked(1472, false, now);
    for (int i = 0; i < 5; ++i) mtu.handle_lost(1472, false, now);
    mtu.handle_acked(100, false, now + milliseconds(100));
  }
  for (int i = 0; i < 2; ++i) mtu.handle_lost(1472, false, kStart + seconds(40));
  mtu.handle_acked(1472, false, kStart + seconds(41));
  mtu.handle_lost(1472, false, kStart + seconds(42));
  mtu.handle_acked(100, false, kStart + seconds(43));
  EXPECT_EQ(mtu.bytes(), 1472U);
}

// SPEC stt.md#mtu
TEST(SttPathMtu, LossOfSmallOnesAndAtTheBaseSaysNothing) {
  PathMtu mtu(PathMtu::kBaseBytes, 1472, kStart);
  for (int i = 0; i < 10; ++i) mtu.handle_lost(1200, false, kStart);
  mtu.handle_acked(100, false, kStart);
  EXPECT_EQ(mtu.poll_probe(kStart), 1472U);
}

}  // namespace
}  // namespace sealine::stt::detail
