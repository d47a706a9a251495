#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"

#include <cstdint>

namespace sealine::crypto {

/// What one guess costs. The defaults are the only cost that a protocol here uses; the others are
/// for the vectors of the RFC.
struct ScryptCost {
  std::uint64_t n = std::uint64_t{1} << 17U;
  std::uint32_t r = 8;
  std::uint32_t p = 1;
};

/// scrypt (RFC 7914) with N = 2^17, r = 8, p = 1: a passphrase becomes a key; takes about 128 MiB
/// for a moment. Errors: random_failed never; system_error if the memory is not to be had.
[[nodiscard]] SEALINE_API Result<> scrypt(ByteView passphrase, ByteView salt, MutableBytes out);

/// The same at another cost, of at most 256 MiB.
[[nodiscard]] SEALINE_API Result<> scrypt_with(const ScryptCost& cost, ByteView passphrase,
                                               ByteView salt, MutableBytes out);

}  // namespace sealine::crypto
