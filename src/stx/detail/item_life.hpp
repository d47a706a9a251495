#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sealine::stx::detail {

/// Where an item of a sender stands.                                   spec: stx.md#course
enum class SendLife : std::uint8_t {
  offered,   ///< META ordered, META_OK awaited
  proving,   ///< the receiver has leading blocks; their leaves are awaited from the caller
  resuming,  ///< RESUME ordered, RESUME_OK awaited
  sending,   ///< blocks are ordered, resent, covered
  ended,     ///< END ordered, DONE awaited
  dropped,   ///< DROP ordered: answers that were under way are let pass until it is covered
  over,
};

enum class SendLifeEvent : std::uint8_t {
  accepted_new,    ///< META_OK{0}, have = 0
  accepted_have,   ///< META_OK{0}, have > 0
  refused,         ///< META_OK with a code
  roots_known,     ///< all leaves that were asked for
  roots_unknown,   ///< the source cannot be read twice
  start_known,     ///< RESUME_OK
  all_covered,     ///< every block is covered by `received`, no NAK is open
  done,            ///< DONE{0}
  done_with_code,  ///< at any time
  drop_ordered,
  drop_covered,  ///< by `received`: nothing about the item can come any more
};

struct SendLifeEdge {
  SendLife from;
  SendLifeEvent on;
  SendLife to;
};

/// Every edge there is. What a peer's message asks for beside these is a fault.
inline constexpr auto kSendLife = std::to_array<SendLifeEdge>({
    {SendLife::offered, SendLifeEvent::accepted_new, SendLife::sending},
    {SendLife::offered, SendLifeEvent::accepted_have, SendLife::proving},
    {SendLife::offered, SendLifeEvent::refused, SendLife::over},
    {SendLife::offered, SendLifeEvent::done_with_code, SendLife::over},
    {SendLife::offered, SendLifeEvent::drop_ordered, SendLife::dropped},
    {SendLife::proving, SendLifeEvent::roots_known, SendLife::resuming},
    {SendLife::proving, SendLifeEvent::roots_unknown, SendLife::sending},
    {SendLife::proving, SendLifeEvent::done_with_code, SendLife::over},
    {SendLife::proving, SendLifeEvent::drop_ordered, SendLife::dropped},
    {SendLife::resuming, SendLifeEvent::start_known, SendLife::sending},
    {SendLife::resuming, SendLifeEvent::done_with_code, SendLife::over},
    {SendLife::resuming, SendLifeEvent::drop_ordered, SendLife::dropped},
    {SendLife::sending, SendLifeEvent::all_covered, SendLife::ended},
    {SendLife::sending, SendLifeEvent::done_with_code, SendLife::over},
    {SendLife::sending, SendLifeEvent::drop_ordered, SendLife::dropped},
    {SendLife::ended, SendLifeEvent::done, SendLife::over},
    {SendLife::ended, SendLifeEvent::done_with_code, SendLife::over},
    {SendLife::ended, SendLifeEvent::drop_ordered, SendLife::dropped},
    {SendLife::dropped, SendLifeEvent::accepted_new, SendLife::dropped},
    {SendLife::dropped, SendLifeEvent::accepted_have, SendLife::dropped},
    {SendLife::dropped, SendLifeEvent::refused, SendLife::dropped},
    {SendLife::dropped, SendLifeEvent::start_known, SendLife::dropped},
    {SendLife::dropped, SendLifeEvent::done, SendLife::dropped},
    {SendLife::dropped, SendLifeEvent::done_with_code, SendLife::dropped},
    {SendLife::dropped, SendLifeEvent::drop_covered, SendLife::over},
});

inline constexpr std::array kAllSendLives = {
    SendLife::offered, SendLife::proving, SendLife::resuming, SendLife::sending,
    SendLife::ended,   SendLife::dropped, SendLife::over};
inline constexpr std::array kAllSendLifeEvents = {
    SendLifeEvent::accepted_new, SendLifeEvent::accepted_have, SendLifeEvent::refused,
    SendLifeEvent::roots_known,  SendLifeEvent::roots_unknown, SendLifeEvent::start_known,
    SendLifeEvent::all_covered,  SendLifeEvent::done,          SendLifeEvent::done_with_code,
    SendLifeEvent::drop_ordered, SendLifeEvent::drop_covered};

/// Where an item of a receiver stands.                                 spec: stx.md#course
enum class ReceiveLife : std::uint8_t {
  offered,    ///< META came, the caller's answer or its turn is awaited
  proof_due,  ///< META_OK with have > 0: RESUME may come
  comparing,  ///< RESUME came, our own leaves are awaited from the caller
  receiving,
  complete,  ///< END agrees; the caller puts the item in its place
  over,
};

enum class ReceiveLifeEvent : std::uint8_t {
  admitted_new,   ///< META_OK{0}, have = 0
  admitted_have,  ///< META_OK{0}, have > 0
  refused,        ///< META_OK with a code
  resume,
  compared,
  select,
  zero,
  end,
  end_agrees,   ///< with every block
  end_differs,  ///< DONE{13}
  finished,     ///< DONE after complete
  failed,       ///< DONE with a code before
  drop,
};

