#pragma once

#include "sealine/base/time.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

namespace sealine::stt::detail {

/// The round trips of a path (RFC 9002, 5).                               spec: stt.md#rtt
class RoundTrip {
 public:
  /// Timers are no finer than this.
  static constexpr Duration kGranularity = std::chrono::milliseconds(1);

  explicit RoundTrip(Duration initial) : smoothed_(initial), variation_(initial / 2) {}

  /// A round trip as measured, of which the peer says that it held the frame for `delay`. Returns
  /// it without that delay, where it can be believed.
  Duration add(Duration measured, Duration delay) noexcept {
    // The smallest is taken as measured: a peer's word makes no path shorter than it was seen.
    min_ = min_ ? std::min(*min_, measured) : measured;
    const Duration adjusted = measured >= *min_ + delay ? measured - delay : measured;
    if (!latest_) {
      smoothed_ = adjusted;
      variation_ = adjusted / 2;
    } else {
      const Duration off = smoothed_ > adjusted ? smoothed_ - adjusted : adjusted - smoothed_;
      variation_ = ((3 * variation_) + off) / 4;
      smoothed_ = ((7 * smoothed_) + adjusted) / 8;
    }
    latest_ = adjusted;
    return adjusted;
  }

  /// After persistent congestion the path may be another one.
  void forget_min() noexcept { min_.reset(); }

  [[nodiscard]] Duration smoothed() const noexcept { return smoothed_; }

  /// Zero before the first.
  [[nodiscard]] Duration min() const noexcept { return min_.value_or(Duration::zero()); }

  /// How much later than its like something must have come to be taken for lost: 9/8.
  [[nodiscard]] Duration loss_delay() const noexcept {
    return std::max(std::max(smoothed_, latest_.value_or(smoothed_)) * 9 / 8, kGranularity);
  }

  [[nodiscard]] Duration probe_timeout(Duration max_ack_delay) const noexcept {
    return smoothed_ + std::max(4 * variation_, kGranularity) + max_ack_delay;
  }

 private:
  std::optional<Duration> latest_;
  std::optional<Duration> min_;
  Duration smoothed_;
  Duration variation_;
};

}  // namespace sealine::stt::detail
