#include "stt/detail/recovery.hpp"

#include "sealine/base/errc.hpp"
#include "support/no_alloc.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <map>
#include <random>
#include <ranges>
#include <set>
#include <vector>

namespace sealine::stt::detail {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{seconds(100)};
constexpr std::size_t kBytes = 1200;

// Frames know their number by their offset.
class Fates final : public FrameFates {
 public:
  void frame_acked(const SentFrame& frame) override { acked.push_back(frame.offset); }

  void frame_lost(const SentFrame& frame) override { lost.push_back(frame.offset); }

  void datagram_acked(std::size_t bytes) override { arrived_bytes += bytes; }

  void datagram_lost(std::size_t bytes) override { lost_bytes += bytes; }

  std::vector<std::uint64_t> acked;
  std::vector<std::uint64_t> lost;
  std::size_t arrived_bytes = 0;
  std::size_t lost_bytes = 0;
};

using Numbers = std::vector<std::uint64_t>;

Ack ack_of(std::initializer_list<PacketRange> ranges, std::uint32_t delay_us = 0) {
  Ack ack;
  for (const PacketRange& range : ranges) ack.ranges[ack.range_count++] = range;
  ack.delay_us = delay_us;
  return ack;
}

// A path of 100 ms that a test plays by hand.
struct SttRecovery : testing::Test {
  static RecoveryOptions options() {
    return {.congestion = CongestionControl::new_reno,
            .initial_rtt = milliseconds(333),
            .datagram_bytes = kBytes};
  }

  void frame(bool is_reliable = true, std::size_t bytes = kBytes, std::uint16_t carries = 0) {
    SentFrame sent;
    sent.offset = next;
    sent.carried = carries;
    recovery.handle_sent(next++, bytes, is_reliable, sent, now);
  }

  void datagram(bool is_reliable = true, std::size_t bytes = kBytes, std::uint16_t carries = 0) {
    frame(is_reliable, bytes, carries);
    recovery.end_datagram(bytes, now);
  }

  void datagrams(int count) {
    for (int i = 0; i < count; ++i) datagram();
  }

  void acked(std::initializer_list<PacketRange> ranges, std::uint32_t delay_us = 0) {
    ASSERT_TRUE(recovery.handle_ack(ack_of(ranges, delay_us), fates, now));
  }

  void later(Duration duration) { now += duration; }

  // The first round trip is known: 100 ms.
  void warm_up() {
    datagram();
    later(milliseconds(100));
    acked({{.first = 0, .last = 0}});
    fates = {};
  }

