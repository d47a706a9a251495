#pragma once

#include "sealine/base/errc.hpp"

#include <span>
#include <string_view>

namespace sealine::cli {

/// What `sealine explain` says about an error: what happened and its usual causes, then what to do.
struct Explanation {
  Errc code;
  std::string_view causes;
  std::string_view advice;
};

/// A row for every error of the library.
[[nodiscard]] std::span<const Explanation> explanations() noexcept;

/// The row of `code`.
[[nodiscard]] const Explanation& explanation_of(Errc code) noexcept;

}  // namespace sealine::cli
