#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sealine {

/// Base64 of RFC 4648 section 4, with padding.
[[nodiscard]] SEALINE_API std::string base64(ByteView bytes);

/// The reverse, strict: padded, nothing else in between, the unused bits zero.
/// Errors: bad_encoding.
[[nodiscard]] SEALINE_API Result<std::vector<std::uint8_t>> from_base64(std::string_view text);

}  // namespace sealine
