#include "stt/detail/congestion.hpp"

#include "stt/detail/received_packets.hpp"
#include "stt/detail/recovery.hpp"
#include "support/link.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <deque>
#include <memory>

namespace sealine::stt::detail {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{seconds(100)};
constexpr std::size_t kBytes = 1000;

RecoveryOptions options() {
  return {.congestion = CongestionControl::cubic,
          .initial_rtt = milliseconds(100),
          .datagram_bytes = kBytes};
}

RateSample acked(std::uint64_t bytes, TimePoint now, Duration rtt = milliseconds(100)) {
  RateSample sample;
  sample.now = now;
  sample.newly_acked = bytes;
  sample.growth_bytes = bytes;
  sample.smoothed_rtt = rtt;
  sample.rtt = rtt;
  return sample;
}

LossSample lost(TimePoint now, bool begins_episode = true) {
  LossSample loss;
  loss.now = now;
  loss.bytes = kBytes;
  loss.begins_episode = begins_episode;
  return loss;
}

// SPEC stt.md#congestion
TEST(SttCongestion, TheFirstWindowIsTenDatagrams) {
  EXPECT_EQ(initial_window(1200), 12000U);
  EXPECT_EQ(initial_window(1472), 14720U);
  EXPECT_EQ(initial_window(1500), 14720U);
  EXPECT_EQ(initial_window(8972), 17944U);
}

// SPEC stt.md#pacing
TEST(SttCongestion, PacesAQuarterAboveTheWindow) {
  EXPECT_EQ(paced(100000, milliseconds(100), false), 1250000U);
  EXPECT_EQ(paced(100000, milliseconds(100), true), 2000000U);
  EXPECT_GE(paced(1, seconds(1000), false), 1U);
}

// SPEC stt.md#new-reno
TEST(SttNewReno, DoublesThenAddsThenHalves) {
  const auto reno = make_new_reno(options());
  EXPECT_EQ(reno->window_bytes(), 10000U);
  reno->on_acked(acked(10000, kStart));
  EXPECT_EQ(reno->window_bytes(), 20000U);
  reno->on_lost(lost(kStart));
  EXPECT_EQ(reno->window_bytes(), 10000U);
  reno->on_lost(lost(kStart, false));
  EXPECT_EQ(reno->window_bytes(), 10000U);
  for (int i = 0; i < 9; ++i) reno->on_acked(acked(1000, kStart));
  EXPECT_EQ(reno->window_bytes(), 10000U);
  reno->on_acked(acked(1000, kStart));
  EXPECT_EQ(reno->window_bytes(), 11000U) << "one more after a window";
  reno->on_ecn_ce({.now = kStart, .marks = 1, .in_flight = 0, .begins_episode = true});
  EXPECT_EQ(reno->window_bytes(), 5500U);
  for (int i = 0; i < 5; ++i) reno->on_lost(lost(kStart));
  EXPECT_EQ(reno->window_bytes(), 2000U) << "never below two";
}

// SPEC stt.md#spurious
TEST(SttNewReno, TakesAReductionBack) {
  const auto reno = make_new_reno(options());
  reno->on_lost(lost(kStart));
  reno->on_spurious(kStart);
  EXPECT_EQ(reno->window_bytes(), 10000U);
  reno->on_acked(acked(1000, kStart));
  EXPECT_EQ(reno->window_bytes(), 11000U) << "in slow start as before";
}

// SPEC stt.md#persistent-congestion
TEST(SttNewReno, BeginsAgainAfterPersistentCongestion) {
  const auto reno = make_new_reno(options());
  reno->on_lost(lost(kStart));  // threshold 5000
  reno->on_persistent_congestion(kStart);
  EXPECT_EQ(reno->window_bytes(), 2000U);
  reno->on_acked(acked(2000, kStart));
  EXPECT_EQ(reno->window_bytes(), 4000U);
  reno->on_acked(acked(4000, kStart));
  EXPECT_EQ(reno->window_bytes(), 5000U) << "up to the threshold, then one in a window";
}

TEST(SttNewReno, DoesNotGrowUnused) {
  const auto reno = make_new_reno(options());
  RateSample sample = acked(1000, kStart);
  sample.is_app_limited = true;
  reno->on_acked(sample);
  EXPECT_EQ(reno->window_bytes(), 10000U);
  sample.is_window_limited = true;
  reno->on_acked(sample);
  EXPECT_EQ(reno->window_bytes(), 11000U);
}

// RFC 9438, 4.2 to 4.7 with segments of 1,000 bytes. W_max = 100 segments: the window falls to 70,
// K = cbrt(30 / 0.4) = 4.217 s.                                                 SPEC stt.md#cubic
TEST(SttCubic, FollowsTheCurveOfRfc9438) {
  const auto cubic = make_cubic(options());
  cubic->on_acked(acked(90000, kStart));
  ASSERT_EQ(cubic->window_bytes(), 100000U);
  cubic->on_lost(lost(kStart));
  EXPECT_EQ(cubic->window_bytes(), 70000U);

  // One window in each round trip of 10 ms, so that the curve is what decides; the values of
  // W_cubic(t) = 0.4 (t - 4.217)^3 + 100.
  const Duration rtt = milliseconds(10);
  const auto window_after = [&](Duration from, Duration until) {
    for (Duration t = from; t < until; t += rtt)
      for (int i = 0; i < 10; ++i)
        cubic->on_acked(acked(cubic->window_bytes() / 10, kStart + t + i * (rtt / 10), rtt));
    return static_cast<double>(cubic->window_bytes()) / 1000;
  };
  // Reno's estimate overtakes at 10 ms: that is what 4.3 is for. A long path shows the curve.
  EXPECT_GT(window_after({}, seconds(1)), 0.4 * std::pow(1 - 4.217, 3) + 100);
}

// SPEC stt.md#cubic
TEST(SttCubic, OnALongPathTheCurveDecides) {
  const auto cubic = make_cubic(options());
  const Duration rtt = milliseconds(500);
  cubic->on_acked(acked(990000, kStart, rtt));
  ASSERT_EQ(cubic->window_bytes(), 1000000U);
  cubic->on_lost(lost(kStart));
  ASSERT_EQ(cubic->window_bytes(), 700000U);
  // K = cbrt(300 / 0.4) = 9.0856 s
  const double k = std::cbrt(300 / 0.4);
  for (Duration t = {}; t <= seconds(15); t += rtt / 50)
    cubic->on_acked(acked(cubic->window_bytes() / 50, kStart + t, rtt));
  // The window follows the curve of one round trip ahead: between W(15) = 1082.7 and W(15.5).
  const double window = static_cast<double>(cubic->window_bytes()) / 1000;
  EXPECT_GE(window, 1000 + 0.4 * std::pow(15 - k, 3) - 1);
  EXPECT_LE(window, 1000 + 0.4 * std::pow(15.5 - k, 3) + 1);
}

// SPEC stt.md#cubic
TEST(SttCubic, IsNoSlowerThanRenoOnAShortPath) {
  const auto cubic = make_cubic(options());
  cubic->on_acked(acked(10000, kStart));
  cubic->on_lost(lost(kStart));  // 20 to 14 segments; K = 2.47 s
  ASSERT_EQ(cubic->window_bytes(), 14000U);
  const Duration rtt = milliseconds(1);
  for (int round = 0; round < 11; ++round)
    for (int i = 0; i < 10; ++i)
      cubic->on_acked(acked(cubic->window_bytes() / 10, kStart + round * rtt + i * rtt / 10, rtt));
  // alpha = 3 x 0.3 / 1.7 = 0.529 segments in a round: 14 + 11 x 0.529 = 19.8
  EXPECT_NEAR(static_cast<double>(cubic->window_bytes()), 19824, 120);
  for (int round = 11; round < 21; ++round)
    for (int i = 0; i < 10; ++i)
      cubic->on_acked(acked(cubic->window_bytes() / 10, kStart + round * rtt + i * rtt / 10, rtt));
  // From the old window (20) on a whole one in each round.
  EXPECT_NEAR(static_cast<double>(cubic->window_bytes()), 29600, 400);
}

// SPEC stt.md#cubic
TEST(SttCubic, ConvergesFastAndNeverBelowTwo) {
  const auto cubic = make_cubic(options());
  cubic->on_acked(acked(90000, kStart));
  cubic->on_lost(lost(kStart));
  cubic->on_lost(lost(kStart));
  EXPECT_EQ(cubic->window_bytes(), 49000U);
  // W_max = 70 x 0.85 = 59.5, K = cbrt(10.5 / 0.4) = 2.972 s: then the window is there.
  const Duration rtt = milliseconds(300);
  for (Duration t = {}; t <= microseconds(2972000); t += rtt / 30)
    cubic->on_acked(acked(cubic->window_bytes() / 30, kStart + t, rtt));
  EXPECT_NEAR(static_cast<double>(cubic->window_bytes()), 59500, 700);
  for (int i = 0; i < 30; ++i) cubic->on_lost(lost(kStart));
  EXPECT_EQ(cubic->window_bytes(), 2000U);
}

// SPEC stt.md#spurious
TEST(SttCubic, TakesAReductionBack) {
  const auto cubic = make_cubic(options());
  cubic->on_acked(acked(90000, kStart));
  cubic->on_lost(lost(kStart));
  cubic->on_spurious(kStart);
  EXPECT_EQ(cubic->window_bytes(), 100000U);
  cubic->on_acked(acked(1000, kStart));
  EXPECT_EQ(cubic->window_bytes(), 101000U) << "in slow start as before";
}

// SPEC stt.md#cubic
TEST(SttCubic, TakesAMarkForALossOnceAnEpisode) {
  const auto cubic = make_cubic(options());
  cubic->on_acked(acked(90000, kStart));
  cubic->on_ecn_ce({.now = kStart, .marks = 1, .in_flight = 0, .begins_episode = false});
  EXPECT_EQ(cubic->window_bytes(), 100000U);
  cubic->on_ecn_ce({.now = kStart, .marks = 1, .in_flight = 0, .begins_episode = true});
  EXPECT_EQ(cubic->window_bytes(), 70000U);
}

// SPEC stt.md#cubic
TEST(SttCubic, TimeWithoutDataIsNoTimeOfTheCurve) {
  const auto with = make_cubic(options());
  const auto without = make_cubic(options());
  for (const auto& cubic : {with.get(), without.get()}) {
    cubic->on_acked(acked(90000, kStart));
    cubic->on_lost(lost(kStart));
    cubic->on_acked(acked(1000, kStart + milliseconds(100)));
  }
  RateSample idle = acked(1000, kStart + milliseconds(200));
  idle.is_app_limited = true;
  with->on_acked(idle);
  for (int i = 0; i < 100; ++i) {
    with->on_acked(acked(10000, kStart + seconds(60) + milliseconds(200 + (i * 10))));
    without->on_acked(acked(10000, kStart + milliseconds(200 + (i * 10))));
  }
  EXPECT_NEAR(static_cast<double>(with->window_bytes()),
              static_cast<double>(without->window_bytes()), 100);
}

// Rounds of ten ACKs, of one window each; the round trip of every round by `rtt`.
void rounds(Congestion& congestion, std::uint64_t& datagram, int count, Duration rtt) {
  for (int round = 0; round < count; ++round) {
    const std::uint64_t window = congestion.window_bytes();
    for (std::uint64_t i = 0; i < 10; ++i) {
      RateSample sample = acked(window / 10, kStart, rtt);
      sample.datagram = datagram + i;
      sample.next_datagram = datagram + 10 + i;
      congestion.on_acked(sample);
    }
    datagram += 10;
  }
}

// SPEC stt.md#hystart
TEST(SttHyStart, SlowsDownWhenRoundTripsGrowAndStopsAfterFiveRounds) {
  const auto cubic = make_cubic(options());
  std::uint64_t datagram = 0;
  rounds(*cubic, datagram, 3, milliseconds(80));
  EXPECT_EQ(cubic->window_bytes(), 80000U);
  rounds(*cubic, datagram, 1, milliseconds(89));
  EXPECT_EQ(cubic->window_bytes(), 160000U) << "9 ms more: the threshold is 80 / 8 = 10";
  rounds(*cubic, datagram, 1, milliseconds(102));
  // 89 / 8 = 11.1 ms: at the eighth sample growth falls to a quarter: 160 + 7 x 16 + 3 x 4
  EXPECT_EQ(cubic->window_bytes(), 284000U);
  rounds(*cubic, datagram, 1, milliseconds(102));
  EXPECT_EQ(cubic->window_bytes(), 355000U) << "a quarter of a window in a round";
  // The round in which it slowed down counts as one of the five.
  rounds(*cubic, datagram, 3, milliseconds(102));
  const std::size_t window = cubic->window_bytes();
  EXPECT_NEAR(static_cast<double>(window), 355000 * std::pow(1.25, 3), 2000);
  rounds(*cubic, datagram, 1, milliseconds(102));
  EXPECT_LT(cubic->window_bytes(), window + (window / 8)) << "congestion avoidance";
}

// SPEC stt.md#hystart
TEST(SttHyStart, GoesOnWhenItWasJitter) {
  const auto cubic = make_cubic(options());
  std::uint64_t datagram = 0;
  rounds(*cubic, datagram, 2, milliseconds(80));
  rounds(*cubic, datagram, 1, milliseconds(100));
  rounds(*cubic, datagram, 1, milliseconds(81));
  const std::size_t window = cubic->window_bytes();
  rounds(*cubic, datagram, 1, milliseconds(81));
  EXPECT_EQ(cubic->window_bytes() / 100, 2 * window / 100);
}

// A sender with endless data, a receiver and the path between.
class Transfer final : FrameFates {
 public:
  Transfer(const RecoveryOptions& chosen, const test::LinkSettings& forward, unsigned seed)
      : recovery_(chosen, kStart),
        forward_(forward, seed),
        back_({.delay = forward.delay}, seed + 1),
        bytes_(chosen.datagram_bytes) {}

