#pragma once

#include "sealine/stcp/mode.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sealine::stcp::detail {

/// What moves a connection from one State to the next.                    spec:
/// stcp.md#state-machine
enum class LifecycleEvent : std::uint8_t {
  started,          ///< the socket is there
  answer_verified,  ///< client: step 2 and its key are good
  finish_verified,  ///< server: FINISH is good
  fault,            ///< F1..F15, truncated, a deadline
  both_closed,      ///< CLOSE sent and received
  abort_over,       ///< after our own abort: no answer in time, or the end of the stream
  fault_taken,      ///< the socket of a failed connection is gone
};

struct LifecycleEdge {
  State from;
  LifecycleEvent on;
  State to;
};

/// Every edge there is; all other pairs are impossible.
inline constexpr auto kLifecycle = std::to_array<LifecycleEdge>({
    {State::init, LifecycleEvent::started, State::key_exchange},
    {State::key_exchange, LifecycleEvent::answer_verified, State::encrypted},
    {State::key_exchange, LifecycleEvent::finish_verified, State::encrypted},
    {State::key_exchange, LifecycleEvent::fault, State::error},
    {State::encrypted, LifecycleEvent::both_closed, State::closed},
    {State::encrypted, LifecycleEvent::abort_over, State::closed},
    {State::encrypted, LifecycleEvent::fault, State::error},
    {State::error, LifecycleEvent::fault_taken, State::closed},
});

inline constexpr std::array kAllStates = {State::init, State::key_exchange, State::encrypted,
                                          State::error, State::closed};
inline constexpr std::array kAllLifecycleEvents = {
    LifecycleEvent::started,     LifecycleEvent::answer_verified, LifecycleEvent::finish_verified,
    LifecycleEvent::fault,       LifecycleEvent::both_closed,     LifecycleEvent::abort_over,
    LifecycleEvent::fault_taken,
};

[[nodiscard]] constexpr std::optional<State> next_state(State from, LifecycleEvent on) {
  for (const LifecycleEdge& edge : kLifecycle) {
    if (edge.from == from && edge.on == on) return edge.to;
  }
  return std::nullopt;
}

[[nodiscard]] std::string_view to_string(LifecycleEvent event) noexcept;

}  // namespace sealine::stcp::detail
