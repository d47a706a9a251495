#pragma once

#include "sealine/base/assert.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/stcp/connection.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sealine::stcp::detail {

/// Events that wait for poll_event, in their order and without an allocation.
///
/// Each kind waits at most once: handle_bytes stops at an event, so a second one of a kind comes
/// only when the caller has not polled, and then the later one counts.
class EventQueue {
 public:
  void push(const Event& event) {
    std::size_t at = 0;
    while (at < used_ && waiting_[at].index() != event.index()) ++at;
    if (at == used_) ++used_;
    waiting_[at] = event;
  }

  [[nodiscard]] std::optional<Event> pop() {
    if (used_ == 0) return std::nullopt;
    const Event first = waiting_[0];
    for (std::size_t i = 1; i < used_; ++i) waiting_[i - 1] = waiting_[i];
    --used_;
    return first;
  }

  [[nodiscard]] bool empty() const noexcept { return used_ == 0; }

  void clear() noexcept { used_ = 0; }

 private:
  static constexpr std::size_t kKinds = std::variant_size_v<Event>;
  std::array<Event, kKinds> waiting_{};
  std::size_t used_ = 0;
};

}  // namespace sealine::stcp::detail
