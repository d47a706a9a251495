#pragma once

#include "sealine/base/time.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sealine::io::stx {

/// --limit-rate: so many bytes a second, over all lanes; bursts of a tenth of a second. One thread.
class RateLimit final {
 public:
  /// 0: no limit.
  explicit RateLimit(std::uint64_t bytes_per_second) : rate_(bytes_per_second) {}

  [[nodiscard]] bool is_on() const noexcept { return rate_ != 0; }

  /// How much may go out now, at most `wanted`.
  [[nodiscard]] std::size_t allowance(TimePoint now, std::size_t wanted) {
    if (rate_ == 0) return wanted;
    const double burst = std::max(kLeastBurst, static_cast<double>(rate_) / 10);
    const double seconds = std::chrono::duration<double>(now - at_).count();
    tokens_ = std::min(burst, tokens_ + seconds * static_cast<double>(rate_));
    at_ = now;
    return tokens_ < 1 ? 0 : std::min(wanted, static_cast<std::size_t>(tokens_));
  }

  void spend(std::size_t bytes) { tokens_ -= static_cast<double>(bytes); }

 private:
  static constexpr double kLeastBurst = 1024;

  std::uint64_t rate_;
  double tokens_ = 0;
  TimePoint at_{};
};

}  // namespace sealine::io::stx
