#pragma once

#include "sealine/base/assert.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/stx/tree.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace sealine::stx::detail {

/// The leading blocks of an item as one end reads them from its disk: the roots of their runs, to
/// send or to compare, and the tree to go on from. spec: stx.md#course
class ResumeProof {
 public:
  ResumeProof(crypto::Engine& engine, std::uint32_t have)
      : engine_(&engine),
        have_(have),
        run_log2_(run_log2_of(have)),
        roots_(engine, run_log2_),
        tree_(engine) {}

  /// The next leaves; those beyond `have` are left out.
  void add(std::span<const Hash> leaves) {
    for (const Hash& leaf : leaves) {
      if (is_complete()) return;
      roots_.add(leaf);
      tree_.add(leaf);
    }
  }

  [[nodiscard]] bool is_complete() const noexcept { return tree_.leaf_count() == have_; }

  /// No more leaves come.
  void finish() { roots_.finish(); }

  [[nodiscard]] std::uint32_t have() const noexcept { return have_; }

  [[nodiscard]] std::uint8_t run_log2() const noexcept { return run_log2_; }

  [[nodiscard]] std::span<const Hash> roots() const noexcept { return roots_.roots(); }

  /// How many roots a RESUME of so many blocks has.
  [[nodiscard]] std::size_t root_count() const noexcept {
    return static_cast<std::size_t>((std::uint64_t{have_} + (std::uint64_t{1} << run_log2_) - 1U) >>
                                    run_log2_);
  }

  /// Whether RESUME_OK may say so: the end of a run, or of all.
  [[nodiscard]] bool is_start(std::uint32_t start) const noexcept {
    return start == have_ || (start < have_ && (start & ((1U << run_log2_) - 1U)) == 0);
  }

  /// The tree of the first `start` blocks: is_start(start), and their leaves are here.
  [[nodiscard]] Tree tree_of(std::uint32_t start) const {
    SEALINE_ASSERT(is_start(start) && start <= tree_.leaf_count());
    if (start == tree_.leaf_count()) return tree_;
    Tree tree(*engine_);
    for (std::size_t run = 0; run < start >> run_log2_; ++run) {
      tree.add_subtree(roots()[run], run_log2_);
    }
    return tree;
  }

 private:
  crypto::Engine* engine_;
  std::uint32_t have_;
  std::uint8_t run_log2_;
  RunRoots roots_;
  Tree tree_;
};

}  // namespace sealine::stx::detail
