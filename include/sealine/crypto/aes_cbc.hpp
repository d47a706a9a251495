#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"

#include <cstddef>

namespace sealine::crypto {

/// AES-CBC with PKCS7 padding, decryption alone: for packets of older programs that nothing
/// authenticates. spec: stcp.md#legacy-raw. `key` has 16, 24 or 32 bytes, `iv` 16; `out` at least
/// ciphertext.size(). Returns the length of the plaintext. Every defect is the one error
/// packet_not_authentic.
[[nodiscard]] SEALINE_API Result<std::size_t> aes_cbc_open(ByteView key, FixedView<16> iv,
                                                           ByteView ciphertext, MutableBytes out);

}  // namespace sealine::crypto
