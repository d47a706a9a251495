#include "stt/detail/pacer.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace sealine::stt::detail {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{seconds(100)};
constexpr std::size_t kBytes = 1200;

// Sends all that may go at `now`; the bytes.
std::size_t train(Pacer& pacer, TimePoint now) {
  std::size_t bytes = 0;
  while (pacer.next_send(now) <= now) {
    pacer.handle_sent(kBytes, now);
    bytes += kBytes;
  }
  return bytes;
}

// SPEC stt.md#pacing
TEST(SttPacer, ATrainIsAMillisecondTwoDatagramsAtLeast64KiBAtMost) {
  Pacer pacer(0, kBytes, kStart);
  pacer.set_rate(100000, kStart);
  EXPECT_EQ(pacer.train_bytes(), 2 * kBytes);
  pacer.set_rate(12500000, kStart);  // 100 Mbit/s
  EXPECT_EQ(pacer.train_bytes(), 12500U);
  pacer.set_rate(1250000000, kStart);  // 10 Gbit/s
  EXPECT_EQ(pacer.train_bytes(), 65536U);
}

// SPEC stt.md#congestion
TEST(SttPacer, WhereTheQueueIsShortTrainsAreToo) {
  Pacer pacer(0, kBytes, kStart);
  pacer.set_rate(12500000, kStart);
  pacer.set_most(4000);
  EXPECT_EQ(pacer.train_bytes(), 4000U);
  // Nor is more lateness made good.
  EXPECT_EQ(train(pacer, kStart + seconds(1)), 7200U);
  pacer.set_most(100);
  EXPECT_EQ(pacer.train_bytes(), 2 * kBytes);
}

// SPEC stt.md#pacing
TEST(SttPacer, TheFirstWindowGoesAtOnceThenTrainsInTheirTime) {
  Pacer pacer(12000, kBytes, kStart);
  pacer.set_rate(1200000, kStart);  // one datagram in a millisecond
  EXPECT_EQ(train(pacer, kStart), 12000U);
  EXPECT_EQ(pacer.next_send(kStart), kStart + milliseconds(2)) << "two of them";
  EXPECT_GT(pacer.next_send(kStart + microseconds(1999)), kStart + microseconds(1999));
  EXPECT_EQ(train(pacer, kStart + milliseconds(2)), 2 * kBytes);
  EXPECT_EQ(pacer.next_send(kStart + milliseconds(2)), kStart + milliseconds(4));
}

// SPEC stt.md#pacing
TEST(SttPacer, KeepsTheRateForEveryRate) {
  for (const std::uint64_t rate : {2000U, 125000U, 1250000U, 12500000U, 1250000000U}) {
    SCOPED_TRACE(rate);
    Pacer pacer(0, kBytes, kStart);
    pacer.set_rate(rate, kStart);
    const Duration span = rate < 100000 ? Duration(seconds(100)) : Duration(milliseconds(500));
    TimePoint now = kStart;
    std::size_t sent = 0;
    for (; now < kStart + span; now = pacer.next_send(now)) sent += train(pacer, now);
    const double expected = static_cast<double>(rate) * static_cast<double>(span.count()) / 1e9;
    EXPECT_NEAR(static_cast<double>(sent), expected,
                static_cast<double>(pacer.train_bytes()) + 1 + expected / 1000);
  }
}

// SPEC stt.md#pacing
TEST(SttPacer, MakesAMillisecondOfLatenessGoodAndNoMore) {
  Pacer pacer(0, kBytes, kStart);
  pacer.set_rate(12000000, kStart);  // ten datagrams in a millisecond
  ASSERT_EQ(train(pacer, kStart + milliseconds(1)), 12000U);
  EXPECT_EQ(train(pacer, kStart + milliseconds(3)), 24000U);
  EXPECT_EQ(train(pacer, kStart + milliseconds(1000)), 24000U);
}

// SPEC stt.md#pacing
TEST(SttPacer, WhatWentWithoutAskingIsPaidLater) {
  Pacer pacer(0, kBytes, kStart);
  pacer.set_rate(1200000, kStart);
  for (int i = 0; i < 4; ++i) pacer.handle_sent(kBytes, kStart);
  EXPECT_EQ(pacer.next_send(kStart), kStart + milliseconds(6)) << "four, and the next train";
}

// SPEC stt.md#pacing
TEST(SttPacer, AChangeOfRateKeepsWhatWasSaved) {
  Pacer pacer(0, kBytes, kStart);
  pacer.set_rate(1200000, kStart);
  pacer.set_rate(2400000, kStart + milliseconds(1));  // 1,200 saved
  EXPECT_EQ(pacer.next_send(kStart + milliseconds(1)), kStart + microseconds(1500));
}

}  // namespace
}  // namespace sealine::stt::detail
