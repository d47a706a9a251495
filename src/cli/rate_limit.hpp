#pragma once

#include "cli/asio.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sealine::cli {

/// So many bytes a second for all that share it, evened out over an eighth of a second.
class RateLimit final {
 public:
  /// 0 is no limit.
  explicit RateLimit(std::uint64_t bytes_per_second) : rate_(bytes_per_second) {}

  [[nodiscard]] bool is_on() const noexcept { return rate_ != 0; }

  /// The most that should be moved in one piece.
  [[nodiscard]] std::size_t piece(std::size_t wanted) const noexcept {
    if (!is_on()) return wanted;
    return static_cast<std::size_t>(
        std::min<std::uint64_t>(wanted, std::max<std::uint64_t>(rate_ / 8, 1)));
  }

  /// Waits until `bytes` more may be moved. Ends early if `timer` is cancelled.
  [[nodiscard]] net::awaitable<void> take(std::size_t bytes, net::steady_timer& timer) {
    using Clock = std::chrono::steady_clock;
    if (!is_on()) co_return;
    const auto now = Clock::now();
    const auto begin = std::max(next_, now);
    const double seconds = static_cast<double>(bytes) / static_cast<double>(rate_);
    next_ =
        begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    if (begin <= now) co_return;
    timer.expires_at(begin);
    error_code ec;
    co_await timer.async_wait(net::redirect_error(net::use_awaitable, ec));
  }

 private:
  std::uint64_t rate_;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace sealine::cli
