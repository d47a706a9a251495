#pragma once

#include "sealine/base/time.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

namespace sealine {

/// All deadlines of one machine: one optional time point for each enumerator of `Timer`, which ends
/// in `count_`.
template <class Timer>
class TimerTable {
 public:
  void set(Timer timer, TimePoint when) { slot(timer) = when; }

  void cancel(Timer timer) { slot(timer) = kNever; }

  void cancel_all() { deadlines_.fill(kNever); }

  [[nodiscard]] std::optional<TimePoint> deadline(Timer timer) const {
    const TimePoint when = deadlines_[static_cast<std::size_t>(std::to_underlying(timer))];
    return when == kNever ? std::nullopt : std::optional(when);
  }

  /// True, and the timer is off again, if `timer` was due at `now`.
  [[nodiscard]] bool take_due(Timer timer, TimePoint now) {
    if (slot(timer) == kNever || slot(timer) > now) return false;
    cancel(timer);
    return true;
  }

  [[nodiscard]] std::optional<TimePoint> earliest() const {
    const TimePoint first = std::ranges::min(deadlines_);
    return first == kNever ? std::nullopt : std::optional(first);
  }

 private:
  static constexpr TimePoint kNever = TimePoint::max();
  static constexpr std::size_t kCount = static_cast<std::size_t>(std::to_underlying(Timer::count_));

  TimePoint& slot(Timer timer) {
    return deadlines_[static_cast<std::size_t>(std::to_underlying(timer))];
  }

  std::array<TimePoint, kCount> deadlines_ = [] {
    std::array<TimePoint, kCount> all;
    all.fill(kNever);
    return all;
  }();
};

}  // namespace sealine
