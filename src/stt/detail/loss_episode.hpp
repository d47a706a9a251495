#pragma once

#include "sealine/base/time.hpp"

#include <cstdint>
#include <optional>

namespace sealine::stt::detail {

/// One event of congestion: all losses among the datagrams that were on their way when the first
/// was found. The window is reduced once for it, and the reduction taken back if all of them turn
/// out to have arrived.                                              spec: stt.md#congestion-event
class LossEpisode {
 public:
  /// A datagram is lost. True: with it an episode begins.
  bool handle_lost(std::uint64_t datagram, std::uint64_t next_datagram) noexcept {
    const bool begins = datagram >= first_after_;
    if (begins) begin(next_datagram);
    ++lost_;
    return begins;
  }

  /// One was marked CE: nothing that can turn out to be wrong.
  bool handle_mark(std::uint64_t datagram, std::uint64_t next_datagram) noexcept {
    const bool begins = datagram >= first_after_;
    if (begins) begin(next_datagram);
    is_proven_ = true;
    return begins;
  }

  void handle_persistent() noexcept { is_proven_ = true; }

  /// A datagram that was counted as lost in `episode` has arrived.
  void handle_arrived(std::uint64_t episode) noexcept {
    if (episode == number_) ++arrived_;
  }

  /// Whether the episode was none, said once.
  bool take_undo() noexcept {
    if (lost_ == 0 || arrived_ < lost_ || is_proven_) return false;
    lost_ = arrived_ = 0;
    ++number_;
    first_after_ = 0;
    return true;
  }

  /// Sent before the episode began: tells nothing about the time after it.
  [[nodiscard]] bool is_before(std::uint64_t datagram) const noexcept {
    return datagram < first_after_;
  }

  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

 private:
  void begin(std::uint64_t next_datagram) noexcept {
    first_after_ = next_datagram;
    ++number_;
    lost_ = arrived_ = 0;
    is_proven_ = false;
  }

  std::uint64_t number_ = 0;
  std::uint64_t first_after_ = 0;  ///< the first datagram sent after it began
  std::uint64_t lost_ = 0;
  std::uint64_t arrived_ = 0;
  bool is_proven_ = false;
};

/// A row of lost datagrams with none between that arrived (RFC 9002, 7.6).
///                                                          spec: stt.md#persistent-congestion
class LossRow {
 public:
  /// True: it lasts longer than `limit`, and a new row begins. In the order of sending.
  bool handle_lost(TimePoint sent, Duration limit) noexcept {
    if (!first_) first_ = sent;
    if (sent - *first_ <= limit) return false;
    first_.reset();
    return true;
  }

  void handle_arrived() noexcept { first_.reset(); }

 private:
  std::optional<TimePoint> first_;
};

}  // namespace sealine::stt::detail
