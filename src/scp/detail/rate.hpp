#pragma once

#include "sealine/base/time.hpp"

#include <cstdint>

namespace sealine::scp::detail {

/// Counts what comes against a rate, with a burst of two seconds. A rate of zero lets everything
/// through.
class RateLimit {
 public:
  RateLimit(std::uint64_t per_second, TimePoint now)
      : per_second_(per_second), allowance_(2 * per_second), last_(now) {}

  [[nodiscard]] bool take(std::uint64_t amount, TimePoint now) {
    if (per_second_ == 0) return true;
    const auto elapsed_ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now - last_).count());
    if (elapsed_ms > 0) {
      const std::uint64_t burst = 2 * per_second_;
      const std::uint64_t earned = elapsed_ms >= 2000 ? burst : per_second_ * elapsed_ms / 1000;
      allowance_ = allowance_ + earned > burst ? burst : allowance_ + earned;
      last_ = now;
    }
    if (amount > allowance_) return false;
    allowance_ -= amount;
    return true;
  }

 private:
  std::uint64_t per_second_;
  std::uint64_t allowance_;
  TimePoint last_;
};

}  // namespace sealine::scp::detail