  void run(Duration time) {
    const TimePoint end = now_ + time;
    while (now_ < end) {
      send();
      now_ = std::min(next_event(), end);
      receive();
      if (const auto due = recovery_.poll_timeout(); due && *due <= now_)
        recovery_.handle_timeout(*this, now_);
    }
  }

  [[nodiscard]] std::uint64_t delivered_bytes() const { return delivered_; }

  [[nodiscard]] Recovery& recovery() { return recovery_; }

 private:
  void frame_acked(const SentFrame& /*frame*/) override {}

  void frame_lost(const SentFrame& /*frame*/) override {}

  void send() {
    for (auto at = recovery_.next_send(now_); at && *at <= now_; at = recovery_.next_send(now_)) {
      std::memcpy(bytes_.data(), &next_, sizeof(next_));
      recovery_.handle_sent(next_++, bytes_.size(), true, {}, now_);
      recovery_.end_datagram(bytes_.size(), now_);
      forward_.send(bytes_, 1, EcnMark::none, now_);
    }
  }

  [[nodiscard]] TimePoint next_event() {
    TimePoint next = TimePoint::max();
    const auto take = [&next](std::optional<TimePoint> at) {
      if (at) next = std::min(next, *at);
    };
    take(recovery_.next_send(now_));
    take(recovery_.poll_timeout());
    take(forward_.next_arrival());
    take(back_.next_arrival());
    take(received_.poll_timeout());
    return std::max(next, now_);
  }

