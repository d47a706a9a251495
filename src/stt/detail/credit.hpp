#pragma once

#include "sealine/base/time.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

/// Absolute byte limits, never lowered.                                   spec: stt.md#credit
namespace sealine::stt::detail {

/// What the peer lets us send, of a stream or of the session.
class SendCredit {
 public:
  explicit SendCredit(std::uint64_t limit) : limit_(limit) {}

  void raise(std::uint64_t limit) noexcept { limit_ = std::max(limit_, limit); }

  void use(std::uint64_t bytes) noexcept { used_ += bytes; }

  [[nodiscard]] std::uint64_t left() const noexcept { return limit_ - used_; }

  [[nodiscard]] std::uint64_t used() const noexcept { return used_; }

  /// Whether to say BLOCKED: once for each limit.
  [[nodiscard]] bool take_blocked() noexcept {
    if (said_blocked_at_ == limit_) return false;
    said_blocked_at_ = limit_;
    return true;
  }

  [[nodiscard]] std::uint64_t limit() const noexcept { return limit_; }

 private:
  std::uint64_t limit_;
  std::uint64_t used_ = 0;
  std::optional<std::uint64_t> said_blocked_at_;
};

/// What we let the peer send. Grants as the application reads, once half a window can be granted;
/// the window doubles where half of it is eaten in less than two round trips.
class ReceiveCredit {
 public:
  ReceiveCredit(std::uint64_t window, std::uint64_t most)
      : window_(window), most_(most), limit_(window) {}

  /// False: over the limit.
  [[nodiscard]] bool use(std::uint64_t bytes) noexcept {
    if (bytes > limit_ - used_) return false;
    used_ += bytes;
    return true;
  }

  void consume(std::uint64_t bytes) noexcept { consumed_ += bytes; }

  [[nodiscard]] std::uint64_t used() const noexcept { return used_; }

  /// Whether a grant is due.
  [[nodiscard]] bool is_due() const noexcept {
    return consumed_ + window_ >= limit_ + (window_ / 2);
  }

  /// What the next grant says.
  [[nodiscard]] std::uint64_t next_limit() const noexcept {
    return std::max(limit_, consumed_ + window_);
  }

  /// The grant is on its way, so it counts.
  void grant(TimePoint now, Duration round_trip) noexcept {
    limit_ = next_limit();
    if (last_grant_ && now - *last_grant_ < 2 * round_trip) window_ = std::min(2 * window_, most_);
    last_grant_ = now;
  }

  /// To `window` at least, as far as it may become.
  void widen(std::uint64_t window) noexcept {
    window_ = std::max(window_, std::min(window, most_));
  }

  [[nodiscard]] std::uint64_t window() const noexcept { return window_; }

  [[nodiscard]] std::uint64_t left() const noexcept { return limit_ - used_; }

  [[nodiscard]] std::uint64_t limit() const noexcept { return limit_; }

 private:
  std::uint64_t window_;
  std::uint64_t most_;
  std::uint64_t limit_;
  std::uint64_t used_ = 0;
  std::uint64_t consumed_ = 0;
  std::optional<TimePoint> last_grant_;
};

}  // namespace sealine::stt::detail
