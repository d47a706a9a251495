#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace sealine {

/// RFC 4648 base32 in lower case without padding. Its time depends on nothing but the length.
SEALINE_API std::string base32_encode(ByteView bytes);

/// The same into `out`, which has exactly the room that the text needs: ceil(bytes.size() * 8 / 5).
/// For secrets, whose text must stand in memory that is wiped.
SEALINE_API void base32_encode(ByteView bytes, MutableBytes out);

/// Decodes base32 of either case into exactly `out.size()` bytes. Refused with bad_key_text:
/// another length than those bytes need, a letter outside of the alphabet, spare bits that are not
/// zero. No branch or table index depends on a letter's value.
SEALINE_API Result<> base32_decode(std::string_view text, MutableBytes out);

}  // namespace sealine
