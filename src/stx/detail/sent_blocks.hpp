#pragma once

#include "sealine/stx/message.hpp"
#include "stx/detail/block_layout.hpp"
#include "stx/detail/ring.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::stx::detail {

/// A block, or a ZERO run, of an item from its ordering until it is covered and in the tree.
struct SentBlock {
  enum class Flight : std::uint8_t {
    due,  ///< a resend, a ZERO that waits for lane 0
    sent,
    covered,
  };

  std::uint64_t place = 0;  ///< in the window
  std::uint32_t first = 0;
  std::uint32_t count = 1;
  Hash leaf{};
  Flight flight = Flight::sent;
  bool zero = false;
  bool leaf_known = false;
  std::uint8_t naks = 0;
};

/// The blocks of one item that may still be asked for again, ascending. Their leaves wait here:
/// END speaks of what was sent last. spec: stx.md#items
class SentBlocks {
 public:
  /// The window has no more frames than half of it; the rest is for leaves that come late.
  static constexpr std::size_t kMost = 8192;

  [[nodiscard]] bool is_full() const noexcept { return blocks_.size() >= kMost; }

  [[nodiscard]] bool empty() const noexcept { return blocks_.empty(); }

  void add(const SentBlock& block) { blocks_.push_back(block); }

  /// nullptr if it is covered and in the tree.
  [[nodiscard]] SentBlock* find(std::uint32_t block) {
    std::size_t low = 0;
    std::size_t high = blocks_.size();
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (blocks_[middle].first + (blocks_[middle].count - 1) < block) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    if (low == blocks_.size() || blocks_[low].first > block) return nullptr;
    return &blocks_[low];
  }

  /// Moves what is covered, from the oldest on, into the tree.
  void settle(Tree& tree, ZeroLeaves& zeros, const BlockLayout& layout) {
    while (!blocks_.empty()) {
      const SentBlock& block = blocks_.front();
      if (block.flight != SentBlock::Flight::covered || !(block.leaf_known || block.zero)) return;
      if (block.zero) {
        zeros.add_to(tree, layout, block.first, block.count);
      } else {
        tree.add(block.leaf);
      }
      blocks_.pop_front();
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return blocks_.size(); }

  [[nodiscard]] SentBlock& operator[](std::size_t i) { return blocks_[i]; }

 private:
  Ring<SentBlock> blocks_;
};

}  // namespace sealine::stx::detail
