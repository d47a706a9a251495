// BBRv3 over a simulated bottleneck, with a sender of its own that knows nothing of frames: what it
// does in which state is held against draft-ietf-ccwg-bbr, its "Example Test Cases" among it.
#include "stt/detail/bbr.hpp"

#include "support/link.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <set>
#include <vector>

namespace sealine::stt::detail {
namespace {

using namespace std::chrono_literals;
using test::Link;
using test::LinkSettings;

constexpr TimePoint kStart{std::chrono::hours(1)};
constexpr std::size_t kBytes = 1200;

// Sends datagrams as window and pacing let it; each is acknowledged alone, after `back`. Losses are
// seen by three later arrivals, or by a timer where nothing arrives any more.
class Flow {
 public:
  Flow(LinkSettings settings, Duration back, std::uint64_t seed = 1)
      : bbr({.datagram_bytes = kBytes}, kStart), link(std::move(settings), seed), back_(back) {}

  void run(Duration time) {
    const TimePoint end = now + time;
    while (true) {
      send_all();
      TimePoint next = end;
      if (const auto arrival = link.next_arrival()) next = std::min(next, *arrival);
      if (!acks_.empty()) next = std::min(next, acks_.front().at);
      if (can_send() && next_send_ > now) next = std::min(next, next_send_);
      if (in_flight_ > 0) next = std::min(next, last_progress_ + 1s);
      now = std::max(now, next);
      if (now >= end) {
        now = end;
        return;
      }
      receive();
      if (in_flight_ > 0 && now >= last_progress_ + 1s) lose_all();
      note_state();
    }
  }

  // Until it is in the state, at most `most`.
  bool run_until(BbrState state, Duration most = 30s) {
    const TimePoint end = now + most;
    while (bbr.state() != state && now < end) run(200us);
    return bbr.state() == state;
  }

  double goodput() const {  // bytes a second, since mark()
    return static_cast<double>(delivered_ - marked_delivered_) /
           std::chrono::duration<double>(now - marked_at_).count();
  }

  void mark() {
    marked_at_ = now;
    marked_delivered_ = delivered_;
  }

  [[nodiscard]] std::size_t in_flight() const { return in_flight_; }

  Bbr bbr;
  Link link;
  TimePoint now = kStart;
  std::uint64_t app_bytes_per_second = 0;  // 0: endless
  std::vector<BbrState> states{BbrState::startup};
  std::uint64_t lost_bytes = 0;

 private:
  struct Sent {
    TimePoint at{};
    TimePoint first_sent{};      // P.first_send_time
    TimePoint delivered_time{};  // P.delivered_time
    std::uint64_t delivered = 0;
    std::uint64_t lost = 0;
    std::uint64_t tx_in_flight = 0;
    bool is_app_limited = false;
    bool is_window_limited = false;
    bool is_over = false;
  };

  struct AckEvent {
    TimePoint at{};
    std::uint32_t datagram = 0;
  };

  [[nodiscard]] bool has_data() const {
    if (app_bytes_per_second == 0) return true;
    const double made = std::chrono::duration<double>(now - kStart).count() *
                        static_cast<double>(app_bytes_per_second);
    return static_cast<double>(sent_.size() * kBytes) + kBytes <= made;
  }

  [[nodiscard]] bool can_send() const {
    return has_data() && in_flight_ + kBytes <= bbr.window_bytes();
  }

