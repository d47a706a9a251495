#pragma once

#include "sealine/base/error.hpp"
#include "sealine/noise/pattern.hpp"
#include "sealine/stcp/mode.hpp"

namespace sealine::stcp::detail {

/// The Noise pattern of a mode.                                                     spec:
/// stcp.md#modes
[[nodiscard]] const noise::Pattern& pattern_of(Mode mode) noexcept;

/// An error of a Noise message as the fault point of its step: a tag is `wrong_tag`, an all-zero
/// result F3, everything else a wrong length (F1).
[[nodiscard]] inline Error step_fault(const Error& error, Errc wrong_tag) {
  if (error.code == Errc::tag_mismatch) return {wrong_tag};
  if (error.code == Errc::dh_all_zero) return {Errc::dh_all_zero};
  return {Errc::bad_length};
}

}  // namespace sealine::stcp::detail
