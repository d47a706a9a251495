#include "sealine/stx/tree.hpp"

#include "sealine/base/writer.hpp"
#include "sealine/stx/limits.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace sealine::stx {
namespace {

class TreeTest : public ::testing::Test {
 protected:
  std::unique_ptr<crypto::Engine> engine_ =
      std::move(crypto::make_engine(crypto::EngineChoice::openssl).value());

  [[nodiscard]] Hash leaf(std::uint32_t i) const {
    Hash hash{};
    engine_->sha256({ByteView(&kLeafPrefix, 1), be_bytes(i)}, hash);
    return hash;
  }

  /// The Merkle Tree Hash as RFC 6962, section 2.1, defines it.
  [[nodiscard]] Hash by_definition(std::span<const Hash> leaves) const {
    Hash hash{};
    if (leaves.empty()) {
      engine_->sha256({}, hash);
      return hash;
    }
    if (leaves.size() == 1) return leaves[0];
    std::size_t k = 1;
    while (k * 2 < leaves.size()) k *= 2;
    const Hash left = by_definition(leaves.first(k));
    const Hash right = by_definition(leaves.subspan(k));
    const std::uint8_t prefix = 1;
    engine_->sha256({ByteView(&prefix, 1), left, right}, hash);
    return hash;
  }

  [[nodiscard]] std::vector<Hash> leaves(std::uint32_t count) const {
    std::vector<Hash> made;
    for (std::uint32_t i = 0; i < count; ++i) made.push_back(leaf(i));
    return made;
  }
};

// SPEC stx.md#items
TEST_F(TreeTest, is_the_one_of_rfc_6962) {
  const std::vector<Hash> all = leaves(70);
  Tree tree(*engine_);
  EXPECT_EQ(tree.root(), by_definition({}));
  for (std::uint32_t count = 1; count <= all.size(); ++count) {
    tree.add(all[count - 1]);
    EXPECT_EQ(tree.leaf_count(), count);
    EXPECT_EQ(tree.root(), by_definition(std::span(all).first(count))) << count;
  }
  tree.clear();
  EXPECT_EQ(tree.leaf_count(), 0U);
  EXPECT_EQ(tree.root(), by_definition({}));
}

TEST_F(TreeTest, takes_the_same_leaf_many_times) {
  for (std::uint32_t before = 0; before < 10; ++before) {
    for (std::uint32_t times = 0; times < 40; ++times) {
      std::vector<Hash> all = leaves(before);
      Tree tree(*engine_);
      for (const Hash& one : all) tree.add(one);
      tree.add_repeated(leaf(99), times);
      tree.add(leaf(7));
      all.insert(all.end(), times, leaf(99));
      all.push_back(leaf(7));
      ASSERT_EQ(tree.root(), by_definition(all)) << before << " " << times;
      ASSERT_EQ(tree.leaf_count(), all.size());
    }
  }
}

TEST_F(TreeTest, a_hole_of_a_petabyte_is_quick) {
  Tree tree(*engine_);
  tree.add(leaf(1));
  tree.add_repeated(leaf(0), kMaxBlocks - 1);
  EXPECT_EQ(tree.leaf_count(), kMaxBlocks);
  EXPECT_NE(tree.root(), Hash{});
}

TEST_F(TreeTest, takes_complete_subtrees) {
  const std::vector<Hash> all = leaves(13);
  Tree tree(*engine_);
  tree.add_subtree(by_definition(std::span(all).first(8)), 3);
  tree.add_subtree(by_definition(std::span(all).subspan(8, 4)), 2);
  tree.add(all[12]);
  EXPECT_EQ(tree.root(), by_definition(all));
}

TEST_F(TreeTest, zero_leaf_is_the_hash_of_its_block) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{4096},
                                 std::size_t{4097}, std::size_t{1} << 20U}) {
    const test::Bytes framed(size + 1);  // 00 || block
    Hash hash{};
    engine_->sha256({ByteView(framed)}, hash);
    EXPECT_EQ(zero_leaf(*engine_, size), hash) << size;
  }
}

// SPEC stx.md#course: run_log2 is the smallest that gives n <= 16384.
TEST(RunLog2, is_the_smallest_that_fits) {
  EXPECT_EQ(run_log2_of(0), 0);
  for (const std::uint32_t have : {1U, 16383U, 16384U, 16385U, 32768U, 32769U, 65536U, 65537U,
                                   1000000U, 0x7FFFFFFFU, kMaxBlocks}) {
    const std::uint8_t log2 = run_log2_of(have);
    const auto runs = [have](unsigned k) {
      const std::uint64_t run = std::uint64_t{1} << k;
      return (have + run - 1) / run;
    };
    EXPECT_LE(runs(log2), kMaxRuns) << have;
    if (log2 > 0) {
      EXPECT_GT(runs(log2 - 1U), kMaxRuns) << have;
    }
  }
}

TEST_F(TreeTest, run_roots_are_roots_of_the_runs) {
  const std::vector<Hash> all = leaves(11);
  for (std::uint8_t log2 = 0; log2 < 5; ++log2) {
    RunRoots runs(*engine_, log2);
    for (const Hash& one : all) runs.add(one);
    runs.finish();
    runs.finish();  // closes nothing twice
    const std::size_t size = std::size_t{1} << log2;
    ASSERT_EQ(runs.roots().size(), (all.size() + size - 1) / size);
    EXPECT_EQ(runs.leaf_count(), all.size());
    for (std::size_t i = 0; i < runs.roots().size(); ++i) {
      const std::size_t first = i * size;
      const std::size_t count = std::min(size, all.size() - first);
      EXPECT_EQ(runs.roots()[i], by_definition(std::span(all).subspan(first, count)));
    }
  }
}

}  // namespace
}  // namespace sealine::stx