  void send_all() {
    while (can_send() && next_send_ <= now) {
      if (in_flight_ == 0) first_sent_ = delivered_time_ = now;
      const bool limits = in_flight_ + 2 * kBytes > bbr.window_bytes();
      bbr.on_sent({.now = now,
                   .datagram = sent_.size(),
                   .bytes = kBytes,
                   .in_flight = in_flight_,
                   .delivered = delivered_,
                   .is_app_limited = app_limited_until_ > delivered_,
                   .is_window_limited = limits});
      in_flight_ += kBytes;
      sent_.push_back({.at = now,
                       .first_sent = first_sent_,
                       .delivered_time = delivered_time_,
                       .delivered = delivered_,
                       .lost = lost_bytes,
                       .tx_in_flight = in_flight_,
                       .is_app_limited = app_limited_until_ > delivered_,
                       .is_window_limited = limits});
      std::vector<std::uint8_t> bytes(kBytes);
      for (std::size_t i = 0; i < 4; ++i) {
        bytes[i] = static_cast<std::uint8_t>((sent_.size() - 1) >> (8 * i));
      }
      link.send(bytes, 0, EcnMark::ect0, now);
      if (sent_.size() == 1) last_progress_ = now;
      const auto gap = static_cast<double>(kBytes) * 1e9 / static_cast<double>(bbr.pacing_rate());
      next_send_ = std::max(next_send_, now) + Duration(static_cast<std::int64_t>(gap));
    }
    if (!has_data() && in_flight_ + kBytes <= bbr.window_bytes()) {
      app_limited_until_ = delivered_ + std::max<std::size_t>(in_flight_, 1);
      bbr.on_app_limited(now, in_flight_);
    }
  }

  void receive() {
    while (const auto arrived = link.receive(now)) {
      std::uint32_t datagram = 0;
      for (std::size_t i = 0; i < 4; ++i) {
        datagram |= static_cast<std::uint32_t>(arrived->bytes[i]) << (8 * i);
      }
      if (arrived->mark == EcnMark::ce) ++marks_;
      acks_.push_back({.at = now + back_, .datagram = datagram});
    }
    while (!acks_.empty() && acks_.front().at <= now) {
      const std::uint32_t datagram = acks_.front().datagram;
      acks_.pop_front();
      acked(datagram);
    }
  }

  void acked(std::uint32_t datagram) {
    Sent& sent = sent_[datagram];
    if (sent.is_over) return;
    sent.is_over = true;
    last_progress_ = now;
    const std::size_t before = in_flight_;
    in_flight_ -= kBytes;
    delivered_ += kBytes;
    delivered_time_ = now;
    first_sent_ = sent.at;
    const Duration interval = std::max(sent.at - sent.first_sent, now - sent.delivered_time);
    largest_ = std::max(largest_, datagram);
    std::uint64_t newly_lost = 0;
    while (oldest_ + 3 <= largest_) {
      if (!sent_[oldest_].is_over) newly_lost += lose(oldest_);
      ++oldest_;
    }
    if (marks_ > 0) {
      const bool begins = datagram >= mark_episode_;
      if (begins) mark_episode_ = static_cast<std::uint32_t>(sent_.size());
      bbr.on_ecn_ce(
          {.now = now, .marks = marks_, .in_flight = in_flight_, .begins_episode = begins});
      marks_ = 0;
    }
    min_rtt_ = std::min(min_rtt_, now - sent.at);
    bbr.on_acked({.now = now,
                  .delivered = delivered_ - sent.delivered,
                  .interval = interval >= min_rtt_ ? interval : Duration{},
                  .prior_delivered = sent.delivered,
                  .tx_in_flight = sent.tx_in_flight,
                  .lost = lost_bytes - sent.lost,
                  .is_app_limited = sent.is_app_limited,
                  .newly_acked = kBytes,
                  .newly_lost = newly_lost,
                  .prior_in_flight = before,
                  .in_flight = in_flight_,
                  .is_window_limited = sent.is_window_limited,
                  .is_recovering = datagram < episode_,
                  .datagram = datagram,
                  .next_datagram = sent_.size(),
                  .total_delivered = delivered_,
                  .total_lost = lost_bytes,
                  .rtt = now - sent.at,
                  .smoothed_rtt = now - sent.at,
                  .min_rtt = min_rtt_});
  }

