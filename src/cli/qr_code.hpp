#pragma once

#include "sealine/base/error.hpp"

#include <string>
#include <string_view>

namespace sealine::cli {

/// `text` as a QR code made of half blocks, two rows a line, with its quiet zone. Dark modules are
/// blanks, for light letters on a dark ground; with `colored` it brings its own colours.
/// Errors: value_too_large.
[[nodiscard]] Result<std::string> qr_code(std::string_view text, bool colored);

}  // namespace sealine::cli