  TimePoint now = kStart;
  PacketNumber next = 0;
  Recovery recovery{options(), kStart};
  Fates fates;
};

// SPEC stt.md#rtt
TEST_F(SttRecovery, SmoothsRoundTripsAsRfc9002) {
  EXPECT_EQ(recovery.smoothed_rtt(), milliseconds(333));
  // 333 + max(4 x 166.5, 1) + 25
  EXPECT_EQ(recovery.probe_timeout(), milliseconds(1024));
  warm_up();
  EXPECT_EQ(recovery.smoothed_rtt(), milliseconds(100));
  EXPECT_EQ(recovery.min_rtt(), milliseconds(100));
  EXPECT_EQ(recovery.probe_timeout(), milliseconds(100 + 200 + 25));
  datagram();
  later(milliseconds(200));
  acked({{.first = 0, .last = 1}}, 20000);
  // 180 without the delay: 7/8 x 100 + 1/8 x 180; variation 3/4 x 50 + 1/4 x 80
  EXPECT_EQ(recovery.smoothed_rtt(), milliseconds(110));
  EXPECT_EQ(recovery.probe_timeout(), microseconds(110000 + (4 * 57500) + 25000));
}

// SPEC stt.md#rtt
TEST_F(SttRecovery, APeersDelayIsBoundedAndBelievedOnlyAboveTheMinimum) {
  warm_up();
  datagram();
  later(milliseconds(140));
  acked({{.first = 1, .last = 1}}, 4000000000U);
  EXPECT_EQ(recovery.smoothed_rtt(), microseconds((700000 + 115000) / 8)) << "25 ms of it";
  EXPECT_EQ(recovery.min_rtt(), milliseconds(100));
  const Duration before = recovery.smoothed_rtt();
  datagram();
  later(milliseconds(110));
  acked({{.first = 2, .last = 2}}, 20000);
  EXPECT_EQ(recovery.smoothed_rtt(), (7 * before + milliseconds(110)) / 8) << "none of it";
}

// SPEC stt.md#rtt
TEST_F(SttRecovery, OnlyANewReliableLargestGivesARoundTrip) {
  warm_up();
  datagram();       // 1
  datagram(false);  // 2: no REL
  later(milliseconds(500));
  acked({{.first = 1, .last = 2}});
  EXPECT_EQ(recovery.smoothed_rtt(), milliseconds(100));
  datagrams(2);  // 3, 4
  later(milliseconds(100));
  acked({{.first = 4, .last = 4}});
  later(milliseconds(900));
  acked({{.first = 3, .last = 4}});
  EXPECT_EQ(recovery.smoothed_rtt(), milliseconds(100)) << "4 was no news";
}

// SPEC stt.md#loss
TEST_F(SttRecovery, ThreeDatagramsLaterItIsLost) {
  warm_up();
  frame(true, 400);  // 1, 2 and 3 in one datagram
  frame(true, 400);
  frame(true, 400);
  recovery.end_datagram(1200, now);
  datagrams(2);  // 4, 5
  later(milliseconds(100));
  acked({{.first = 4, .last = 5}});
  EXPECT_TRUE(fates.lost.empty()) << "many frames, but two datagrams";
  datagram();  // 6
  later(milliseconds(1));
  acked({{.first = 4, .last = 6}});
  EXPECT_EQ(fates.lost, (Numbers{1, 2, 3}));
  EXPECT_EQ(recovery.lost_frames(), 3U);
  EXPECT_EQ(recovery.in_flight_bytes(), 0U);
}

// SPEC stt.md#loss
TEST_F(SttRecovery, NineEighthsOfARoundTripLaterItIsLost) {
  warm_up();
  const TimePoint sent = now;
  datagrams(2);  // 1, 2
  later(milliseconds(100));
  acked({{.first = 2, .last = 2}});
  EXPECT_TRUE(fates.lost.empty());
  EXPECT_EQ(recovery.poll_timeout(), sent + microseconds(112500));
  now = sent + microseconds(112499);
  recovery.handle_timeout(fates, now);
  EXPECT_TRUE(fates.lost.empty()) << "too early";
  now = sent + microseconds(112500);
  recovery.handle_timeout(fates, now);
  EXPECT_EQ(fates.lost, Numbers{1});
  EXPECT_FALSE(recovery.poll_timeout());
  EXPECT_EQ(recovery.probes_due(), 0U);
}

// SPEC stt.md#loss
TEST_F(SttRecovery, FramesOfOneDatagramShareItsFate) {
  warm_up();
  const std::size_t window = recovery.window_bytes();
  frame(true, 600);  // 1, 2
  frame(true, 600);
  recovery.end_datagram(1200, now);
  datagrams(3);  // 3, 4, 5
  later(milliseconds(100));
  acked({{.first = 3, .last = 5}, {.first = 1, .last = 1}});
  EXPECT_EQ(fates.lost, Numbers{2}) << "the peer dropped it";
  EXPECT_GE(recovery.window_bytes(), window) << "the path did not";
}

// SPEC stt.md#loss
TEST_F(SttRecovery, FramesWithoutRelAreNeitherInFlightNorLost) {
  warm_up();
  datagram(false, 80);
  EXPECT_EQ(recovery.in_flight_bytes(), 0U);
  EXPECT_FALSE(recovery.poll_timeout());
  datagrams(5);
  later(milliseconds(100));
  acked({{.first = 2, .last = 6}});
  EXPECT_TRUE(fates.lost.empty());
  acked({{.first = 1, .last = 6}});
  EXPECT_EQ(fates.acked, (Numbers{6, 5, 4, 3, 2, 1})) << "told all the same";
}

// SPEC stt.md#optimistic-ack
TEST_F(SttRecovery, AnAckOfWhatWasNeverSentEndsTheSession) {
  const auto code = [this](const Ack& ack) {
    const auto result = recovery.handle_ack(ack, fates, now);
    return result ? std::nullopt : std::optional(result.error().code);
  };
  EXPECT_EQ(code(ack_of({{.first = 0, .last = 0}})), Errc::protocol_broken);
  datagrams(5);
  EXPECT_EQ(code(ack_of({{.first = 0, .last = 5}})), Errc::protocol_broken);
  EXPECT_EQ(code(ack_of({})), Errc::protocol_broken);
  EXPECT_EQ(code(ack_of({{.first = 3, .last = 2}})), Errc::protocol_broken);
  EXPECT_EQ(code(ack_of({{.first = 3, .last = 4}, {.first = 2, .last = 3}})),
            Errc::protocol_broken);
  EXPECT_EQ(code(ack_of({{.first = 3, .last = 4}, {.first = 2, .last = 2}})), Errc::protocol_broken)
      << "two ranges that are one";
  EXPECT_EQ(code(ack_of({{.first = 0, .last = 4}, {.first = 0, .last = 0}})),
            Errc::protocol_broken);
  EXPECT_TRUE(fates.acked.empty());
  EXPECT_EQ(code(ack_of({{.first = 2, .last = 4}, {.first = 0, .last = 0}})), std::nullopt);
  EXPECT_EQ(fates.acked, (Numbers{4, 3, 2, 0}));
}

// SPEC stt.md#pto
TEST_F(SttRecovery, ProbesTwiceAndWaitsTwiceAsLong) {
  warm_up();
  datagrams(4);  // 1 to 4
  const Duration timeout = recovery.probe_timeout();
  EXPECT_EQ(recovery.poll_timeout(), now + timeout);
  later(timeout);
  recovery.handle_timeout(fates, now);
  EXPECT_EQ(recovery.probes_due(), 2U);
  EXPECT_EQ(recovery.next_send(now), now);
  EXPECT_EQ(fates.lost, (Numbers{1, 2})) << "the probes carry the oldest data";
  EXPECT_EQ(recovery.lost_frames(), 0U) << "which is not lost for that";
  EXPECT_EQ(recovery.in_flight_bytes(), 4 * kBytes);
  datagram(false, 100);
  EXPECT_EQ(recovery.probes_due(), 2U);
  datagrams(2);  // 6, 7
  EXPECT_EQ(recovery.probes_due(), 0U);
  EXPECT_EQ(recovery.poll_timeout(), now + 2 * timeout);
  later(2 * timeout);
  recovery.handle_timeout(fates, now);
  EXPECT_EQ(fates.lost, (Numbers{1, 2, 3, 4}));
  EXPECT_EQ(recovery.probe_timeouts(), 2U);

  acked({{.first = 0, .last = 2}});
  EXPECT_TRUE(fates.acked.empty()) << "they were given back";
  EXPECT_EQ(recovery.probes_due(), 0U);
  ASSERT_TRUE(recovery.poll_timeout());
  EXPECT_EQ(*recovery.poll_timeout() - now, recovery.probe_timeout() - 2 * timeout)
      << "the waiting is short again, from the last one sent";
}

// SPEC stt.md#pto
TEST_F(SttRecovery, ThePeersDelayIsPartOfTheTimeout) {
  warm_up();
  const Duration timeout = recovery.probe_timeout();
  recovery.set_max_ack_delay(milliseconds(100));
  EXPECT_EQ(recovery.probe_timeout(), timeout + milliseconds(75));
}

// SPEC stt.md#mtu
TEST_F(SttRecovery, TellsOfDatagramsByTheirSize) {
  warm_up();
  frame(true, 500);  // 1, 2
  frame(true, 500);
  recovery.end_datagram(1010, now);
  datagram(true, 1472, carried::kPing | carried::kMtuProbe);  // 3
  datagrams(3);                                               // 4 to 6
  datagram(false, 100);                                       // 7
  later(recovery.probe_timeout());
  recovery.handle_timeout(fates, now);
  EXPECT_FALSE(fates.lost.empty());
  EXPECT_EQ(fates.lost_bytes, 0U) << "what is given back for a probe is not lost";
  acked({{.first = 4, .last = 7}});
  EXPECT_EQ(fates.arrived_bytes, 3 * kBytes) << "given back or not";
  EXPECT_EQ(fates.lost_bytes, 1010U) << "of the probe the frame tells";
  acked({{.first = 1, .last = 7}});
  EXPECT_EQ(fates.arrived_bytes, (3 * kBytes) + 1010) << "late";
}

// SPEC stt.md#congestion
TEST_F(SttRecovery, OneEpisodeReducesTheWindowOnce) {
  warm_up();
  const std::size_t window = recovery.window_bytes();
  datagrams(10);  // 1 to 10
  later(milliseconds(100));
  acked({{.first = 4, .last = 4}});
  EXPECT_EQ(fates.lost, Numbers{1});
  EXPECT_EQ(recovery.window_bytes(), window / 2);
  later(milliseconds(1));
  acked({{.first = 10, .last = 10}, {.first = 4, .last = 4}});
  EXPECT_EQ(fates.lost, (Numbers{1, 2, 3, 5, 6, 7}));
  EXPECT_EQ(recovery.window_bytes(), window / 2) << "sent before the first loss was seen";
  datagrams(4);  // 11 to 14
  later(milliseconds(100));
  acked({{.first = 14, .last = 14}, {.first = 8, .last = 10}});
  EXPECT_EQ(fates.lost.back(), 11U);
  EXPECT_LT(recovery.window_bytes(), window / 2) << "another one";
}

// SPEC stt.md#mtu
TEST_F(SttRecovery, ALostProbeOfThePathDoesNotTouchTheWindow) {
  warm_up();
  const std::size_t window = recovery.window_bytes();
  datagram(true, 1472, carried::kPing | carried::kMtuProbe);  // 1
  EXPECT_EQ(recovery.in_flight_bytes(), 1472U);
  datagrams(3);
  later(milliseconds(100));
  acked({{.first = 2, .last = 4}});
  EXPECT_EQ(fates.lost, Numbers{1});
  EXPECT_GE(recovery.window_bytes(), window);
  EXPECT_EQ(recovery.in_flight_bytes(), 0U);
}

// SPEC stt.md#mtu
TEST_F(SttRecovery, AProbeTimeoutDoesNotCondemnAProbeOfThePath) {
  warm_up();
  datagram(true, 1472, carried::kPing | carried::kMtuProbe);  // 1
  datagram();                                                 // 2
  later(recovery.probe_timeout());
  recovery.handle_timeout(fates, now);
  EXPECT_EQ(fates.lost, Numbers{2});
}

// SPEC stt.md#spurious
TEST_F(SttRecovery, AWrongReductionIsTakenBack) {
  warm_up();
  datagrams(8);  // 1 to 8
  const std::size_t window = recovery.window_bytes();
  later(milliseconds(100));
  acked({{.first = 5, .last = 5}});
  EXPECT_EQ(fates.lost, (Numbers{1, 2}));
  EXPECT_EQ(recovery.window_bytes(), window / 2);
  later(milliseconds(1));
  acked({{.first = 5, .last = 5}, {.first = 1, .last = 1}});
  EXPECT_EQ(recovery.window_bytes(), window / 2) << "only one of two";
  EXPECT_EQ(recovery.spurious_losses(), 1U);
  later(milliseconds(1));
  acked({{.first = 5, .last = 5}, {.first = 1, .last = 2}});
  EXPECT_GE(recovery.window_bytes(), window);
  EXPECT_EQ(recovery.spurious_losses(), 2U);
  EXPECT_EQ(fates.acked, Numbers{5}) << "lost was said of the others, and is not taken back";
}

// SPEC stt.md#spurious
TEST_F(SttRecovery, PatienceGrowsWithProvenReordering) {
  warm_up();
  datagrams(10);  // 1 to 10
  later(milliseconds(100));
  acked({{.first = 6, .last = 6}});
  EXPECT_EQ(fates.lost, (Numbers{1, 2, 3}));
  acked({{.first = 1, .last = 6}});  // 1 came five datagrams late
  fates = {};
  later(milliseconds(1));
  acked({{.first = 8, .last = 10}, {.first = 1, .last = 6}});
  EXPECT_TRUE(fates.lost.empty()) << "7 is three behind, which is not six";
  datagrams(3);  // 11 to 13
  later(milliseconds(1));
  acked({{.first = 8, .last = 13}});
  EXPECT_EQ(fates.lost, Numbers{7});
}

// SPEC stt.md#spurious
TEST_F(SttRecovery, PatienceEndsAtSixteen) {
  warm_up();
  datagrams(40);  // 1 to 40
  later(milliseconds(100));
  acked({{.first = 40, .last = 40}});
  acked({{.first = 1, .last = 40}});
  fates = {};
  datagrams(17);  // 41 to 57
  later(milliseconds(1));
  acked({{.first = 42, .last = 56}});
  EXPECT_TRUE(fates.lost.empty()) << "15 behind";
  acked({{.first = 42, .last = 57}});
  EXPECT_EQ(fates.lost, Numbers{41}) << "16 behind";
}

// SPEC stt.md#persistent-congestion
TEST_F(SttRecovery, ThreeTimeoutsOfLossLeaveTheSmallestWindow) {
  warm_up();
  const Duration timeout = recovery.probe_timeout();
  datagram();  // 1
  later(3 * timeout + milliseconds(1));
  datagram();    // 2
  datagrams(3);  // 3 to 5
  later(milliseconds(100));
  acked({{.first = 5, .last = 5}});
  EXPECT_EQ(fates.lost, (Numbers{1, 2}));
  EXPECT_EQ(recovery.window_bytes(), 2 * kBytes);
}

// SPEC stt.md#persistent-congestion
TEST_F(SttRecovery, WhatArrivedBetweenMakesItNotPersistent) {
  warm_up();
  const Duration timeout = recovery.probe_timeout();
  const std::size_t window = recovery.window_bytes();
  datagram();  // 1
  later(2 * timeout);
  datagram();  // 2
  later(2 * timeout);
  datagrams(4);  // 3 to 6
  later(milliseconds(100));
  acked({{.first = 6, .last = 6}, {.first = 2, .last = 2}});
  EXPECT_EQ(fates.lost, (Numbers{1, 3}));
  EXPECT_EQ(recovery.window_bytes(), window / 2);
}

// SPEC stt.md#ecn
TEST_F(SttRecovery, ACongestionMarkReducesTheWindow) {
  warm_up();
  const std::size_t window = recovery.window_bytes();
  datagrams(4);  // 1 to 4
  later(milliseconds(100));
  Ack ack = ack_of({{.first = 1, .last = 2}});
  ack.ecn = EcnCounts{.ect0 = 2, .ect1 = 0, .ce = 1};
  ASSERT_TRUE(recovery.handle_ack(ack, fates, now));
  EXPECT_EQ(recovery.window_bytes(), window / 2);
  ack = ack_of({{.first = 1, .last = 4}});
  ack.ecn = EcnCounts{.ect0 = 2, .ect1 = 0, .ce = 3};
  ASSERT_TRUE(recovery.handle_ack(ack, fates, now));
  EXPECT_EQ(recovery.window_bytes(), window / 2) << "sent before the first mark was seen";
}

// SPEC stt.md#ecn
TEST_F(SttRecovery, MarksThatCannotBeTrueAreNotBelieved) {
  const std::vector<std::pair<EcnCounts, EcnCounts>> pairs = {
      {{.ect0 = 3, .ect1 = 0, .ce = 0}, {.ect0 = 2, .ect1 = 0, .ce = 3}},   // falls
      {{.ect0 = 3, .ect1 = 0, .ce = 0}, {.ect0 = 3, .ect1 = 0, .ce = 1}},   // forgets one
      {{.ect0 = 3, .ect1 = 0, .ce = 0}, {.ect0 = 3, .ect1 = 0, .ce = 99}},  // more than were sent
      {{.ect0 = 3, .ect1 = 0, .ce = 0}, {.ect0 = 3, .ect1 = ~0ULL, .ce = 4}},  // overflow
      {{.ect0 = 0, .ect1 = 0, .ce = 0}, {.ect0 = 3, .ect1 = 0, .ce = 2}},  // the path cleared them
  };
  for (const auto& [first, second] : pairs) {
    Recovery fresh(options(), kStart);
    for (PacketNumber number = 0; number < 8; ++number) {
      fresh.handle_sent(number, kBytes, true, {}, kStart);
      fresh.end_datagram(kBytes, kStart);
    }
    Ack ack = ack_of({{.first = 0, .last = 2}});
    ack.ecn = first;
    ASSERT_TRUE(fresh.handle_ack(ack, fates, kStart + milliseconds(100)));
    const std::size_t window = fresh.window_bytes();
    ack = ack_of({{.first = 0, .last = 4}});
    ack.ecn = second;
    ASSERT_TRUE(fresh.handle_ack(ack, fates, kStart + milliseconds(101)));
    EXPECT_GE(fresh.window_bytes(), window);
  }
}

// SPEC stt.md#migration
TEST_F(SttRecovery, AnotherPathBeginsAnew) {
  warm_up();
  datagrams(6);  // 1 to 6
  later(milliseconds(50));
  recovery.handle_new_path(now);
  EXPECT_EQ(recovery.in_flight_bytes(), 0U);
  EXPECT_EQ(recovery.smoothed_rtt(), milliseconds(333));
  EXPECT_EQ(recovery.min_rtt(), Duration::zero());
  const std::size_t window = recovery.window_bytes();
  EXPECT_TRUE(recovery.poll_timeout()) << "what is on its way is not forgotten";
  datagrams(2);  // 7, 8
  later(milliseconds(50));
  acked({{.first = 6, .last = 6}});
  EXPECT_EQ(fates.acked, Numbers{6});
  EXPECT_EQ(fates.lost, (Numbers{1, 2, 3}));
  EXPECT_EQ(recovery.smoothed_rtt(), milliseconds(333)) << "the old path's";
  EXPECT_EQ(recovery.window_bytes(), window);
  EXPECT_EQ(recovery.in_flight_bytes(), 2 * kBytes);
  later(milliseconds(10));
  acked({{.first = 8, .last = 8}});
  EXPECT_EQ(recovery.smoothed_rtt(), milliseconds(60));
}

// SPEC stt.md#congestion
TEST_F(SttRecovery, AFullWindowWaitsForAnAck) {
  ASSERT_EQ(recovery.window_bytes(), 12000U);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(recovery.next_send(now), now) << "the first window goes at once";
    datagram();
  }
  EXPECT_FALSE(recovery.next_send(now));
  later(milliseconds(100));
  acked({{.first = 0, .last = 1}});
  EXPECT_TRUE(recovery.next_send(now));
}

