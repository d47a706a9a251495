#pragma once

#include "sealine/base/time.hpp"
#include "sealine/stcp/limits.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace sealine::stcp::detail {

/// Watches that a partly received record or handshake message goes on coming. spec: stcp.md#limits
class ProgressWatch {
 public:
  /// `held_bytes` of the next record are here and more are needed; `is_another`: the record before
  /// it is done.
  void note(std::size_t held_bytes, bool is_another, const Limits& limits, TimePoint now) {
    held_bytes_ = static_cast<std::uint32_t>(held_bytes);  // less than one record
    if (held_bytes == 0) {
      stop();
    } else if (is_another || window_end_ == kOff) {
      begin(0, limits, now);  // its first bytes count as well
    }
  }

  void stop() noexcept { window_end_ = kOff; }

  /// True if a window is over in which too little came; begins the next one otherwise.
  [[nodiscard]] bool is_too_slow(const Limits& limits, TimePoint now) {
    if (now < window_end_ || window_end_ == kOff) return false;
    if (held_bytes_ - held_at_begin_ < limits.min_progress_bytes) return true;
    begin(held_bytes_, limits, now);
    return false;
  }

  [[nodiscard]] std::optional<TimePoint> deadline() const noexcept {
    return window_end_ == kOff ? std::nullopt : std::optional(window_end_);
  }

 private:
  static constexpr TimePoint kOff = TimePoint::max();

  void begin(std::uint32_t held_at_begin, const Limits& limits, TimePoint now) {
    held_at_begin_ = held_at_begin;
    window_end_ = now + limits.min_progress_window;
  }

  TimePoint window_end_ = kOff;
  std::uint32_t held_bytes_ = 0;
  std::uint32_t held_at_begin_ = 0;
};

}  // namespace sealine::stcp::detail
