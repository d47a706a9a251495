#pragma once

#include "sealine/stx/sender.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sealine::stx::detail {

using SessionState = Sender::State;

/// What moves a session on, at both ends.                              spec: stx.md#course
enum class SessionEvent : std::uint8_t {
  all_over,     ///< sender: the last item is over and no more will come: CLOSE{0}
  answered,     ///< sender: CLOSE{0} for ours
  peer_closed,  ///< receiver: CLOSE{0} with every item over; both: CLOSE with a code
  given_up,     ///< our own CLOSE with a code: a fault of the peer, too much damage, a command
  cut,          ///< lane 0 ended or fell silent
};

struct SessionEdge {
  SessionState from;
  SessionEvent on;
  SessionState to;
};

inline constexpr auto kSessionLife = std::to_array<SessionEdge>({
    {SessionState::running, SessionEvent::all_over, SessionState::closing},
    {SessionState::running, SessionEvent::peer_closed, SessionState::closed},
    {SessionState::running, SessionEvent::given_up, SessionState::closed},
    {SessionState::running, SessionEvent::cut, SessionState::closed},
    {SessionState::closing, SessionEvent::answered, SessionState::closed},
    {SessionState::closing, SessionEvent::peer_closed, SessionState::closed},
    {SessionState::closing, SessionEvent::given_up, SessionState::closed},
    {SessionState::closing, SessionEvent::cut, SessionState::closed},
});

inline constexpr std::array kAllSessionStates = {SessionState::running, SessionState::closing,
                                                 SessionState::closed};
inline constexpr std::array kAllSessionEvents = {SessionEvent::all_over, SessionEvent::answered,
                                                 SessionEvent::peer_closed, SessionEvent::given_up,
                                                 SessionEvent::cut};

[[nodiscard]] constexpr std::optional<SessionState> next_state(SessionState from, SessionEvent on) {
  for (const SessionEdge& edge : kSessionLife) {
    if (edge.from == from && edge.on == on) return edge.to;
  }
  return std::nullopt;
}

[[nodiscard]] std::string_view to_string(SessionState state) noexcept;
[[nodiscard]] std::string_view to_string(SessionEvent event) noexcept;

}  // namespace sealine::stx::detail
