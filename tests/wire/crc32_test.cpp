#include "sealine/wire/crc32.hpp"

#include "support/hex.hpp"

#include <gtest/gtest.h>

namespace sealine::wire {
namespace {

TEST(Crc32, is_the_one_of_zlib) {
  EXPECT_EQ(crc32(as_bytes("123456789")), 0xCBF43926U);  // the check value of its catalogue
  EXPECT_EQ(crc32({}), 0U);
  EXPECT_EQ(crc32(test::Bytes{0}), 0xD202EF8DU);
}

TEST(Crc32, sees_each_bit) {
  test::Bytes bytes = test::counting(200);
  const std::uint32_t whole = crc32(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
    bytes[bit / 8] ^= mask;
    EXPECT_NE(crc32(bytes), whole);
    bytes[bit / 8] ^= mask;
  }
}

}  // namespace
}  // namespace sealine::wire
