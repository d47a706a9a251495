#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stx/message.hpp"
#include "sealine/stx/tree.hpp"

#include <cstdint>
#include <optional>

namespace sealine::stx::detail {

/// How the bytes of an item are cut into blocks. Of unknown size: every block is full until the
/// size is known.
class BlockLayout {
 public:
  explicit BlockLayout(std::uint8_t block_log2) : block_log2_(block_log2) {}

  void set_size(std::uint64_t size_bytes, std::uint32_t blocks) {
    size_bytes_ = size_bytes;
    blocks_ = blocks;
  }

  [[nodiscard]] std::uint8_t block_log2() const noexcept { return block_log2_; }

  [[nodiscard]] std::uint32_t full_bytes() const noexcept { return 1U << block_log2_; }

  [[nodiscard]] bool is_size_known() const noexcept { return blocks_.has_value(); }

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }

  /// kMaxBlocks while the size is unknown.
  [[nodiscard]] std::uint32_t blocks() const noexcept { return blocks_.value_or(kMaxBlocks); }

  [[nodiscard]] std::uint32_t block_bytes(std::uint32_t block) const noexcept {
    if (!blocks_ || block + 1 < *blocks_) return full_bytes();
    return static_cast<std::uint32_t>(size_bytes_ - (std::uint64_t{block} << block_log2_));
  }

 private:
  std::uint8_t block_log2_;
  std::uint64_t size_bytes_ = 0;
  std::optional<std::uint32_t> blocks_;
};

/// The leaves of an item's blocks of zero bytes, each hashed once. spec: stx.md#items
class ZeroLeaves {
 public:
  explicit ZeroLeaves(crypto::Engine& engine) : engine_(&engine) {}

  /// Appends blocks [first, first + count) of `layout`; the last block may be short.
  void add_to(Tree& tree, const BlockLayout& layout, std::uint32_t first, std::uint32_t count) {
    const std::uint32_t last = layout.block_bytes(first + count - 1);
    const std::uint32_t full = last == layout.full_bytes() ? count : count - 1;
    if (full > 0) {
      if (!full_) full_ = zero_leaf(*engine_, layout.full_bytes());
      tree.add_repeated(*full_, full);
    }
    if (full < count) tree.add(zero_leaf(*engine_, last));
  }

 private:
  crypto::Engine* engine_;
  std::optional<Hash> full_;
};

}  // namespace sealine::stx::detail
