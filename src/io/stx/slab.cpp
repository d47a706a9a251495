#include "io/stx/slab.hpp"

namespace sealine::io::stx {
namespace {

constexpr std::size_t kMaxKept = 3;

}  // namespace

Slab SlabShelf::take(std::size_t least) {
  {
    const std::scoped_lock lock(mutex_);
    if (!slabs_.empty() && least <= kSlabBytes) {
      Slab slab = std::move(slabs_.back());
      slabs_.pop_back();
      return slab;
    }
  }
  return Slab(least);
}

void SlabShelf::give(Slab slab) {
  if (slab.capacity() != kSlabBytes) return;
  const std::scoped_lock lock(mutex_);
  if (slabs_.size() < kMaxKept) slabs_.push_back(std::move(slab));
}

}  // namespace sealine::io::stx
