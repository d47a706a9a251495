// BBRv3: its states, and what leads from one to the next. Section numbers are those of
// draft-ietf-ccwg-bbr; the model is in bbr.cpp.
#include "stt/detail/bbr.hpp"

#include <algorithm>

namespace sealine::stt::detail {

namespace {

constexpr std::uint64_t kMaxRounds = 63;  ///< between probes: as often as Reno would
constexpr unsigned kMaxSlopeRounds = 30;
constexpr Duration kShortestWait = std::chrono::seconds(2);
constexpr Duration kMoreWait = std::chrono::seconds(1);  ///< by chance

std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

}  // namespace

bool Bbr::is_probing_bw_state() const noexcept {
  return state_ == BbrState::probe_bw_down || state_ == BbrState::probe_bw_cruise ||
         state_ == BbrState::probe_bw_refill || state_ == BbrState::probe_bw_up;
}

bool Bbr::is_accelerating() const noexcept {
  return state_ == BbrState::startup || state_ == BbrState::probe_bw_refill ||
         state_ == BbrState::probe_bw_up;
}

// --- Startup and Drain: 5.3.1, 5.3.2

void Bbr::reset_full_bw(double baseline) {
  full_bw_ = baseline;
  full_bw_count_ = 0;
  full_bw_now_ = false;
}

// Three rounds in which the rate did not grow by a quarter: the pipe is full.
void Bbr::check_full_bw(const RateSample& sample) {
  const auto rate = static_cast<double>(sample.delivery_rate());
  if (full_bw_now_ || !round_start_ || rate <= 0 ||
      is_marked_app_limited(sample.datagram, sample.is_app_limited)) {
    return;
  }
  if (rate >= full_bw_ * kFullGrowth) {
    reset_full_bw(rate);
    return;
  }
  ++full_bw_count_;
  full_bw_now_ = full_bw_count_ >= kFullRounds;
  full_bw_reached_ = full_bw_reached_ || full_bw_now_;
}

// A whole round of recovery, above the threshold, in as many places: no noise.
void Bbr::check_startup_loss(const RateSample& sample) {
  if (state_ != BbrState::startup || full_bw_reached_ || !loss_round_start_ ||
      loss_events_ < kStartupLossEvents || !is_too_much(sample.lost, sample.tx_in_flight)) {
    return;
  }
  leave_startup_for_loss();
}

void Bbr::leave_startup_for_loss() {
  undo_state_ = BbrState::startup;
  full_bw_now_ = true;
  full_bw_reached_ = true;
  inflight_longterm_ = std::max(bdp(1.0), inflight_latest_);
}

void Bbr::enter_drain() {
  state_ = BbrState::drain;
  drain_start_round_ = round_count_;
}

void Bbr::check_drain(const RateSample& sample) {
  if (state_ != BbrState::drain) return;
  if (sample.in_flight <= with_budget(bdp(1.0)) ||
      round_count_ > drain_start_round_ + kDrainRounds) {
    start_down(sample.now);
  }
}

// --- ProbeBW: 5.3.3

void Bbr::start_down(TimePoint now) {
  reset_congestion_signals();
  probe_up_acked_per_increase_ = kUnbounded;
  // When to probe again: 2 to 3 s, or the rounds of a Reno flow, less one by chance.
  const std::uint64_t chance =
      mixed(static_cast<std::uint64_t>(now.time_since_epoch().count()) ^ mixed(delivered_));
  rounds_since_probe_ = chance & 1U;
  const auto more = (chance >> 1U) % static_cast<std::uint64_t>(kMoreWait.count());
  probe_wait_ = kShortestWait + Duration(more);
  cycle_began_ = now;
  ack_phase_ = AckPhase::probe_stopping;
  start_round();
  state_ = BbrState::probe_bw_down;
}

void Bbr::start_refill() {
  reset_shortterm();
  probe_up_rounds_ = 0;
  probe_up_acked_ = 0;
  prev_probe_precautionary_ = false;
  ack_phase_ = AckPhase::refilling;
  start_round();
  state_ = BbrState::probe_bw_refill;
}

void Bbr::start_up(const RateSample& sample) {
  is_probe_sample_ = true;
  ack_phase_ = AckPhase::probe_starting;
  start_round();
  reset_full_bw(static_cast<double>(sample.delivery_rate()));
  state_ = BbrState::probe_bw_up;
  raise_longterm_slope();
}

void Bbr::update_cycle(const RateSample& sample) {
  if (!full_bw_reached_) return;
  if (adapt_longterm(sample)) return;
  switch (state_) {
    case BbrState::probe_bw_down:
      if (is_time_to_probe(sample.now)) {
        start_refill();
      } else if (sample.in_flight <= inflight_with_headroom() &&
                 sample.in_flight <= with_budget(bdp(1.0))) {
        state_ = BbrState::probe_bw_cruise;
      }
      break;
    case BbrState::probe_bw_cruise:
      if (is_time_to_probe(sample.now)) start_refill();
      break;
    case BbrState::probe_bw_refill:
      if (round_start_) start_up(sample);
      break;
    case BbrState::probe_bw_up:
      if (is_time_to_go_down(sample)) {
        prev_probe_too_high_ = false;
        start_down(sample.now);
      }
      break;
    case BbrState::startup:
    case BbrState::drain:
    case BbrState::probe_rtt:
      break;
  }
}

// Follows what the ACKs tell about the last probe, and moves the long-term bounds with it. True: a
// new probe has begun.
bool Bbr::adapt_longterm(const RateSample& sample) {
  const bool is_limited = is_marked_app_limited(sample.datagram, sample.is_app_limited);
  if (ack_phase_ == AckPhase::probe_starting && round_start_) {
    ack_phase_ = AckPhase::probe_feedback;
  }
  // Not in the draft: on a path whose queue has grown long, ProbeRTT ends each probe before it is
  // through, and a bandwidth that has fallen would never be noticed.
  if (round_start_ && !is_limited && is_probing_bw_state() &&
      sample.now > max_bw_advanced_at_ + kMaxBandwidthAge) {
    advance_max_bandwidth(sample.now);
  }
  if (ack_phase_ == AckPhase::probe_stopping && round_start_) {
    is_probe_sample_ = false;
    ack_phase_ = AckPhase::idle;
    if (is_probing_bw_state()) {
      if (!is_limited) advance_max_bandwidth(sample.now);
      // A cautious probe that did no harm is followed by a bold one.
      if (prev_probe_precautionary_ && !prev_probe_too_high_) {
        start_refill();
        return true;
      }
    }
  }
  const bool is_too_high = is_too_much(sample.lost, sample.tx_in_flight);
  if (is_too_high || inflight_longterm_ == kUnbounded) return false;
  inflight_longterm_ = std::max(inflight_longterm_, sample.tx_in_flight);
  if (state_ == BbrState::probe_bw_up) raise_longterm(sample);
  return false;
}

// 5.5.6: the rates of two cycles count, this one's and the last. A cycle that measured none is
// none.
void Bbr::advance_max_bandwidth(TimePoint now) {
  if (max_bw_[1] <= 0) return;
  max_bw_ = {max_bw_[1], 0};
  max_bw_advanced_at_ = now;
}

// 1, 2, 4, 8 .. datagrams a round, spread over it.
void Bbr::raise_longterm_slope() {
  const std::uint64_t growth = std::uint64_t{1} << probe_up_rounds_;
  probe_up_rounds_ = std::min(probe_up_rounds_ + 1, kMaxSlopeRounds);
  probe_up_acked_per_increase_ = std::max(window_ / growth, std::uint64_t{datagram_bytes_});
}

void Bbr::raise_longterm(const RateSample& sample) {
  if (!sample.is_window_limited || window_ < inflight_longterm_) return;
  probe_up_acked_ += sample.newly_acked;
  if (probe_up_acked_ >= probe_up_acked_per_increase_) {
    const std::uint64_t increases = probe_up_acked_ / probe_up_acked_per_increase_;
    probe_up_acked_ -= increases * probe_up_acked_per_increase_;
    inflight_longterm_ += increases * datagram_bytes_;
  }
  if (round_start_) raise_longterm_slope();
}

// 5.5.10.2: once a probe.
void Bbr::take_as_too_high(const Signal& signal, TimePoint now) {
  prev_probe_too_high_ = true;
  is_probe_sample_ = false;
  if (!signal.is_app_limited) {
    const auto least = static_cast<std::uint64_t>(static_cast<double>(target_inflight()) * kBeta);
    inflight_longterm_ = std::max(signal.tx_in_flight, least);
  }
  if (state_ == BbrState::probe_bw_up) {
    undo_state_ = BbrState::probe_bw_up;
    start_down(now);
  }
}

bool Bbr::is_time_to_probe(TimePoint now) const {
  if (now > cycle_began_ + probe_wait_) return true;
  const std::uint64_t reno_rounds = target_inflight() / datagram_bytes_;
  return rounds_since_probe_ >= std::min(reno_rounds, kMaxRounds);
}

bool Bbr::is_time_to_go_down(const RateSample& sample) {
  // The last probe went too high: up to the bound is enough, this time. A window of bytes holds
  // whole datagrams alone: the bound is reached where no other fits.
  if (prev_probe_too_high_ && sample.prior_in_flight + datagram_bytes_ > inflight_longterm_) {
    prev_probe_precautionary_ = true;
    return true;
  }
  if (sample.is_window_limited && window_ >= inflight_longterm_) {
    reset_full_bw(static_cast<double>(sample.delivery_rate()));
    return false;
  }
  return full_bw_now_;
}

// --- ProbeRTT: 5.3.4

void Bbr::check_probe_rtt(const RateSample& sample) {
  if (state_ != BbrState::probe_rtt && probe_rtt_expired_ && !idle_restart_) {
    save_window();
    state_ = BbrState::probe_rtt;
    probe_rtt_done_at_.reset();
    ack_phase_ = AckPhase::probe_stopping;
    start_round();
  }
  if (state_ == BbrState::probe_rtt) {
    limited_until_delivered_ = delivered_ + std::max<std::size_t>(sample.in_flight, 1);
    if (!probe_rtt_done_at_) {
      if (sample.in_flight <= probe_rtt_window()) {
        probe_rtt_done_at_ = sample.now + kProbeRttTime;
        probe_rtt_round_done_ = false;
        start_round();
      }
    } else {
      probe_rtt_round_done_ = probe_rtt_round_done_ || round_start_;
      if (probe_rtt_round_done_) end_probe_rtt_if_done(sample.now);
    }
  }
  if (sample.delivered > 0) idle_restart_ = false;
}

void Bbr::end_probe_rtt_if_done(TimePoint now) {
  if (!probe_rtt_done_at_ || now <= *probe_rtt_done_at_) return;
  probe_rtt_done_at_.reset();
  probe_rtt_min_at_ = now;
  restore_window();
  reset_shortterm();
  if (full_bw_reached_) {
    // Little is in flight already: no need to go down, but the next probe waits its time.
    start_down(now);
    state_ = BbrState::probe_bw_cruise;
  } else {
    state_ = BbrState::startup;
  }
}

}  // namespace sealine::stt::detail
