#include "stt/detail/received_packets.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <set>
#include <vector>

namespace sealine::stt::detail {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr TimePoint kStart{milliseconds(1000)};

// What the document says, with nothing left out of memory.
class Model {
 public:
  [[nodiscard]] bool is_fresh(PacketNumber number) const {
    return seen_.empty() || number > *seen_.rbegin() ||
           (number >= oldest() && !seen_.contains(number));
  }

  void record(PacketNumber number) {
    seen_.insert(number);
    floor_ = std::min(floor_, number);
  }

  void settle(PacketNumber largest) { floor_ = std::max(floor_, largest + 1); }

  [[nodiscard]] PacketNumber largest() const { return *seen_.rbegin(); }

  [[nodiscard]] std::vector<PacketRange> ranges() const {
    std::vector<PacketRange> out;
    const PacketNumber low = std::max(floor_, oldest());
    for (auto it = seen_.rbegin(); it != seen_.rend() && *it >= low; ++it) {
      if (!out.empty() && out.back().first == *it + 1) {
        out.back().first = *it;
      } else {
        if (out.size() == kMaxAckRanges) break;
        out.push_back({.first = *it, .last = *it});
      }
    }
    return out;
  }

 private:
  [[nodiscard]] PacketNumber oldest() const {
    const PacketNumber newest = *seen_.rbegin();
    return newest >= ReceivedPackets::kWindowPackets ? newest - ReceivedPackets::kWindowPackets + 1
                                                     : 0;
  }