  std::uint64_t lose(std::uint32_t datagram) {
    Sent& sent = sent_[datagram];
    sent.is_over = true;
    in_flight_ -= kBytes;
    lost_bytes += kBytes;
    const bool begins = datagram >= episode_;
    if (begins) episode_ = static_cast<std::uint32_t>(sent_.size());
    bbr.on_lost({.now = now,
                 .sent = sent.at,
                 .datagram = datagram,
                 .bytes = kBytes,
                 .prior_delivered = sent.delivered,
                 .tx_in_flight = sent.tx_in_flight,
                 .lost = lost_bytes - sent.lost,
                 .is_app_limited = sent.is_app_limited,
                 .total_delivered = delivered_,
                 .total_lost = lost_bytes,
                 .next_datagram = sent_.size(),
                 .in_flight = in_flight_,
                 .begins_episode = begins});
    return kBytes;
  }

  void lose_all() {
    for (; oldest_ < sent_.size(); ++oldest_) {
      if (!sent_[oldest_].is_over) lose(oldest_);
    }
    bbr.on_persistent_congestion(now);
    last_progress_ = now;
  }

  void note_state() {
    if (states.back() != bbr.state()) states.push_back(bbr.state());
  }

  Duration back_;
  std::vector<Sent> sent_;
  std::deque<AckEvent> acks_;
  std::size_t in_flight_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t app_limited_until_ = 0;
  std::uint32_t oldest_ = 0;
  std::uint32_t largest_ = 0;
  std::uint32_t episode_ = 0;
  std::uint32_t mark_episode_ = 0;
  std::uint64_t marks_ = 0;
  Duration min_rtt_ = Duration::max();
  TimePoint first_sent_{};
  TimePoint delivered_time_{};
  TimePoint next_send_ = kStart;
  TimePoint last_progress_ = kStart;
  TimePoint marked_at_ = kStart;
  std::uint64_t marked_delivered_ = 0;
};

constexpr std::uint64_t kRate = 10'000'000;  // bits a second
constexpr double kByteRate = kRate / 8.0;
constexpr double kBdp = kByteRate * 0.04;  // 40 ms: 50,000 bytes

LinkSettings path(double queue_bdp = 4) {
  return {.bits_per_second = kRate,
          .delay = 20ms,
          .queue_bytes = static_cast<std::size_t>(kBdp * queue_bdp)};
}

TEST(Bbr, StartupEndsOnAPlateauAndKnowsTheRate) {
  Flow flow(path(), 20ms);
  EXPECT_EQ(flow.bbr.state(), BbrState::startup);
  ASSERT_TRUE(flow.run_until(BbrState::drain, 2s));
  EXPECT_TRUE(flow.bbr.has_filled_pipe());
  EXPECT_NEAR(flow.bbr.max_bandwidth(), kByteRate, 0.02 * kByteRate);
  EXPECT_EQ(flow.lost_bytes, 0U) << "the window gain of 2 bounds the queue";
  // 50,000 bytes are two doublings of the first window, then three rounds without growth.
  EXPECT_LE(flow.now - kStart, 600ms);
}

TEST(Bbr, StartupPacesAfterItsFirstRoundTrip) {
  Flow flow(path(), 20ms);
  flow.run(1ms);
  EXPECT_EQ(flow.bbr.window_bytes(), initial_window(kBytes));
  flow.run(60ms);
  EXPECT_GE(flow.bbr.pacing_rate(),
            static_cast<std::uint64_t>(2.7 * static_cast<double>(initial_window(kBytes)) / 0.05));
  EXPECT_LE(flow.bbr.pacing_rate(), 3 * kByteRate);
}

TEST(Bbr, DrainEndsWhenTheQueueIsGone) {
  Flow flow(path(), 20ms);
  ASSERT_TRUE(flow.run_until(BbrState::drain));
  EXPECT_NEAR(static_cast<double>(flow.bbr.pacing_rate()), 0.5 * 0.99 * kByteRate,
              0.03 * kByteRate);
  EXPECT_GT(flow.in_flight(), kBdp * 1.2);
  // With nothing to drain any more ProbeBW begins by cruising.
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_cruise, 1s));
  EXPECT_LE(static_cast<double>(flow.in_flight()), kBdp * 1.1);
}

