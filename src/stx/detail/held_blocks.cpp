#include "stx/detail/held_blocks.hpp"

#include <algorithm>
#include <utility>

namespace sealine::stx::detail {

void HeldBlocks::begin(std::uint32_t start, Tree tree) {
  leading_ = start;
  tree_ = std::move(tree);
}

/// The first piece that ends behind `block`: the one that holds it, or where it would be inserted.
std::size_t HeldBlocks::find(std::uint32_t block) const {
  const auto ends_before = [](const Piece& piece, std::uint32_t wanted) {
    return piece.first + (piece.count - 1) < wanted;
  };
  // Most come in order.
  if (size() == 0 || ends_before(pieces_.back(), block)) return pieces_.size();
  const auto begin = pieces_.begin() + static_cast<std::ptrdiff_t>(front_);
  return static_cast<std::size_t>(std::lower_bound(begin, pieces_.end(), block, ends_before) -
                                  pieces_.begin());
}

void HeldBlocks::insert(std::size_t at, const Piece& piece) {
  if (at == pieces_.size() && front_ > 0 && front_ * 2 >= pieces_.size()) {
    // The memory of pieces long in the tree is used again.
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(front_));
    at -= front_;
    front_ = 0;
  }
  pieces_.insert(pieces_.begin() + static_cast<std::ptrdiff_t>(at), piece);
  if (piece.kind != Piece::Kind::expected) ++held_;
}

bool HeldBlocks::expect(std::uint32_t block, LaneId lane) {
  if (block < leading_) return false;
  const std::size_t at = find(block);
  if (at < pieces_.size() && pieces_[at].first <= block) return false;
  insert(at, {.first = block, .lane = lane});
  return true;
}

void HeldBlocks::forget(std::uint32_t block) {
  const std::size_t at = find(block);
  if (at == pieces_.size() || pieces_[at].first != block) return;
  if (pieces_[at].kind == Piece::Kind::expected) {
    pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

void HeldBlocks::forget_lane(LaneId lane) {
  const auto begin = pieces_.begin() + static_cast<std::ptrdiff_t>(front_);
  const auto gone = std::remove_if(begin, pieces_.end(), [lane](const Piece& piece) {
    return piece.kind == Piece::Kind::expected && piece.lane == lane;
  });
  pieces_.erase(gone, pieces_.end());
}

void HeldBlocks::put(std::uint32_t block, const Hash& leaf, const BlockLayout& layout) {
  const std::size_t at = find(block);
  if (at == pieces_.size() || pieces_[at].first != block) return;
  Piece& piece = pieces_[at];
  if (piece.kind != Piece::Kind::expected) return;
  piece.kind = Piece::Kind::block;
  piece.leaf = leaf;
  ++held_;
  settle(layout);
}

std::vector<HeldBlocks::Gap> HeldBlocks::put_zeros(std::uint32_t first, std::uint32_t count,
                                                   const BlockLayout& layout) {
  std::vector<Gap> gaps;
  const std::uint32_t end = first + count;
  std::uint32_t next = std::max(first, leading_);
  while (next < end) {
    const std::size_t at = find(next);
    const std::uint32_t until =
        at == pieces_.size() ? end : std::min(end, std::max(next, pieces_[at].first));
    if (until > next) {
      gaps.push_back({.first = next, .count = until - next});
      insert(at, {.first = next, .count = until - next, .kind = Piece::Kind::zeros});
      next = until;
    } else {
      next = pieces_[at].first + pieces_[at].count;
    }
  }
  settle(layout);
  return gaps;
}

/// Pieces that follow the leading run join it; their leaves go into the tree in order.
void HeldBlocks::settle(const BlockLayout& layout) {
  while (size() > 0 && pieces_[front_].first == leading_ &&
         pieces_[front_].kind != Piece::Kind::expected) {
    const Piece& piece = pieces_[front_];
    if (piece.kind == Piece::Kind::zeros) {
      zeros_.add_to(tree_, layout, piece.first, piece.count);
    } else {
      tree_.add(piece.leaf);
    }
    leading_ += piece.count;
    ++front_;
    --held_;
  }
  if (size() == 0) {
    pieces_.clear();
    front_ = 0;
  }
}

}  // namespace sealine::stx::detail