// SPEC stt.md#congestion
TEST_F(SttRecovery, AnIdleSenderDoesNotGrow) {
  recovery.handle_app_limited(now);
  for (PacketNumber number = 0; number < 50; ++number) {
    datagram();
    recovery.handle_app_limited(now);
    later(milliseconds(100));
    acked({{.first = number, .last = number}});
  }
  EXPECT_EQ(recovery.window_bytes(), 12000U);
}

// SPEC stt.md#sent-map
TEST_F(SttRecovery, NothingIsAllocatedForAPacketOnceWarm) {
  fates.acked.reserve(100000);
  fates.lost.reserve(100000);
  const auto round = [this] {
    for (int i = 0; i < 50; ++i) {
      const PacketNumber first = next;
      datagrams(8);
      later(milliseconds(100));
      if (i % 5 == 4) {
        acked({{.first = first + 4, .last = first + 7}, {.first = first, .last = first}});
      } else {
        acked({{.first = first, .last = first + 7}});
      }
    }
  };
  round();
  const std::size_t before = test::allocation_count();
  round();
  EXPECT_EQ(test::allocation_count(), before);
}

// SPEC stt.md#sent-map
TEST_F(SttRecovery, APeerThatAcknowledgesNothingCostsBoundedMemory) {
  datagram();  // 0
  for (int i = 0; i < 300000; ++i) {
    datagram(false, 60);
    if (const auto due = recovery.poll_timeout(); due && *due <= now)
      recovery.handle_timeout(fates, now);
  }
  EXPECT_EQ(fates.lost, Numbers{0}) << "given up, to be sent again";
  acked({{.first = 299990, .last = 300000}});
}