TEST(Bbr, DrainEndsAfterThreeRoundsWhateverIsInFlight) {
  Flow flow(path(100), 20ms);
  ASSERT_TRUE(flow.run_until(BbrState::drain));
  flow.link.settings().bits_per_second = kRate / 8;
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_down, 5s));
  EXPECT_GT(static_cast<double>(flow.in_flight()), kBdp / 8);
}

TEST(Bbr, ProbesInTurn) {
  Flow flow(path(), 20ms);
  flow.run(4900ms);
  ASSERT_GE(flow.states.size(), 7U);
  const std::vector<BbrState> first(flow.states.begin(), flow.states.begin() + 7);
  EXPECT_EQ(first,
            (std::vector<BbrState>{BbrState::startup, BbrState::drain, BbrState::probe_bw_cruise,
                                   BbrState::probe_bw_refill, BbrState::probe_bw_up,
                                   BbrState::probe_bw_down, BbrState::probe_bw_cruise}));
  EXPECT_EQ(std::ranges::count(flow.states, BbrState::probe_rtt), 0);
}

TEST(Bbr, PacesByItsState) {
  Flow flow(path(), 20ms);
  for (const auto& [state, gain] :
       {std::pair(BbrState::probe_bw_down, 0.9), std::pair(BbrState::probe_bw_cruise, 1.0),
        std::pair(BbrState::probe_bw_refill, 1.0), std::pair(BbrState::probe_bw_up, 1.25)}) {
    ASSERT_TRUE(flow.run_until(state));
    EXPECT_NEAR(static_cast<double>(flow.bbr.pacing_rate()), gain * 0.99 * flow.bbr.max_bandwidth(),
                2)
        << static_cast<int>(state);
  }
}

TEST(Bbr, ProbeRttComesEveryFiveSecondsAndLetsTheQueueGo) {
  Flow flow(path(), 20ms);
  ASSERT_TRUE(flow.run_until(BbrState::probe_rtt, 6s));
  EXPECT_GE(flow.now - kStart, 5s);
  const TimePoint began = flow.now;
  flow.run(150ms);
  EXPECT_LE(static_cast<double>(flow.in_flight()), 0.6 * kBdp);
  const double known = flow.bbr.max_bandwidth();
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_cruise, 1s));
  EXPECT_GE(flow.now - began, 200ms);
  EXPECT_LE(flow.now - began, 400ms);
  EXPECT_EQ(flow.bbr.max_bandwidth(), known) << "what it sends then says nothing of the path";
  ASSERT_TRUE(flow.run_until(BbrState::probe_rtt, 7s));
  EXPECT_GE(flow.now - began, 5s);
  ASSERT_TRUE(flow.bbr.min_rtt());
  EXPECT_NEAR(static_cast<double>(flow.bbr.min_rtt()->count()), 41e6, 1e6);
}

TEST(Bbr, AnIdleTimeIsAProbeRttForFree) {
  Flow flow(path(), 20ms);
  flow.app_bytes_per_second = 20'000;  // a datagram every 60 ms: nothing is ever in flight for long
  flow.run(20s);
  EXPECT_EQ(std::ranges::count(flow.states, BbrState::probe_rtt), 0);
}

TEST(Bbr, WithoutDataOfItsOwnStartupGoesOn) {
  Flow flow(path(), 20ms);
  flow.app_bytes_per_second = static_cast<std::uint64_t>(kByteRate / 4);
  flow.run(4s);
  EXPECT_EQ(flow.bbr.state(), BbrState::startup);
  EXPECT_FALSE(flow.bbr.has_filled_pipe());
}

TEST(Bbr, ARoundOfManyLossesEndsStartupEvenWithoutData) {
  LinkSettings settings = path();
  settings.loss = 0.1;
  Flow flow(settings, 20ms);
  flow.app_bytes_per_second = static_cast<std::uint64_t>(kByteRate * 0.9);
  flow.bbr.set_datagram_bytes(kBytes);
  ASSERT_TRUE(flow.run_until(BbrState::drain, 10s));
  EXPECT_TRUE(flow.bbr.has_filled_pipe());
  EXPECT_NE(flow.bbr.inflight_longterm(), Bbr::kUnbounded);
}

