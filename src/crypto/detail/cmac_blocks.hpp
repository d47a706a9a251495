#pragma once

#include "sealine/base/assert.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sealine::crypto::detail {

inline constexpr std::size_t kMaxBlocksBytes = 8 * kBlockBytes;

/// A block as two words in the order of the machine, so that whole words are moved and not bytes.
using BlockWords = std::array<std::uint64_t, 2>;

inline BlockWords load_block(FixedView<kBlockBytes> block) {
  BlockWords words;
  std::memcpy(words.data(), block.data(), kBlockBytes);
  return words;
}

inline void store_block(const BlockWords& words, FixedBytes<kBlockBytes> block) {
  std::memcpy(block.data(), words.data(), kBlockBytes);
}

constexpr std::uint64_t big_endian(std::uint64_t word) {
  return std::endian::native == std::endian::little ? std::byteswap(word) : word;
}

/// The first subkey of CMAC (SP 800-38B, 6.1): L doubled in GF(2^128), without a branch.
inline BlockWords doubled(const BlockWords& block) {
  const std::uint64_t high = big_endian(block[0]);
  const std::uint64_t low = big_endian(block[1]);
  const std::uint64_t reduced = 0x87U & (0U - (high >> 63U));
  return {big_endian((high << 1U) | (low >> 63U)), big_endian((low << 1U) ^ reduced)};
}

/// CMAC of messages of one full block each, by an `encrypt` that does whole blocks in place under
/// the key: a zero block first, then all the others at once.
template <class Encrypt>
void cmac_blocks(MutableBytes blocks, Encrypt encrypt) {
  SEALINE_ASSERT(blocks.size() % kBlockBytes == 0 && blocks.size() <= kMaxBlocksBytes);
  ByteArray<kBlockBytes> zero_block{};
  encrypt(MutableBytes(zero_block));
  const BlockWords subkey = doubled(load_block(zero_block));
  for (std::size_t at = 0; at < blocks.size(); at += kBlockBytes) {
    const FixedBytes<kBlockBytes> block = blocks.subspan(at).first<kBlockBytes>();
    const BlockWords words = load_block(block);
    store_block({words[0] ^ subkey[0], words[1] ^ subkey[1]}, block);
  }
  encrypt(blocks);
  secure_wipe(zero_block);
}

}  // namespace sealine::crypto::detail
