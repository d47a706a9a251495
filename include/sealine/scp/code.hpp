#pragma once

#include "sealine/base/errc.hpp"
#include "sealine/base/export.hpp"

#include <cstdint>
#include <string_view>

namespace sealine::scp {

/// Why a channel ended. The numbers are those of a CLOSE message; the others stay local. spec:
/// scp.md#codes
enum class Code : std::uint8_t {
  normal = 0,
  protocol = 1,
  authentication = 2,
  decrypt = 3,
  sequence = 4,
  too_large = 5,
  timeout = 6,
  rate_limited = 7,
  version = 8,
  going_away = 9,
  internal = 10,
  unknown_channel = 11,
  truncated = 12,
};

/// Whether the code may stand in a CLOSE on the wire: 0, 1, 5, 6, 7, 9, 10, 11.
[[nodiscard]] SEALINE_API bool is_wire_code(Code code) noexcept;

/// The error that a caller is given for a channel that ended with `code`.
[[nodiscard]] SEALINE_API Errc errc_of(Code code) noexcept;

[[nodiscard]] SEALINE_API std::string_view to_string(Code code) noexcept;

}  // namespace sealine::scp