TEST(Bbr, FillsAPathWithoutLoss) {
  for (const double queue : {0.25, 1.0, 4.0}) {
    Flow flow(path(queue), 20ms);
    flow.run(2s);
    flow.mark();
    flow.run(20s);
    EXPECT_GE(flow.goodput(), 0.9 * kByteRate) << queue;
  }
}

TEST(Bbr, OnePercentOfLossCostsLittle) {
  for (const double queue : {0.25, 1.0, 4.0}) {
    LinkSettings settings = path(queue);
    settings.loss = 0.01;
    Flow flow(settings, 20ms);
    flow.run(2s);
    flow.mark();
    flow.run(30s);
    EXPECT_GE(flow.goodput(), 0.85 * kByteRate) << queue;
  }
}

TEST(Bbr, AShallowQueueSetsABound) {
  Flow flow(path(0.1), 20ms);
  flow.run(10s);
  ASSERT_NE(flow.bbr.inflight_longterm(), Bbr::kUnbounded);
  EXPECT_LE(static_cast<double>(flow.bbr.inflight_longterm()), 1.3 * kBdp);
  EXPECT_GE(static_cast<double>(flow.bbr.inflight_longterm()), 0.7 * kBdp);
  // And what is lost for it is little.
  EXPECT_LE(static_cast<double>(flow.lost_bytes), 0.05 * 10 * kByteRate);
}

TEST(Bbr, FollowsABandwidthThatFalls) {
  Flow flow(path(8), 20ms);
  flow.run(6s);
  flow.link.settings().bits_per_second = kRate / 10;
  flow.run(40s);
  EXPECT_NEAR(flow.bbr.max_bandwidth(), kByteRate / 10, 0.05 * kByteRate / 10);
}

TEST(Bbr, FindsABandwidthThatRises) {
  Flow flow(path(4), 20ms);
  flow.run(6s);
  flow.link.settings().bits_per_second = kRate * 10;
  flow.run(30s);
  EXPECT_GE(flow.bbr.max_bandwidth(), 0.9 * kByteRate * 10);
}

TEST(Bbr, LossBeyondProbesLowersTheShortTermBoundsAndARefillLiftsThem) {
  Flow flow(path(), 20ms);
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_cruise));
  EXPECT_EQ(flow.bbr.bandwidth_shortterm(), Bbr::kUnboundedRate);
  flow.link.settings().loss = 0.2;
  flow.run(150ms);
  ASSERT_EQ(flow.bbr.state(), BbrState::probe_bw_cruise);
  EXPECT_LT(flow.bbr.bandwidth_shortterm(), 0.95 * kByteRate);
  EXPECT_GE(flow.bbr.bandwidth_shortterm(), 0.34 * kByteRate) << "0.7 a round at most";
  EXPECT_NE(flow.bbr.inflight_shortterm(), Bbr::kUnbounded);
  flow.link.settings().loss = 0;
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_refill));
  EXPECT_EQ(flow.bbr.bandwidth_shortterm(), Bbr::kUnboundedRate);
  EXPECT_EQ(flow.bbr.inflight_shortterm(), Bbr::kUnbounded);
}

TEST(Bbr, AProbeThatLosesTooMuchIsStoppedAndItsUndoTakesUpAgain) {
  Flow flow(path(), 20ms);
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_up));
  flow.run(20ms);
  flow.link.settings().loss = 0.3;
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_down, 200ms));
  ASSERT_NE(flow.bbr.inflight_longterm(), Bbr::kUnbounded);
  EXPECT_GE(static_cast<double>(flow.bbr.inflight_longterm()), 0.69 * kBdp);
  const std::uint64_t bound = flow.bbr.inflight_longterm();
  // All of it had only been late.
  flow.bbr.on_spurious(flow.now);
  EXPECT_EQ(flow.bbr.state(), BbrState::probe_bw_refill);
  EXPECT_GT(flow.bbr.inflight_longterm(), bound);
}

