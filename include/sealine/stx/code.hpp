#pragma once

#include "sealine/base/errc.hpp"
#include "sealine/base/export.hpp"

#include <cstdint>
#include <string_view>

namespace sealine::stx {

/// Why an item or a session ended: META_OK, DONE, DROP and CLOSE carry it.
/// spec: stx.md#codes
enum class Code : std::uint8_t {
  normal = 0,
  protocol = 1,
  refused = 2,  ///< by policy
  no_space = 3,
  quota = 4,
  io_error = 5,
  line_damage = 6,
  shutting_down = 7,
  busy = 8,
  unknown_transfer = 9,
  name = 10,
  exists = 11,
  source_changed = 12,  ///< or gone
  root_differs = 13,
  superseded = 14,
};

inline constexpr std::uint8_t kLastCode = 14;

/// Whether a sender whose session ended so tries again: 6, 7, 8 always, 13 once, others never.
enum class Retry : std::uint8_t { never, once, always };
[[nodiscard]] SEALINE_API Retry retry_after(Code code) noexcept;

/// The error that a caller is given.
[[nodiscard]] SEALINE_API Errc errc_of(Code code) noexcept;

[[nodiscard]] SEALINE_API std::string_view to_string(Code code) noexcept;

}  // namespace sealine::stx
