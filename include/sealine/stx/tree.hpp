#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/stx/message.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sealine::stx {

/// leaf = H(00 || block). `framed` is that 00 byte followed by the block, in one run.
inline constexpr std::uint8_t kLeafPrefix = 0x00;

/// The leaf of a block of `bytes` zero bytes.
[[nodiscard]] SEALINE_API Hash zero_leaf(crypto::Engine& engine, std::size_t bytes);

/// The Merkle Tree Hash of RFC 6962 over leaves that come in order: one node a level is kept.
/// spec: stx.md#items
class SEALINE_API Tree {
 public:
  explicit Tree(crypto::Engine& engine) : engine_(&engine) {}

  void add(const Hash& leaf);
  /// Appends the root of a complete subtree of 2^level leaves; leaf_count() is a multiple of
  /// 2^level.
  void add_subtree(const Hash& root, unsigned level);
  /// Appends `count` times the same leaf, in O(log count) hashes a level.
  void add_repeated(const Hash& leaf, std::uint32_t count);
  /// Of the leaves so far; H("") of none.
  [[nodiscard]] Hash root() const;
  /// No leaf any more; the memory stays.
  void clear() noexcept;

  [[nodiscard]] std::uint32_t leaf_count() const noexcept { return count_; }

 private:
  struct Node {
    Hash hash;
    unsigned level;
  };

  crypto::Engine* engine_;
  std::vector<Node> stack_;  ///< levels fall from front to back
  std::uint32_t count_ = 0;
};

/// The smallest run_log2 that gives ceil(have / 2^run_log2) <= kMaxRuns.
[[nodiscard]] SEALINE_API std::uint8_t run_log2_of(std::uint32_t have) noexcept;

/// Roots of the runs of 2^run_log2 leaves, the last run partial or not.   spec: stx.md#course
class SEALINE_API RunRoots {
 public:
  RunRoots(crypto::Engine& engine, std::uint8_t run_log2) : run_log2_(run_log2), run_(engine) {}

  void add(const Hash& leaf);
  /// Closes the last run.
  void finish();

  [[nodiscard]] std::span<const Hash> roots() const noexcept { return roots_; }

  [[nodiscard]] std::uint32_t leaf_count() const noexcept { return count_; }

 private:
  std::uint8_t run_log2_;
  Tree run_;
  std::vector<Hash> roots_;
  std::uint32_t count_ = 0;
};

}  // namespace sealine::stx
