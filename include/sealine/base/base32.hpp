#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"

namespace sealine {

/// RFC 4648 base32 in lower case without padding. For public values: its time depends on nothing but the length,
/// so secrets may pass through it too, if the returned text is wiped by the caller.
SEALINE_API std::string base32_encode(ByteView bytes);

/// Decodes base32 of either case into exactly `out.size()` bytes. Refused with bad_key_text: another length than
/// those bytes need, a letter outside of the alphabet, spare bits that are not zero. No branch or table index
/// depends on a letter's value.
SEALINE_API Result<> base32_decode(std::string_view text, MutableBytes out);

}  // namespace sealine