  void receive() {
    while (const auto datagram = forward_.receive(now_)) {
      PacketNumber number = 0;
      std::memcpy(&number, datagram->bytes.data(), sizeof(number));
      if (!received_.is_fresh(number)) continue;
      received_.record(number, true, false, datagram->mark, now_);
      delivered_ += datagram->bytes.size();
      acknowledge();
    }
    acknowledge();
    while (const auto datagram = back_.receive(now_)) {
      ASSERT_TRUE(recovery_.handle_ack(acks_.front(), *this, now_));
      acks_.pop_front();
    }
  }

  void acknowledge() {
    if (!received_.is_ack_due(now_)) return;
    acks_.push_back(received_.take_ack(now_));
    back_.send(ByteView(bytes_).first(60), 2, EcnMark::none, now_);
  }

  Recovery recovery_;
  ReceivedPackets received_;
  test::Link forward_;
  test::Link back_;
  std::deque<Ack> acks_;
  std::vector<std::uint8_t> bytes_;
  TimePoint now_ = kStart;
  PacketNumber next_ = 0;
  std::uint64_t delivered_ = 0;
};

RecoveryOptions with(CongestionControl congestion) {
  return {.congestion = congestion, .datagram_bytes = 1200};
}

test::LinkSettings path(std::uint64_t mbit_per_second, Duration delay) {
  test::LinkSettings settings;
  settings.bits_per_second = mbit_per_second * 1000000;
  settings.delay = delay;
  settings.queue_bytes = static_cast<std::size_t>(mbit_per_second * 1000000 / 8) *
                         static_cast<std::size_t>(2 * delay.count()) / 1000000000;
  return settings;
}

// SPEC stt.md#congestion
TEST(SttCongestion, FillsAPath) {
  for (const auto congestion : {CongestionControl::new_reno, CongestionControl::cubic}) {
    Transfer transfer(with(congestion), path(20, milliseconds(20)), 1);
    transfer.run(seconds(2));
    const std::uint64_t before = transfer.delivered_bytes();
    transfer.run(seconds(8));
    const double used = static_cast<double>(transfer.delivered_bytes() - before) / (8 * 2.5e6);
    EXPECT_GT(used, 0.9);
    EXPECT_LE(used, 1.001);
    EXPECT_EQ(transfer.recovery().probe_timeouts(), 0U);
    EXPECT_EQ(transfer.recovery().spurious_losses(), 0U);
  }
}

// SPEC stt.md#congestion
TEST(SttCongestion, LivesWithLossAndReordering) {
  for (const auto congestion : {CongestionControl::new_reno, CongestionControl::cubic}) {
    test::LinkSettings settings = path(20, milliseconds(20));
    settings.reorder = 0.02;
    settings.reorder_window = 8;
    settings.duplicate = 0.01;
    Transfer transfer(with(congestion), settings, 2);
    transfer.run(seconds(10));
    EXPECT_GT(transfer.recovery().spurious_losses(), 0U);
    EXPECT_GT(transfer.delivered_bytes(), 20000000U) << "reordering is no congestion";
    settings.loss = 0.3;
    Transfer bad(with(congestion), settings, 3);
    bad.run(seconds(60));
    EXPECT_GT(bad.delivered_bytes(), 100000U);
  }
}

// SPEC stt.md#pto
TEST(SttCongestion, ComesBackAfterAnOutage) {
  test::LinkSettings settings = path(20, milliseconds(20));
  settings.blackholes = {{.from = kStart + seconds(3), .until = kStart + seconds(8)}};
  Transfer transfer(with(CongestionControl::cubic), settings, 4);
  transfer.run(seconds(8));
  EXPECT_GT(transfer.recovery().probe_timeouts(), 2U);
  const std::uint64_t before = transfer.delivered_bytes();
  transfer.run(seconds(12));
  EXPECT_GT(transfer.delivered_bytes(), before + 10000000U);
}

}  // namespace
}  // namespace sealine::stt::detail
