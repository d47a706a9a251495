#include "sealine/base/strong.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <type_traits>

namespace sealine {
namespace {

using StreamId = Strong<struct StreamIdTag, std::uint32_t>;
using ChunkIndex = Strong<struct ChunkIndexTag, std::uint32_t>;

static_assert(!std::is_convertible_v<std::uint32_t, StreamId>);
static_assert(!std::is_convertible_v<StreamId, std::uint32_t>);
static_assert(!std::is_constructible_v<ChunkIndex, StreamId>);
template <class T>
concept HasArithmetic = requires(T a, T b) { a + b; };
static_assert(!HasArithmetic<StreamId>);
static_assert(sizeof(StreamId) == sizeof(std::uint32_t));

TEST(Strong, is_ordered_by_its_value) {
  EXPECT_LT(StreamId(1), StreamId(2));
  EXPECT_EQ(StreamId(7), StreamId(7));
  EXPECT_EQ(StreamId(7).value(), 7U);
}

}  // namespace
}  // namespace sealine
