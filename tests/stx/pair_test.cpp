#include "sealine/stx/receiver.hpp"
#include "sealine/stx/sender.hpp"
#include "support/stx_pair.hpp"

#include <gtest/gtest.h>

// Both machines against each other, over lanes that deliver in an order drawn by a seed.

namespace sealine::stx {
namespace {

using test::stx_content;
using test::stx_file;
using test::StxFrame;
using test::StxPair;
using test::StxSource;

constexpr std::size_t kBlock = std::size_t{1} << kMinBlockLog2;

StxSource file(std::string name, std::size_t size, std::uint64_t seed = 0) {
  return {.meta = stx_file(std::move(name), size), .content = stx_content(size, seed)};
}

void expect_clean_end(const StxPair& pair) {
  ASSERT_TRUE(pair.sender_over && pair.receiver_over);
  EXPECT_EQ(pair.sender_over->code, Code::normal);
  EXPECT_FALSE(pair.sender_over->by_peer);
  EXPECT_EQ(pair.receiver_over->code, Code::normal);
  EXPECT_TRUE(pair.receiver_over->by_peer);
}

void expect_delivered(const StxPair& pair, std::size_t source = 0) {
  const StxSource& sent = pair.sources[source];
  const auto& name = sent.meta.entries[0].name;
  ASSERT_TRUE(pair.disk.contains(name));
  EXPECT_TRUE(pair.disk.at(name).finished);
  EXPECT_TRUE(pair.disk.at(name).part == sent.content) << name;
}

// SPEC stx.md#course
TEST(StxPair, one_file) {
  StxPair pair;
  pair.sources.push_back(file("a", 5 * kBlock + 100));
  pair.start();
  pair.run();
  expect_clean_end(pair);
  expect_delivered(pair);
  EXPECT_EQ(pair.over.at(0).code, Code::normal);
  EXPECT_EQ(pair.blocks_sent, 6U);
}

}  // namespace
}  // namespace sealine::stx
