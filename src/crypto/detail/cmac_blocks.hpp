#pragma once

#include "sealine/base/assert.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::crypto::detail {

inline constexpr std::size_t kMaxBlocksBytes = 8 * kBlockBytes;

/// The first subkey of CMAC (SP 800-38B, 6.1): L doubled in GF(2^128), in place and without a
/// branch.
inline void double_block(FixedBytes<kBlockBytes> block) {
  unsigned carry = 0;
  for (std::size_t i = kBlockBytes; i-- > 0;) {
    const unsigned shifted = (unsigned{block[i]} << 1U) | carry;
    block[i] = static_cast<std::uint8_t>(shifted);
    carry = shifted >> 8U;
  }
  block[kBlockBytes - 1] ^= static_cast<std::uint8_t>(0x87U & (0U - carry));
}

/// CMAC of messages of one full block each, by an `encrypt` that does whole blocks in place under
/// the key: a zero block first, then all the others at once.
template <class Encrypt>
void cmac_blocks(MutableBytes blocks, Encrypt encrypt) {
  SEALINE_ASSERT(blocks.size() % kBlockBytes == 0 && blocks.size() <= kMaxBlocksBytes);
  ByteArray<kBlockBytes> subkey{};
  encrypt(MutableBytes(subkey));
  double_block(subkey);
  for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] ^= subkey[i % kBlockBytes];
  encrypt(blocks);
  secure_wipe(subkey);
}

}  // namespace sealine::crypto::detail
