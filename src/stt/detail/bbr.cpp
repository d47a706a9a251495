// BBRv3: the model of the path, and what follows from it for window and pacing. Section numbers are
// those of draft-ietf-ccwg-bbr; its states are in bbr_states.cpp.
#include "stt/detail/bbr.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

namespace sealine::stt::detail {

namespace {

constexpr double kPacingMargin = 0.99;
constexpr double kDefaultWindowGain = 2.0;
constexpr double kStartupPacingGain = 2.77;
constexpr Duration kNominalRtt = std::chrono::milliseconds(1);  ///< before any is known
constexpr std::uint64_t kMaxQuantumBytes = 65536;

struct Gains {
  double pacing;
  double window;
};

// 5.6.1
constexpr Gains gains_of(BbrState state) {
  switch (state) {
    case BbrState::startup:
      return {.pacing = kStartupPacingGain, .window = kDefaultWindowGain};
    case BbrState::drain:
      return {.pacing = 0.5, .window = kDefaultWindowGain};
    case BbrState::probe_bw_down:
      return {.pacing = 0.9, .window = kDefaultWindowGain};
    case BbrState::probe_bw_cruise:
    case BbrState::probe_bw_refill:
      return {.pacing = 1.0, .window = kDefaultWindowGain};
    case BbrState::probe_bw_up:
      return {.pacing = 1.25, .window = 2.25};
    case BbrState::probe_rtt:
      break;
  }
  return {.pacing = 1.0, .window = 0.5};
}

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::uint64_t scaled(std::uint64_t volume, double factor) {
  return static_cast<std::uint64_t>(static_cast<double>(volume) * factor);
}

}  // namespace

Bbr::Bbr(const RecoveryOptions& options, TimePoint now)
    : datagram_bytes_(options.datagram_bytes),
      initial_window_(initial_window(options.datagram_bytes)),
      window_(initial_window_),
      // 5.6.2
      pacing_rate_(kStartupPacingGain * static_cast<double>(initial_window_) /
                   seconds(kNominalRtt)),
      max_bw_advanced_at_(now),
      cycle_began_(now),
      min_rtt_at_(now),
      probe_rtt_min_at_(now),
      extra_acked_since_(now) {}

// --- what comes from recovery

// 5.4.1
void Bbr::on_sent(const SentSample& sent) {
  if (sent.in_flight == 0 && sent.is_app_limited) {
    idle_restart_ = true;
    extra_acked_since_ = sent.now;
    if (is_probing_bw_state()) {
      set_pacing_rate(1.0);
    } else if (state_ == BbrState::probe_rtt) {
      end_probe_rtt_if_done(sent.now);
    }
  }
  if (sent.delivered < limited_until_delivered_) limited_datagram_ = sent.datagram;
}

// 5.2.3
void Bbr::on_acked(const RateSample& sample) {
  delivered_ = sample.total_delivered;
  smoothed_rtt_ = sample.smoothed_rtt;
  // 5.6.2: the first round trip tells how fast the first window may go.
  if (!probe_rtt_min_ && sample.rtt && *sample.rtt > Duration{}) {
    pacing_rate_ = kStartupPacingGain * static_cast<double>(initial_window_) / seconds(*sample.rtt);
  }
  update_latest_signals(sample);
  update_congestion_signals(sample);
  update_ack_aggregation(sample);
  check_full_bw(sample);
  check_startup_loss(sample);
  if (state_ == BbrState::startup && full_bw_reached_) enter_drain();
  check_drain(sample);
  update_cycle(sample);
  update_min_rtt(sample);
  check_probe_rtt(sample);
  if (loss_round_start_) {
    bw_latest_ = static_cast<double>(sample.delivery_rate());
    inflight_latest_ = sample.delivered;
    loss_events_ = 0;
  }
  if (is_recovering_ && !sample.is_recovering) {
    is_recovering_ = false;
    restore_window();
  }
  set_pacing_rate(gains_of(state_).pacing);
  set_window(sample);
}

// 5.5.10.2
void Bbr::on_lost(const LossSample& loss) {
  delivered_ = loss.total_delivered;
  note_congestion();
  if (loss.begins_episode) {
    save_state();
    is_recovering_ = true;
  }
  if (!last_lost_ || loss.datagram != *last_lost_ + 1) ++loss_events_;
  last_lost_ = loss.datagram;
  lost_in_round_ += loss.bytes;
  if (!is_probe_sample_) return;
  Signal signal{.lost = loss.lost,
                .tx_in_flight = loss.tx_in_flight,
                .is_app_limited = is_marked_app_limited(loss.datagram, loss.is_app_limited)};
  if (!is_too_much(signal.lost, signal.tx_in_flight)) return;
  // How much was in flight when the losses crossed the threshold, which may be within this one.
  const double before = static_cast<double>(loss.tx_in_flight) - static_cast<double>(loss.bytes);
  const double lost_before = static_cast<double>(loss.lost) - static_cast<double>(loss.bytes);
  const double prefix = (kLossThreshold * before - lost_before) / (1 - kLossThreshold);
  signal.tx_in_flight = static_cast<std::uint64_t>(std::max(before + prefix, 0.0));
  take_as_too_high(signal, loss.now);
}

// 3.7: any mark is congestion. Once an episode, as a loss would be.
void Bbr::on_ecn_ce(const CongestionMark& mark) {
  if (!mark.begins_episode) return;
  note_congestion();
  lost_in_round_ = kUnbounded / 2;
  if (state_ == BbrState::startup && !full_bw_reached_) {
    leave_startup_for_loss();
    enter_drain();
  } else if (is_probe_sample_) {
    take_as_too_high({.tx_in_flight = mark.in_flight}, mark.now);
  }
}

// 5.6.4.4
void Bbr::on_persistent_congestion(TimePoint) {
  note_congestion();
  lost_in_round_ = kUnbounded / 2;
  save_window();
  is_recovering_ = true;
  window_ = 2 * std::uint64_t{datagram_bytes_};
}

// 5.5.11.2
void Bbr::on_spurious(TimePoint) {
  restore_window();
  is_recovering_ = false;
  is_loss_in_round_ = false;
  reset_full_bw(0);
  bw_shortterm_ = std::max(bw_shortterm_, undo_bw_shortterm_);
  inflight_shortterm_ = std::max(inflight_shortterm_, undo_inflight_shortterm_);
  inflight_longterm_ = std::max(inflight_longterm_, undo_inflight_longterm_);
  const auto undo = undo_state_;
  undo_state_.reset();
  if (undo == BbrState::startup && state_ != BbrState::startup) {
    full_bw_reached_ = false;
    if (state_ != BbrState::probe_rtt) state_ = BbrState::startup;
  } else if (undo == BbrState::probe_bw_up && is_probing_bw_state() &&
             state_ != BbrState::probe_bw_up) {
    start_refill();
  }
}

// The samples say themselves which of them were limited.
void Bbr::on_app_limited(TimePoint, std::size_t) {}

void Bbr::set_datagram_bytes(std::size_t bytes) {
  datagram_bytes_ = bytes;
  window_ = std::max(window_, std::uint64_t{2} * bytes);
}

std::size_t Bbr::window_bytes() const { return static_cast<std::size_t>(window_); }

std::uint64_t Bbr::pacing_rate() const {
  return static_cast<std::uint64_t>(std::max(pacing_rate_, 1.0));
}

// --- the model

bool Bbr::is_marked_app_limited(std::uint64_t datagram, bool is_app_limited) const {
  return is_app_limited || (limited_datagram_ && datagram <= *limited_datagram_);
}

// Beside the draft: 2 % of what was in flight, and what chance may add to it. A path that loses 1 %
// at random has rounds with more than 2 % all the time, the more the fewer datagrams it holds; and
// one datagram is no rate.
bool Bbr::is_too_much(std::uint64_t lost, std::uint64_t in_flight) const {
  const auto datagram = static_cast<double>(datagram_bytes_);
  const double tolerated = kLossThreshold * static_cast<double>(in_flight) / datagram;
  const double most = tolerated + (kLossDeviations * std::sqrt(tolerated));
  return static_cast<double>(lost) > datagram * std::max(1.0, most);
}

void Bbr::note_congestion() {
  if (!is_loss_in_round_) loss_round_delivered_ = delivered_;
  is_loss_in_round_ = true;
}

// 5.5.11.1: when an episode of loss begins.
void Bbr::save_state() {
  save_window();
  undo_state_.reset();
  undo_bw_shortterm_ = bw_shortterm_;
  undo_inflight_shortterm_ = inflight_shortterm_;
  undo_inflight_longterm_ = inflight_longterm_;
}

void Bbr::update_latest_signals(const RateSample& sample) {
  loss_round_start_ = false;
  bw_latest_ = std::max(bw_latest_, static_cast<double>(sample.delivery_rate()));
  inflight_latest_ = std::max(inflight_latest_, sample.delivered);
  if (sample.prior_delivered >= loss_round_delivered_) {
    loss_round_delivered_ = delivered_;
    loss_round_start_ = true;
  }
}

// 5.5.1
void Bbr::update_round(const RateSample& sample) {
  round_start_ = sample.prior_delivered >= next_round_delivered_;
  if (!round_start_) return;
  start_round();
  ++round_count_;
  ++rounds_since_probe_;
  extra_acked_[round_count_ % extra_acked_.size()] = 0;
}

// 5.5.5
void Bbr::update_max_bandwidth(const RateSample& sample) {
  const auto rate = static_cast<double>(sample.delivery_rate());
  const bool is_limited = is_marked_app_limited(sample.datagram, sample.is_app_limited);
  if (rate > 0 && (rate >= max_bandwidth() || !is_limited)) {
    max_bw_[1] = std::max(max_bw_[1], rate);
  }
}

// 5.5.10.3: outside of probes, a round with losses brings the short-term bounds down towards what
// came through. Beside the draft, which does so for any loss at all: at 1 % that is nearly every
// round, and the up to 63 rounds between two probes would leave half of the rate. What a probe may
// lose, a round may lose too.
void Bbr::update_congestion_signals(const RateSample& sample) {
  update_round(sample);
  update_max_bandwidth(sample);
  if (!loss_round_start_) return;
  if (is_loss_in_round_ && !is_accelerating() && is_too_much(lost_in_round_, inflight_latest_))
    lower_shortterm_bounds();
  is_loss_in_round_ = false;
  lost_in_round_ = 0;
}

void Bbr::lower_shortterm_bounds() {
  if (bw_shortterm_ == kUnboundedRate) bw_shortterm_ = max_bandwidth();
  if (inflight_shortterm_ == kUnbounded) inflight_shortterm_ = window_;
  bw_shortterm_ = std::max(bw_latest_, kBeta * bw_shortterm_);
  inflight_shortterm_ = std::max(inflight_latest_, scaled(inflight_shortterm_, kBeta));
}

void Bbr::reset_shortterm() {
  bw_shortterm_ = kUnboundedRate;
  inflight_shortterm_ = kUnbounded;
}

void Bbr::reset_congestion_signals() {
  is_loss_in_round_ = false;
  lost_in_round_ = 0;
  bw_latest_ = 0;
  inflight_latest_ = 0;
}

// 5.5.9
void Bbr::update_ack_aggregation(const RateSample& sample) {
  double expected = bandwidth() * seconds(sample.now - extra_acked_since_);
  if (static_cast<double>(extra_acked_delivered_) <= expected) {
    extra_acked_delivered_ = 0;
    extra_acked_since_ = sample.now;
    expected = 0;
  }
  extra_acked_delivered_ += sample.newly_acked;
  const double extra = static_cast<double>(extra_acked_delivered_) - expected;
  auto& most = extra_acked_[round_count_ % extra_acked_.size()];
  most = std::max(most, std::min(static_cast<std::uint64_t>(std::max(extra, 0.0)), window_));
}

std::uint64_t Bbr::extra_acked() const {
  const std::size_t rounds = full_bw_reached_ ? kAggregationRounds : 1;
  std::uint64_t most = 0;
  for (std::size_t back = 0; back <= rounds && back <= round_count_; ++back) {
    most = std::max(most, extra_acked_[(round_count_ - back) % extra_acked_.size()]);
  }
  return most;
}

// 5.3.4.3
void Bbr::update_min_rtt(const RateSample& sample) {
  probe_rtt_expired_ = sample.now > probe_rtt_min_at_ + kProbeRttInterval;
  if (sample.rtt && (!probe_rtt_min_ || *sample.rtt < *probe_rtt_min_ || probe_rtt_expired_)) {
    probe_rtt_min_ = sample.rtt;
    probe_rtt_min_at_ = sample.now;
  }
  if (!probe_rtt_min_) return;
  const bool is_expired = sample.now > min_rtt_at_ + kMinRttWindow;
  if (!min_rtt_ || *probe_rtt_min_ < *min_rtt_ || is_expired) {
    min_rtt_ = probe_rtt_min_;
    min_rtt_at_ = probe_rtt_min_at_;
  }
}

double Bbr::max_bandwidth() const noexcept { return std::max(max_bw_[0], max_bw_[1]); }

double Bbr::bandwidth() const noexcept { return std::min(max_bandwidth(), bw_shortterm_); }

std::uint64_t Bbr::bdp(double gain) const {
  if (!min_rtt_) return initial_window_;
  return static_cast<std::uint64_t>(gain * bandwidth() * seconds(*min_rtt_));
}

std::uint64_t Bbr::min_pipe() const noexcept {
  return kMinPipeDatagrams * std::uint64_t{datagram_bytes_};
}

// 5.6.4.2: never less than what one train of datagrams takes.
std::uint64_t Bbr::with_budget(std::uint64_t inflight) const {
  const std::uint64_t quantum =
      std::max(std::min(static_cast<std::uint64_t>(pacing_rate_ * 1e-3), kMaxQuantumBytes),
               std::uint64_t{2} * datagram_bytes_);
  inflight = std::max({inflight, quantum, min_pipe()});
  if (state_ == BbrState::probe_bw_up) inflight += std::uint64_t{2} * datagram_bytes_;
  return inflight;
}

std::uint64_t Bbr::inflight_with_headroom() const {
  if (inflight_longterm_ == kUnbounded) return kUnbounded;
  const std::uint64_t headroom =
      std::max(std::uint64_t{datagram_bytes_}, scaled(inflight_longterm_, kHeadroom));
  return std::max(inflight_longterm_ - std::min(headroom, inflight_longterm_), min_pipe());
}

std::uint64_t Bbr::target_inflight() const { return std::min(bdp(1.0), window_); }

std::uint64_t Bbr::probe_rtt_window() const {
  return std::max(bdp(gains_of(BbrState::probe_rtt).window), min_pipe());
}

// --- control

void Bbr::save_window() {
  const bool is_held = is_recovering_ || state_ == BbrState::probe_rtt;
  prior_window_ = is_held ? std::max(prior_window_, window_) : window_;
}

void Bbr::restore_window() { window_ = std::max(window_, prior_window_); }

// 5.6.2
void Bbr::set_pacing_rate(double gain) {
  double rate = gain * bandwidth() * kPacingMargin;
  // What a path delivers while it is dark is no rate to go on with: a datagram a round trip, which
  // the window lets go anyway, finds out more.
  if (smoothed_rtt_ > Duration{}) {
    rate = std::max(rate, static_cast<double>(datagram_bytes_) / seconds(smoothed_rtt_));
  }
  if (full_bw_reached_ || rate > pacing_rate_) pacing_rate_ = rate;
}

// 5.6.4.6, 5.6.4.7
void Bbr::set_window(const RateSample& sample) {
  const std::uint64_t most = with_budget(bdp(gains_of(state_).window) + extra_acked());
  if (full_bw_reached_) {
    window_ = std::min(window_ + sample.newly_acked, most);
  } else if (window_ < most || delivered_ < initial_window_) {
    window_ += sample.newly_acked;
  }
  window_ = std::max(window_, min_pipe());
  if (state_ == BbrState::probe_rtt) window_ = std::min(window_, probe_rtt_window());

  std::uint64_t cap = kUnbounded;
  if (state_ == BbrState::probe_rtt || state_ == BbrState::probe_bw_cruise) {
    cap = inflight_with_headroom();
  } else if (is_probing_bw_state()) {
    cap = inflight_longterm_;
  }
  cap = std::max(std::min(cap, inflight_shortterm_), min_pipe());
  window_ = std::min(window_, cap);
}

std::unique_ptr<Congestion> make_bbr(const RecoveryOptions& options, TimePoint now) {
  return std::make_unique<Bbr>(options, now);
}

}  // namespace sealine::stt::detail
