#include "stt/detail/new_reno.hpp"

#include <algorithm>
#include <limits>

namespace sealine::stt::detail {
namespace {

constexpr std::size_t kNoThreshold = std::numeric_limits<std::size_t>::max();

}  // namespace

NewReno::NewReno(const RecoveryOptions& options)
    : datagram_bytes_(options.datagram_bytes),
      window_(initial_window(options.datagram_bytes)),
      threshold_(kNoThreshold),
      smoothed_rtt_(options.initial_rtt),
      threshold_before_(kNoThreshold) {}

void NewReno::on_acked(const RateSample& sample) {
  smoothed_rtt_ = sample.smoothed_rtt;
  if (!sample.may_grow()) return;
  std::size_t acked = sample.growth_bytes;
  if (is_in_slow_start()) {
    const std::size_t step = std::min(acked, threshold_ - window_);
    window_ += step;
    acked -= step;
  }
  acked_ += acked;
  while (acked_ >= window_) {
    acked_ -= window_;
    window_ += datagram_bytes_;
  }
}

void NewReno::on_lost(const LossSample& loss) {
  if (loss.begins_episode) reduce();
}

void NewReno::on_ecn_ce(const CongestionMark& mark) {
  if (mark.begins_episode) reduce();
}

void NewReno::on_persistent_congestion(TimePoint /*now*/) {
  window_ = least();
  acked_ = 0;
}

void NewReno::on_spurious(TimePoint /*now*/) {
  window_ = std::max(window_, window_before_);
  threshold_ = std::max(threshold_, threshold_before_);
}

std::uint64_t NewReno::pacing_rate() const {
  return paced(window_, smoothed_rtt_, is_in_slow_start());
}

void NewReno::reduce() {
  window_before_ = window_;
  threshold_before_ = threshold_;
  window_ = std::max(window_ / 2, least());
  threshold_ = window_;
  acked_ = 0;
}

}  // namespace sealine::stt::detail