// Every frame is told of once, as acknowledged or as lost; nothing is left over.
TEST(SttRecoveryRandom, EveryFrameHasOneFate) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    TimePoint now = kStart;
    Recovery recovery({.congestion = static_cast<CongestionControl>(seed % 2)}, now);
    Fates fates;
    PacketNumber next = 0;
    std::set<PacketNumber> received;
    std::set<PacketNumber> reliable;
    const auto acknowledge = [&] {
      if (received.empty()) return;
      Ack ack;
      PacketNumber bound = 0;
      for (const PacketNumber number : std::views::reverse(received)) {
        if (ack.range_count > 0 && bound == number + 1) {
          ack.ranges[ack.range_count - 1].first = number;
        } else {
          if (ack.range_count == kMaxAckRanges) break;
          ack.ranges[ack.range_count++] = {.first = number, .last = number};
        }
        bound = number;
      }
      ASSERT_TRUE(recovery.handle_ack(ack, fates, now));
    };
    const auto send = [&] {
      const bool is_reliable = random() % 8 != 0;
      const bool arrives = random() % 10 != 0;
      for (auto frames = 1 + (random() % 3); frames > 0; --frames) {
        SentFrame frame;
        frame.offset = next;
        if (is_reliable) reliable.insert(next);
        if (arrives) received.insert(next);
        recovery.handle_sent(next++, 300, is_reliable, frame, now);
      }
      recovery.end_datagram(900, now);
    };
    for (int step = 0; step < 1500; ++step) {
      now += milliseconds(random() % 4);
      if (const auto due = recovery.poll_timeout(); due && *due <= now)
        recovery.handle_timeout(fates, now);
      send();
      if (random() % 4 == 0) acknowledge();
    }
    for (int step = 0; step < 20 && recovery.in_flight_bytes() > 0; ++step) {
      const auto due = recovery.poll_timeout();
      ASSERT_TRUE(due);
      now = std::max(now, *due);
      recovery.handle_timeout(fates, now);
      for (int i = 0; i < 4; ++i) send();
      now += milliseconds(50);
      acknowledge();
    }
    std::map<PacketNumber, int> told;
    for (const PacketNumber number : fates.acked) ++told[number];
    for (const PacketNumber number : fates.lost) ++told[number];
    std::size_t missing = 0;
    for (const PacketNumber number : reliable) {
      if (told[number] == 0) ++missing;
      EXPECT_LE(told[number], 1) << number;
    }
    EXPECT_EQ(recovery.in_flight_bytes(), missing * 300);
    EXPECT_LT(missing, 20U) << "only the last may be open";
  }
}

}  // namespace
}  // namespace sealine::stt::detail
