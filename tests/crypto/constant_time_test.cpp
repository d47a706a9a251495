#include "sealine/crypto/constant_time.hpp"

#include "support/hex.hpp"

#include <gtest/gtest.h>

namespace sealine::crypto {
namespace {

using test::Bytes;

TEST(CtEqual, compares_whole_runs) {
  const Bytes a = test::counting(33);
  for (std::size_t bit = 0; bit < a.size() * 8; ++bit) {
    Bytes b = a;
    EXPECT_TRUE(ct_equal(a, b));
    b[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(ct_equal(a, b));
  }
}

TEST(CtEqual, knows_lengths_and_nothing) {
  const Bytes a = test::counting(8);
  EXPECT_FALSE(ct_equal(a, ByteView(a).first(7)));
  EXPECT_FALSE(ct_equal({}, a));
  EXPECT_TRUE(ct_equal({}, {}));
}

}  // namespace
}  // namespace sealine::crypto
