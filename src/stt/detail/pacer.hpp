#pragma once

#include "sealine/base/time.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::stt::detail {

/// A leaky bucket that lets a rate out in trains: the system's own pacing cannot be relied on, and
/// one call for many datagrams is what makes sending cheap.               spec: stt.md#pacing
class Pacer {
 public:
  static constexpr std::size_t kMaxTrainBytes = std::size_t{64} * 1024;

  /// `burst_bytes` may go before the rate means anything: the initial window.
  Pacer(std::size_t burst_bytes, std::size_t datagram_bytes, TimePoint now)
      : datagram_bytes_(datagram_bytes),
        tokens_(static_cast<double>(burst_bytes)),
        filled_(now),
        is_in_train_(burst_bytes >= datagram_bytes) {}

  /// Bytes a second, at least 1.
  void set_rate(std::uint64_t rate, TimePoint now) noexcept;

  void set_datagram_bytes(std::size_t bytes) noexcept { datagram_bytes_ = bytes; }

  /// No train is larger, but for two datagrams: of a path whose queue has shown to be short.
  void set_most(std::size_t bytes) noexcept { most_bytes_ = bytes; }

  void handle_sent(std::size_t bytes, TimePoint now) noexcept;

  /// When the next datagram may go: a train goes out whole, then its time passes.
  [[nodiscard]] TimePoint next_send(TimePoint now) const noexcept;
  /// clamp(rate x 1 ms, 2 datagrams, 64 KiB), and no more than set_most says
  [[nodiscard]] std::size_t train_bytes() const noexcept;

 private:
  [[nodiscard]] double tokens_at(TimePoint now) const noexcept;

  std::uint64_t rate_ = 1;
  std::size_t datagram_bytes_;
  std::size_t most_bytes_ = kMaxTrainBytes;
  double tokens_;  ///< bytes that may go; below zero: sent without asking
  TimePoint filled_;
  bool is_in_train_;
};

}  // namespace sealine::stt::detail
