#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/stx/limits.hpp"

#include <cstddef>
#include <string_view>

namespace sealine::stx {

inline constexpr std::size_t kMaxComponentBytes = 255;
inline constexpr std::size_t kMaxNameDepth = 32;  ///< components of a name

/// What a receiver calls its own files: nobody else may name one so.
inline constexpr std::string_view kReservedPrefix = ".stx-";
inline constexpr std::string_view kPartSuffix = ".stxpart";

/// Whether a name of a peer may become a path below the receiver's root.   spec: stx.md#files
///
/// Refused are: empty, over 4095 bytes, absolute, deeper than 32; a component that is empty, `.`,
/// `..`, over 255 bytes, ends in `.stxpart` or begins with `.stx-`; NUL. Every other byte is taken,
/// in any encoding: a name is shown in quotes only. Errors: file_name_refused.
[[nodiscard]] SEALINE_API Result<> check_name(std::string_view name) noexcept;

/// Whether a symlink at `name` (one that check_name took) may point to `target`: not empty, not
/// over 4095 bytes, no NUL, not absolute, and `..` only at the front and not above the root. (`..`
/// behind a name leads out where that name is another link, so `a/../b` is refused too.) Errors:
/// link_target_refused.
[[nodiscard]] SEALINE_API Result<> check_link_target(std::string_view name,
                                                     std::string_view target) noexcept;

/// Everything before the last `/`; empty for a name directly below the root.
[[nodiscard]] constexpr std::string_view parent_of(std::string_view name) noexcept {
  const std::size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(0, slash);
}

/// The last component.
[[nodiscard]] constexpr std::string_view leaf_of(std::string_view name) noexcept {
  return name.substr(name.rfind('/') + 1);
}

}  // namespace sealine::stx