struct ReceiveLifeEdge {
  ReceiveLife from;
  ReceiveLifeEvent on;
  ReceiveLife to;
};

/// Every edge there is. What a peer's message asks for beside these is a fault. (After `over` the
/// frames that were on their way are dropped.)
inline constexpr auto kReceiveLife = std::to_array<ReceiveLifeEdge>({
    {ReceiveLife::offered, ReceiveLifeEvent::admitted_new, ReceiveLife::receiving},
    {ReceiveLife::offered, ReceiveLifeEvent::admitted_have, ReceiveLife::proof_due},
    {ReceiveLife::offered, ReceiveLifeEvent::refused, ReceiveLife::over},
    {ReceiveLife::offered, ReceiveLifeEvent::drop, ReceiveLife::over},
    {ReceiveLife::proof_due, ReceiveLifeEvent::resume, ReceiveLife::comparing},
    // No RESUME: the sender cannot prove, and begins with block 0.
    {ReceiveLife::proof_due, ReceiveLifeEvent::select, ReceiveLife::receiving},
    {ReceiveLife::proof_due, ReceiveLifeEvent::zero, ReceiveLife::receiving},
    {ReceiveLife::proof_due, ReceiveLifeEvent::end, ReceiveLife::receiving},
    {ReceiveLife::proof_due, ReceiveLifeEvent::failed, ReceiveLife::over},
    {ReceiveLife::proof_due, ReceiveLifeEvent::drop, ReceiveLife::over},
    {ReceiveLife::comparing, ReceiveLifeEvent::compared, ReceiveLife::receiving},
    {ReceiveLife::comparing, ReceiveLifeEvent::failed, ReceiveLife::over},
    {ReceiveLife::comparing, ReceiveLifeEvent::drop, ReceiveLife::over},
    {ReceiveLife::receiving, ReceiveLifeEvent::select, ReceiveLife::receiving},
    {ReceiveLife::receiving, ReceiveLifeEvent::zero, ReceiveLife::receiving},
    {ReceiveLife::receiving, ReceiveLifeEvent::end, ReceiveLife::receiving},
    {ReceiveLife::receiving, ReceiveLifeEvent::end_agrees, ReceiveLife::complete},
    {ReceiveLife::receiving, ReceiveLifeEvent::end_differs, ReceiveLife::over},
    {ReceiveLife::receiving, ReceiveLifeEvent::failed, ReceiveLife::over},
    {ReceiveLife::receiving, ReceiveLifeEvent::drop, ReceiveLife::over},
    // END on lane 0 may overtake a SELECT on another lane that no block followed.
    {ReceiveLife::complete, ReceiveLifeEvent::select, ReceiveLife::complete},
    {ReceiveLife::complete, ReceiveLifeEvent::finished, ReceiveLife::over},
    {ReceiveLife::complete, ReceiveLifeEvent::failed, ReceiveLife::over},
    {ReceiveLife::complete, ReceiveLifeEvent::drop, ReceiveLife::over},
});

inline constexpr std::array kAllReceiveLives = {ReceiveLife::offered,   ReceiveLife::proof_due,
                                                ReceiveLife::comparing, ReceiveLife::receiving,
                                                ReceiveLife::complete,  ReceiveLife::over};
inline constexpr std::array kAllReceiveLifeEvents = {
    ReceiveLifeEvent::admitted_new, ReceiveLifeEvent::admitted_have, ReceiveLifeEvent::refused,
    ReceiveLifeEvent::resume,       ReceiveLifeEvent::compared,      ReceiveLifeEvent::select,
    ReceiveLifeEvent::zero,         ReceiveLifeEvent::end,           ReceiveLifeEvent::end_agrees,
    ReceiveLifeEvent::end_differs,  ReceiveLifeEvent::finished,      ReceiveLifeEvent::failed,
    ReceiveLifeEvent::drop};

[[nodiscard]] constexpr std::optional<SendLife> next_life(SendLife from, SendLifeEvent on) {
  for (const SendLifeEdge& edge : kSendLife) {
    if (edge.from == from && edge.on == on) return edge.to;
  }
  return std::nullopt;
}

[[nodiscard]] constexpr std::optional<ReceiveLife> next_life(ReceiveLife from,
                                                             ReceiveLifeEvent on) {
  for (const ReceiveLifeEdge& edge : kReceiveLife) {
    if (edge.from == from && edge.on == on) return edge.to;
  }
  return std::nullopt;
}

[[nodiscard]] std::string_view to_string(SendLife life) noexcept;
[[nodiscard]] std::string_view to_string(SendLifeEvent event) noexcept;
[[nodiscard]] std::string_view to_string(ReceiveLife life) noexcept;
[[nodiscard]] std::string_view to_string(ReceiveLifeEvent event) noexcept;

}  // namespace sealine::stx::detail