  std::set<PacketNumber> seen_;
  PacketNumber floor_ = 0;
};

void record(ReceivedPackets& packets, PacketNumber number, TimePoint now = kStart,
            bool is_reliable = true, EcnMark mark = EcnMark::none, bool at_once = false) {
  ASSERT_TRUE(packets.is_fresh(number));
  packets.record(number, is_reliable, at_once, mark, now);
}

std::vector<PacketRange> take(ReceivedPackets& packets, TimePoint now = kStart) {
  const Ack ack = packets.take_ack(now);
  return {ack.all().begin(), ack.all().end()};
}

// Numbers 0 to `upto`, every one acknowledged.
void warm_up(ReceivedPackets& packets, PacketNumber upto) {
  for (PacketNumber number = 0; number <= upto; ++number) {
    record(packets, number);
    if (packets.is_ack_due(kStart)) static_cast<void>(packets.take_ack(kStart));
  }
  if (packets.has_news()) static_cast<void>(packets.take_ack(kStart));
}

// SPEC stt.md#replay
TEST(SttReceivedPackets, AgreesWithANaiveModel) {
  for (unsigned seed = 0; seed < 6; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    ReceivedPackets packets;
    Model model;
    std::vector<PacketNumber> reported;
    PacketNumber next = seed % 2 == 0 ? 0 : (PacketNumber{1} << 61U);
    for (int step = 0; step < 4000; ++step) {
      const auto kind = random() % 100;
      PacketNumber number = next;
      if (kind < 8) number = next + (random() % 4);
      if (kind == 8) number = next + (random() % 20000);
      if (kind >= 70) number -= std::min(next, random() % (kind > 95 ? 17000 : 40));
      ASSERT_EQ(packets.is_fresh(number), step == 0 || model.is_fresh(number)) << number;
      if (step == 0 || model.is_fresh(number)) {
        record(packets, number);
        model.record(number);
        next = std::max(next, number + 1);
      }
      EXPECT_EQ(packets.largest(), model.largest());
      if (random() % 5 == 0 && packets.has_news()) {
        const auto ranges = take(packets);
        ASSERT_EQ(ranges, model.ranges()) << "step " << step;
        reported.push_back(ranges.front().last);
      }
      if (random() % 50 == 0 && !reported.empty() && !packets.has_news()) {
        const PacketNumber acked = reported[reported.size() - 1 - (random() % reported.size()) / 2];
        packets.handle_ack_of(acked);
        model.settle(acked);
      }
    }
  }
}

// SPEC stt.md#replay
TEST(SttReceivedPackets, RefusesWhatWasSeenOrIsTooOld) {
  ReceivedPackets packets;
  EXPECT_TRUE(packets.is_fresh(0));
  record(packets, 0);
  EXPECT_FALSE(packets.is_fresh(0));
  record(packets, ReceivedPackets::kWindowPackets);
  EXPECT_FALSE(packets.is_fresh(0)) << "behind the window";
  EXPECT_TRUE(packets.is_fresh(1)) << "the last in the window";
  record(packets, kMaxPacketNumber);
  EXPECT_FALSE(packets.is_fresh(ReceivedPackets::kWindowPackets));
  EXPECT_TRUE(packets.is_fresh(kMaxPacketNumber - 1));
  EXPECT_TRUE(packets.is_fresh(kMaxPacketNumber - ReceivedPackets::kWindowPackets + 1));
  EXPECT_FALSE(packets.is_fresh(kMaxPacketNumber - ReceivedPackets::kWindowPackets));
}

// SPEC stt.md#ack-policy
TEST(SttReceivedPackets, ReportsTheNewest32Ranges) {
  ReceivedPackets packets;
  for (PacketNumber number = 0; number < 100; number += 2) record(packets, number);
  const auto ranges = take(packets);
  ASSERT_EQ(ranges.size(), kMaxAckRanges);
  EXPECT_EQ(ranges.front(), (PacketRange{.first = 98, .last = 98}));
  EXPECT_EQ(ranges.back(), (PacketRange{.first = 36, .last = 36}));
}

// SPEC stt.md#ack-policy
TEST(SttReceivedPackets, EverySecondThenEveryTenth) {
  ReceivedPackets packets;
  std::vector<PacketNumber> acked;
  for (PacketNumber number = 0; number < 130; ++number) {
    record(packets, number);
    if (!packets.is_ack_due(kStart)) continue;
    acked.push_back(number);
    static_cast<void>(packets.take_ack(kStart));
  }
  ASSERT_EQ(acked.size(), 53U);
  EXPECT_EQ(acked[0], 1U);
  EXPECT_EQ(acked[49], 99U) << "the hundredth frame";
  EXPECT_EQ(acked[50], 109U);
  EXPECT_EQ(acked[51], 119U);
}

// SPEC stt.md#ack-policy
TEST(SttReceivedPackets, APeerSetsTheFrequency) {
  ReceivedPackets packets;
  warm_up(packets, 199);
  packets.set_frequency(64, milliseconds(3));
  for (PacketNumber number = 200; number < 263; ++number) record(packets, number);
  EXPECT_FALSE(packets.is_ack_due(kStart));
  EXPECT_EQ(packets.poll_timeout(), kStart + milliseconds(3));
  record(packets, 263);
  EXPECT_TRUE(packets.is_ack_due(kStart));
  static_cast<void>(packets.take_ack(kStart));

  packets.set_frequency(1000, milliseconds(3));
  for (PacketNumber number = 264; number < 264 + 64; ++number) record(packets, number);
  EXPECT_TRUE(packets.is_ack_due(kStart)) << "64 is the most";
  static_cast<void>(packets.take_ack(kStart));
  packets.set_frequency(0, milliseconds(3));
  record(packets, 328);
  EXPECT_TRUE(packets.is_ack_due(kStart)) << "and 1 the least";
}

// SPEC stt.md#ack-policy
TEST(SttReceivedPackets, WaitsAQuarterOfARoundTripFrom1To25ms) {
  ReceivedPackets packets;
  record(packets, 0);
  EXPECT_EQ(packets.poll_timeout(), kStart + milliseconds(25));
  packets.set_round_trip(microseconds(50));
  EXPECT_EQ(packets.poll_timeout(), kStart + milliseconds(1));
  packets.set_round_trip(milliseconds(40));
  EXPECT_EQ(packets.poll_timeout(), kStart + milliseconds(10));
  packets.set_round_trip(milliseconds(400));
  EXPECT_EQ(packets.poll_timeout(), kStart + milliseconds(25));
  EXPECT_FALSE(packets.is_ack_due(kStart + milliseconds(25) - microseconds(1)));
  EXPECT_TRUE(packets.is_ack_due(kStart + milliseconds(25)));
  const Ack ack = packets.take_ack(kStart + milliseconds(25));
  EXPECT_EQ(ack.delay_us, 25000U);
  EXPECT_FALSE(packets.poll_timeout());
  EXPECT_FALSE(packets.is_ack_due(kStart + milliseconds(1000)));
}

// SPEC stt.md#ack-policy
TEST(SttReceivedPackets, AtOnceOnGapReorderMarkAndRequest) {
  const auto is_due = [](auto&& last) {
    ReceivedPackets packets;
    warm_up(packets, 199);
    last(packets);
    return packets.is_ack_due(kStart);
  };
  EXPECT_FALSE(is_due([](auto& packets) { record(packets, 200); }));
  EXPECT_TRUE(is_due([](auto& packets) { record(packets, 201); }));
  EXPECT_TRUE(is_due([](auto& packets) {
    record(packets, 201);
    static_cast<void>(packets.take_ack(kStart));
    record(packets, 200);
  }));
  EXPECT_FALSE(is_due([](auto& packets) {
    record(packets, 201);
    static_cast<void>(packets.take_ack(kStart));
    record(packets, 202);
  })) << "a gap is told once";
  EXPECT_TRUE(is_due([](auto& packets) { record(packets, 200, kStart, true, EcnMark::ce); }));
  EXPECT_FALSE(is_due([](auto& packets) { record(packets, 200, kStart, true, EcnMark::ect0); }));
  EXPECT_TRUE(
      is_due([](auto& packets) { record(packets, 200, kStart, true, EcnMark::none, true); }));
}

// SPEC stt.md#ack-policy
TEST(SttReceivedPackets, FramesWithoutRelAskForNothing) {
  ReceivedPackets packets;
  warm_up(packets, 199);
  for (PacketNumber number = 202; number < 400; number += 2)
    record(packets, number, kStart, false, EcnMark::ce);
  EXPECT_FALSE(packets.is_ack_due(kStart + milliseconds(5000)));
  EXPECT_FALSE(packets.poll_timeout());
  EXPECT_TRUE(packets.has_news()) << "it may ride along";
  EXPECT_EQ(take(packets).front().last, 398U);
  EXPECT_FALSE(packets.has_news());
}

// SPEC stt.md#ack-policy
TEST(SttReceivedPackets, WhatAnAckOfAnAckCoversIsNotSaidAgain) {
  ReceivedPackets packets;
  for (const PacketNumber number : {0U, 1U, 2U, 4U, 5U, 8U}) record(packets, number);
  EXPECT_EQ(take(packets).size(), 3U);
  packets.handle_ack_of(5);
  record(packets, 9);
  EXPECT_EQ(take(packets), (std::vector<PacketRange>{{.first = 8, .last = 9}}));
  packets.handle_ack_of(9);
  record(packets, 10);
  EXPECT_EQ(take(packets), (std::vector<PacketRange>{{.first = 10, .last = 10}}));
  record(packets, 3);
  EXPECT_EQ(take(packets),
            (std::vector<PacketRange>{{.first = 8, .last = 10}, {.first = 3, .last = 5}}))
      << "one that came late is told all the same";
}

// SPEC stt.md#ack-policy
TEST(SttReceivedPackets, DelayCountsFromTheLargest) {
  ReceivedPackets packets;
  record(packets, 0, kStart);
  record(packets, 2, kStart + milliseconds(5));
  record(packets, 1, kStart + milliseconds(7));
  EXPECT_EQ(packets.take_ack(kStart + milliseconds(9)).delay_us, 4000U);
}

// SPEC stt.md#ack-policy
TEST(SttReceivedPackets, CountsMarks) {
  ReceivedPackets packets;
  record(packets, 0);
  EXPECT_FALSE(packets.take_ack(kStart).ecn);
  record(packets, 1, kStart, true, EcnMark::ect0);
  record(packets, 2, kStart, true, EcnMark::ect0);
  record(packets, 3, kStart, true, EcnMark::ce);
  record(packets, 4, kStart, true, EcnMark::ect1);
  EXPECT_EQ(packets.take_ack(kStart).ecn, (EcnCounts{.ect0 = 2, .ect1 = 1, .ce = 1}));
}

}  // namespace
}  // namespace sealine::stt::detail
