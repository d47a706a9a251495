#pragma once

#include "sealine/stx/message.hpp"
#include "stx/detail/block_layout.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sealine::stx::detail {

/// The blocks of an item that a receiver holds: the leading run, whose leaves are in the tree, and
/// the pieces behind the first missing block, whose leaves wait. spec: stx.md#acknowledgement
///
/// A block whose head has come but whose frame is still being opened and written is `expected`: the
/// same block from another lane is not written beside it.
class HeldBlocks {
 public:
  explicit HeldBlocks(crypto::Engine& engine) : zeros_(engine), tree_(engine) {}

  /// Blocks [0, start) are there; `tree` is theirs.
  void begin(std::uint32_t start, Tree tree);

  /// False: held or expected already.
  bool expect(std::uint32_t block, LaneId lane);
  /// Its frame was damaged.
  void forget(std::uint32_t block);
  /// What was expected of a lane that has ended.
  void forget_lane(LaneId lane);

  /// An expected block is written.
  void put(std::uint32_t block, const Hash& leaf, const BlockLayout& layout);

  struct Gap {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
  };

  /// Blocks [first, first + count) are zero; gives the runs that were not held or expected.
  std::vector<Gap> put_zeros(std::uint32_t first, std::uint32_t count, const BlockLayout& layout);

  /// Blocks [0, leading()) are held.
  [[nodiscard]] std::uint32_t leading() const noexcept { return leading_; }

  /// Pieces that are held behind the first missing block.
  [[nodiscard]] std::size_t pieces_behind() const noexcept { return held_; }

  /// Pieces of which only the head has come.
  [[nodiscard]] std::size_t expected() const noexcept { return size() - held_; }

  [[nodiscard]] Hash root() const { return tree_.root(); }

 private:
  struct Piece {
    enum class Kind : std::uint8_t { expected, block, zeros };

    std::uint32_t first = 0;
    std::uint32_t count = 1;
    Hash leaf{};
    Kind kind = Kind::expected;
    LaneId lane = 0;
  };

  [[nodiscard]] std::size_t size() const noexcept { return pieces_.size() - front_; }

  [[nodiscard]] std::size_t find(std::uint32_t block) const;
  void insert(std::size_t at, const Piece& piece);
  void settle(const BlockLayout& layout);

  ZeroLeaves zeros_;
  Tree tree_;
  std::uint32_t leading_ = 0;
  std::vector<Piece> pieces_;  ///< ascending, from front_ on
  std::size_t front_ = 0;
  std::size_t held_ = 0;  ///< pieces that are not expected
};

}  // namespace sealine::stx::detail
