#pragma once

#include "sealine/base/export.hpp"

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace sealine::stcp {

/// How the two ends know each other. The client picks one, the server has a list; nothing is
/// negotiated. spec: stcp.md#modes. The numbers are those on the wire; all others are reserved and
/// refused (F2).
enum class Mode : std::uint8_t {
  anonymous = 0,  ///< NN: nobody is known; an active attacker in the middle succeeds
  tofu = 1,       ///< NX: the server is known by its pinned key (default)
  mutual = 4,     ///< XX: both are known by their keys
  psk = 5,        ///< NNpsk0: both hold the same secret
};

/// "NN", "NX", "XX", "NNpsk0".
[[nodiscard]] SEALINE_API std::string_view pattern_name(Mode mode) noexcept;

/// A set of modes: the allow-list of a server.
class ModeSet {
 public:
  constexpr ModeSet() = default;

  constexpr ModeSet(std::initializer_list<Mode> modes) {
    for (const Mode mode : modes) bits_ |= bit(mode);
  }

  [[nodiscard]] constexpr bool contains(Mode mode) const noexcept {
    return (bits_ & bit(mode)) != 0;
  }

  [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }

  friend constexpr bool operator==(ModeSet, ModeSet) = default;

 private:
  static constexpr std::uint16_t bit(Mode mode) {
    return static_cast<std::uint16_t>(1U << static_cast<unsigned>(mode));
  }

  std::uint16_t bits_ = 0;
};

enum class State : std::uint8_t { init, key_exchange, encrypted, error, closed };

/// "INIT", "KEY_EXCHANGE", "ENCRYPTED", "ERROR", "CLOSED": the draft's words.
[[nodiscard]] SEALINE_API std::string_view to_string(State state) noexcept;

/// The reason in a CLOSE record. Values from 16 on are the application's.
enum class CloseReason : std::uint8_t {
  end_of_data = 0,
  application = 1,
  going_away = 2,
  idle = 3
};

}  // namespace sealine::stcp
