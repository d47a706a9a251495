#include "stt/detail/cubic.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sealine::stt::detail {
namespace {

// RFC 9438, 4.6 and 5.1.
constexpr double kC = 0.4;  // segments / s^3
constexpr double kBeta = 0.7;
constexpr double kFriendlyGrowth = 3 * (1 - kBeta) / (1 + kBeta);
constexpr double kMostGrowth = 1.5;  // of the target over the window

double seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e9; }

}  // namespace

Cubic::Cubic(const RecoveryOptions& options)
    : datagram_bytes_(static_cast<double>(options.datagram_bytes)),
      smoothed_rtt_(options.initial_rtt) {
  now_.window = static_cast<double>(initial_window(options.datagram_bytes));
  now_.threshold = std::numeric_limits<double>::infinity();
  before_ = now_;
}

void Cubic::on_acked(const RateSample& sample) {
  smoothed_rtt_ = sample.smoothed_rtt;
  if (!sample.may_grow()) {
    if (!paused_) paused_ = sample.now;
    return;
  }
  // The curve is one of time that was used (5.8).
  if (paused_ && now_.started) *now_.started += sample.now - *paused_;
  paused_.reset();
  if (sample.growth_bytes == 0) return;
  if (is_in_slow_start()) {
    slow_start(sample);
  } else {
    avoid(sample, static_cast<double>(sample.growth_bytes));
  }
}

void Cubic::slow_start(const RateSample& sample) {
  const bool is_first = std::isinf(now_.threshold);
  const std::size_t growth = is_first ? hystart_.growth(sample) : sample.growth_bytes;
  now_.window = std::min(now_.window + static_cast<double>(growth), now_.threshold);
  if (is_first && hystart_.is_done()) now_.threshold = now_.window;
}

void Cubic::avoid(const RateSample& sample, double acked) {
  if (!now_.started) begin_avoidance(sample.now);
  const Duration since = sample.now - *now_.started;
  // Reno's window, so as to be no worse than it where the curve is slow (4.3).
  const double growth = now_.friendly < now_.prior ? kFriendlyGrowth : 1.0;
  now_.friendly += growth * acked / now_.window * datagram_bytes_;
  if (cubic_at(since) < now_.friendly) {
    now_.window = std::max(now_.window, now_.friendly);
    return;
  }
  const double target =
      std::clamp(cubic_at(since + smoothed_rtt_), now_.window, kMostGrowth * now_.window);
  now_.window += (target - now_.window) / now_.window * acked;
}

void Cubic::begin_avoidance(TimePoint now) {
  now_.started = now;
  now_.friendly = now_.window;
  // Without a loss (HyStart++) the curve starts at its top (4.2).
  now_.top = std::max(now_.top, now_.window);
  now_.rise_s = std::cbrt((now_.top - now_.window) / datagram_bytes_ / kC);
}

void Cubic::on_lost(const LossSample& loss) {
  if (loss.begins_episode) reduce();
}

void Cubic::on_ecn_ce(const CongestionMark& mark) {
  if (mark.begins_episode) reduce();
}

void Cubic::reduce() {
  before_ = now_;
  // Fast convergence (4.7): one that had less than last time leaves room for a newcomer.
  now_.top = now_.window < now_.top ? now_.window * (1 + kBeta) / 2 : now_.window;
  now_.prior = now_.window;
  now_.window = std::max(now_.window * kBeta, least());
  now_.threshold = now_.window;
  now_.started.reset();
}

void Cubic::on_persistent_congestion(TimePoint /*now*/) {
  now_.window = least();
  now_.started.reset();
}

void Cubic::on_spurious(TimePoint /*now*/) {
  if (now_.window < before_.window) now_ = before_;
}

void Cubic::set_datagram_bytes(std::size_t bytes) { datagram_bytes_ = static_cast<double>(bytes); }

std::size_t Cubic::window_bytes() const { return static_cast<std::size_t>(now_.window); }

std::uint64_t Cubic::pacing_rate() const {
  return paced(window_bytes(), smoothed_rtt_, is_in_slow_start());
}

// W_cubic(t), in bytes.
double Cubic::cubic_at(Duration since) const {
  const double off = seconds(since) - now_.rise_s;
  return (kC * off * off * off * datagram_bytes_) + now_.top;
}

}  // namespace sealine::stt::detail
