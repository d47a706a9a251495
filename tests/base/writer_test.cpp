#include "sealine/base/writer.hpp"

#include "sealine/base/reader.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace sealine {
namespace {

using test::Bytes;
using test::to_hex;

TEST(Writer, writes_big_endian_numbers_and_runs) {
  Bytes out(20);
  Writer writer(out);
  writer.be<std::uint8_t>(1)
      .be<std::uint16_t>(0x0203)
      .be<std::uint32_t>(0x04050607)
      .bytes(test::counting(2, 8))
      .zeros(2);
  const auto written = writer.finish();
  ASSERT_TRUE(written);
  EXPECT_EQ(to_hex(*written), "0102030405060708090000");
  EXPECT_EQ(writer.used(), 11U);
  EXPECT_EQ(writer.room(), 9U);
}

TEST(Writer, errors_stick) {
  Bytes out(4, 0xEE);
  Writer writer(out);
  writer.be<std::uint16_t>(1).be<std::uint32_t>(2).be<std::uint8_t>(3);
  EXPECT_EQ(writer.finish().error(), (Error{Errc::out_of_space, 2}));
  EXPECT_EQ(writer.room(), 0U);
  EXPECT_EQ(to_hex(out), "0001eeee");  // what came after did not slip in
}

TEST(Writer, reserves_no_more_than_there_is) {
  Bytes out(4);
  Writer writer(out);
  EXPECT_EQ(writer.reserve(4).size(), 4U);
  EXPECT_TRUE(writer.finish());
  EXPECT_TRUE(writer.reserve(std::numeric_limits<std::size_t>::max()).empty());
  EXPECT_FALSE(writer.finish());
}

TEST(Writer, an_empty_output_takes_nothing) {
  Writer writer{MutableBytes{}};
  writer.bytes({}).zeros(0);
  EXPECT_TRUE(writer.finish());
  writer.be<std::uint8_t>(0);
  EXPECT_FALSE(writer.finish());
}

TEST(Writer, writes_what_a_reader_reads) {
  Bytes out(15);
  Writer writer(out);
  writer.be<std::uint64_t>(0xFEDCBA9876543210U)
      .be<std::uint32_t>(0x89ABCDEF)
      .be<std::uint16_t>(0x8001)
      .be<std::uint8_t>(0xFF);
  Reader reader(out);
  EXPECT_EQ(reader.be<std::uint64_t>(), 0xFEDCBA9876543210U);
  EXPECT_EQ(reader.be<std::uint32_t>(), 0x89ABCDEFU);
  EXPECT_EQ(reader.be<std::uint16_t>(), 0x8001);
  EXPECT_EQ(reader.be<std::uint8_t>(), 0xFF);
  EXPECT_TRUE(reader.finish());
}

static_assert(be_bytes<std::uint32_t>(0x01020304) == ByteArray<4>{1, 2, 3, 4});
static_assert(be_bytes<std::uint8_t>(0xFF) == ByteArray<1>{0xFF});

}  // namespace
}  // namespace sealine
