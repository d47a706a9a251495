#pragma once

#include "sealine/base/time.hpp"
#include "sealine/stx/limits.hpp"
#include "stx/detail/lane_timers.hpp"

#include <cstdint>
#include <optional>

namespace sealine::stx::detail {

/// When a lane owes an ACK: 8 MiB or 10 ms after the last, or at once. spec:
/// stx.md#acknowledgement
class AckPace {
 public:
  /// A frame counts as received now.
  void handle_received(std::uint64_t bytes, Duration ack_after, LaneTimers& timers, TimePoint now) {
    bytes_ += bytes;
    if (bytes_ >= kAckBytes) due_ = true;
    if (!due_ && !timers.deadline(LaneTimer::acknowledge)) {
      timers.set(LaneTimer::acknowledge, now + ack_after);
    }
  }

  void order() { due_ = true; }

  [[nodiscard]] bool is_due() const noexcept { return due_; }

  void handle_sent(LaneTimers& timers) {
    due_ = false;
    bytes_ = 0;
    timers.cancel(LaneTimer::acknowledge);
  }

 private:
  std::uint64_t bytes_ = 0;  ///< received since the last
  bool due_ = false;
};

}  // namespace sealine::stx::detail