TEST(Bbr, AfterAProbeThatWentTooHighTheNextIsCautiousAndTheOneAfterItBold) {
  Flow flow(path(), 20ms);
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_up));
  flow.run(20ms);
  flow.link.settings().loss = 0.3;
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_down, 200ms));
  flow.link.settings().loss = 0;
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_up));
  const std::uint64_t bound = flow.bbr.inflight_longterm();
  ASSERT_NE(bound, Bbr::kUnbounded);
  // It ends as soon as the bound is reached: long before three rounds without growth are over.
  const TimePoint cautious = flow.now;
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_down));
  EXPECT_LE(flow.now - cautious, 100ms);
  // Nothing was lost: the next comes at once, not after 2 s, and stays.
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_up));
  EXPECT_LE(flow.now - cautious, 400ms);
  const TimePoint bold = flow.now;
  ASSERT_TRUE(flow.run_until(BbrState::probe_bw_down));
  EXPECT_GE(flow.now - bold, 120ms);
  EXPECT_GT(flow.bbr.inflight_longterm(), bound);
}

TEST(Bbr, MarksOfAQueueAreCongestion) {
  LinkSettings settings = path(4);
  settings.mark_above_bytes = static_cast<std::size_t>(kBdp / 4);
  Flow flow(settings, 20ms);
  flow.run(10s);
  EXPECT_TRUE(flow.bbr.has_filled_pipe());
  ASSERT_NE(flow.bbr.inflight_longterm(), Bbr::kUnbounded);
  EXPECT_LE(static_cast<double>(flow.bbr.inflight_longterm()), 1.8 * kBdp);
  flow.mark();
  flow.run(10s);
  EXPECT_GE(flow.goodput(), 0.8 * kByteRate);
}

TEST(Bbr, WhenNothingComesThroughItBeginsWithTwoAndFindsItsWayBack) {
  Flow flow(path(), 20ms);
  flow.run(3s);
  flow.link.settings().blackholes = {{.from = flow.now, .until = flow.now + 3s}};
  flow.run(2500ms);
  EXPECT_EQ(flow.bbr.window_bytes(), 2 * kBytes);
  flow.run(3s);
  flow.mark();
  flow.run(5s);
  EXPECT_GE(flow.goodput(), 0.9 * kByteRate);
}

TEST(Bbr, RoundsWithoutARateDoNotMakeItForgetTheLastOne) {
  Bbr bbr({.datagram_bytes = kBytes}, kStart);
  RateSample sample{.now = kStart,
                    .delivered = 10 * kBytes,
                    .interval = 40ms,
                    .newly_acked = kBytes,
                    .total_delivered = 10 * kBytes,
                    .rtt = 40ms,
                    .smoothed_rtt = 40ms,
                    .min_rtt = 40ms};
  // Three rounds fill the pipe, then there are only intervals that are too short to tell.
  for (int round = 0; round < 2000; ++round) {
    if (round == 10) sample.interval = {};
    sample.now += 40ms;
    sample.prior_delivered = sample.total_delivered;
    sample.total_delivered += kBytes;
    bbr.on_acked(sample);
  }
  ASSERT_TRUE(bbr.has_filled_pipe());
  EXPECT_NEAR(bbr.max_bandwidth(), 300'000, 1);
  EXPECT_GE(bbr.pacing_rate(), 100'000U);
}

TEST(Bbr, AtLeastADatagramARoundTrip) {
  Flow flow(path(), 20ms);
  flow.run(3s);
  // For a minute hardly anything comes through, then all does.
  flow.link.settings().loss = 0.95;
  flow.run(60s);
  flow.link.settings().loss = 0;
  flow.run(20s);
  flow.mark();
  flow.run(5s);
  EXPECT_GE(flow.goodput(), 0.5 * kByteRate);
}

TEST(Bbr, APathOfLessThanADatagramStillMoves) {
  Flow flow({.bits_per_second = 1'000'000, .delay = 500us, .queue_bytes = 10 * kBytes}, 500us);
  flow.run(2s);
  flow.mark();
  flow.run(10s);
  EXPECT_GE(flow.goodput(), 0.9 * 125'000);
}

}  // namespace
}  // namespace sealine::stt::detail
