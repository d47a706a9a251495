#pragma once

#include "sealine/base/time.hpp"

#include <algorithm>
#include <chrono>
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
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_);
    last_ += elapsed;
    const std::uint64_t burst = 2 * per_second_;
    if (elapsed >= std::chrono::seconds(2)) {
      allowance_ = burst;
    } else {
      // What is over counts the next time: else a sender that keeps to the rate in small steps
      // would be taken for one that does not.
      const std::uint64_t thousandths =
          per_second_ * static_cast<std::uint64_t>(elapsed.count()) + remainder_;
      allowance_ = std::min(burst, allowance_ + thousandths / 1000);
      remainder_ = thousandths % 1000;
    }
    if (amount > allowance_) return false;
    allowance_ -= amount;
    return true;
  }

 private:
  std::uint64_t per_second_;
  std::uint64_t allowance_;
  std::uint64_t remainder_ = 0;  // thousandths of one
  TimePoint last_;
};

}  // namespace sealine::scp::detail
