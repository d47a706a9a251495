#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"

namespace sealine::crypto {

/// scrypt (RFC 7914) with N = 2^17, r = 8, p = 1: a passphrase becomes a key; takes about 128 MiB for a moment.
/// Errors: random_failed never; system_error if the memory is not to be had.
[[nodiscard]] SEALINE_API Result<> scrypt(ByteView passphrase, ByteView salt, MutableBytes out);

}  // namespace sealine::crypto
