#include "sealine/stx/tree.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"

#include <array>
#include <bit>
#include <utility>

namespace sealine::stx {
namespace {

constexpr std::uint8_t kNodePrefix = 0x01;

Hash node_of(crypto::Engine& engine, const Hash& left, const Hash& right) {
  ByteArray<1 + 2 * sizeof(Hash)> bytes{};
  Writer(bytes).be(kNodePrefix).bytes(left).bytes(right);
  Hash hash{};
  engine.sha256({ByteView(bytes)}, hash);
  return hash;
}

}  // namespace

Hash zero_leaf(crypto::Engine& engine, std::size_t bytes) {
  static constexpr ByteArray<4096> kZeros{};
  std::vector<ByteView> parts;
  parts.emplace_back(&kLeafPrefix, 1);
  for (std::size_t left = bytes; left > 0;) {
    const std::size_t take = std::min(left, kZeros.size());
    parts.push_back(ByteView(kZeros).first(take));
    left -= take;
  }
  Hash hash{};
  engine.sha256(crypto::Parts(parts), hash);
  return hash;
}

void Tree::add(const Hash& leaf) { add_subtree(leaf, 0); }

void Tree::add_subtree(const Hash& root, unsigned level) {
  SEALINE_ASSERT(level < 32 && (count_ & ((1U << level) - 1U)) == 0);
  SEALINE_ASSERT(count_ + (1U << level) > count_);
  stack_.push_back({.hash = root, .level = level});
  count_ += 1U << level;
  // Two complete subtrees of a height are one of the next.
  while (stack_.size() > 1 && stack_[stack_.size() - 2].level == stack_.back().level) {
    const Node right = stack_.back();
    stack_.pop_back();
    Node& left = stack_.back();
    left = {.hash = node_of(*engine_, left.hash, right.hash), .level = right.level + 1};
  }
}

void Tree::add_repeated(const Hash& leaf, std::uint32_t count) {
  std::array<Hash, 32> roots;  // of complete subtrees of the leaf alone, by level
  roots[0] = leaf;
  unsigned known = 0;
  while (count > 0) {
    // The largest subtree that begins at an even place and is not too long.
    const unsigned fits = static_cast<unsigned>(std::bit_width(count)) - 1U;
    const unsigned even = count_ == 0 ? 31U : static_cast<unsigned>(std::countr_zero(count_));
    const unsigned level = std::min(fits, even);
    for (; known < level; ++known) {
      roots[known + 1] = node_of(*engine_, roots[known], roots[known]);
    }
    add_subtree(roots[level], level);
    count -= 1U << level;
  }
}

Hash Tree::root() const {
  if (stack_.empty()) {
    Hash hash{};
    engine_->sha256({}, hash);
    return hash;
  }
  Hash hash = stack_.back().hash;
  for (std::size_t i = stack_.size() - 1; i-- > 0;) {
    hash = node_of(*engine_, stack_[i].hash, hash);
  }
  return hash;
}

void Tree::clear() noexcept {
  stack_.clear();
  count_ = 0;
}

std::uint8_t run_log2_of(std::uint32_t have) noexcept {
  std::uint8_t run_log2 = 0;
  while ((std::uint64_t{have} + (std::uint64_t{1} << run_log2) - 1U) >> run_log2 > kMaxRuns) {
    ++run_log2;
  }
  return run_log2;
}

void RunRoots::add(const Hash& leaf) {
  run_.add(leaf);
  ++count_;
  if (run_.leaf_count() == std::uint32_t{1} << run_log2_) finish();
}

void RunRoots::finish() {
  if (run_.leaf_count() == 0) return;
  roots_.push_back(run_.root());
  run_.clear();
}

}  // namespace sealine::stx
