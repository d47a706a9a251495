#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sealine::stcp::detail {

/// The kinds of Event; what belongs to one is kept where it is needed anyway.
enum class EventKind : std::uint8_t {
  peer_key_shown,
  established,
  data_ended,
  aborted,
  pin_updated,
  rekeyed,
  count_
};

/// Events that wait for poll_event, in their order and without an allocation.
///
/// Each kind waits at most once: handle_bytes stops at an event, so a second one of a kind comes
/// only when the caller has not polled, and then the later one counts.
class EventQueue {
 public:
  void push(EventKind kind) {
    for (std::size_t i = 0; i < used_; ++i) {
      if (waiting_[i] == kind) return;
    }
    waiting_[used_++] = kind;
  }

  [[nodiscard]] std::optional<EventKind> pop() {
    if (used_ == 0) return std::nullopt;
    const EventKind first = waiting_[0];
    for (std::size_t i = 1; i < used_; ++i) waiting_[i - 1] = waiting_[i];
    --used_;
    return first;
  }

  [[nodiscard]] bool empty() const noexcept { return used_ == 0; }

  void clear() noexcept { used_ = 0; }

 private:
  std::array<EventKind, static_cast<std::size_t>(EventKind::count_)> waiting_{};
  std::uint8_t used_ = 0;
};

}  // namespace sealine::stcp::detail
