#include "sealine/base/reader.hpp"

#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace sealine {
namespace {

using test::Bytes;

TEST(Reader, reads_big_endian_numbers) {
  const Bytes input = test::counting(15, 1);
  Reader reader(input);
  EXPECT_EQ(reader.be<std::uint8_t>(), 0x01);
  EXPECT_EQ(reader.be<std::uint16_t>(), 0x0203);
  EXPECT_EQ(reader.be<std::uint32_t>(), 0x04050607U);
  EXPECT_EQ(reader.be<std::uint64_t>(), 0x08090A0B0C0D0E0FU);
  EXPECT_TRUE(reader.finish());
}

TEST(Reader, a_failed_read_leaves_it_where_it_was) {
  const Bytes input = test::counting(7);
  Reader reader(input);
  ASSERT_TRUE(reader.be<std::uint8_t>());
  EXPECT_EQ(reader.be<std::uint64_t>(), fail(Errc::input_too_short, 1));
  EXPECT_FALSE(reader.bytes(7));
  EXPECT_FALSE(reader.fixed<7>());
  EXPECT_FALSE(reader.prefixed<std::uint8_t>(0));
  EXPECT_EQ(reader.offset(), 1U);
  EXPECT_EQ(reader.remaining(), 6U);
  EXPECT_TRUE(reader.bytes(6));
}

TEST(Reader, takes_no_length_beyond_its_input) {
  const Bytes input(8);
  Reader reader(input);
  ASSERT_TRUE(reader.bytes(8));
  EXPECT_TRUE(reader.bytes(0));
  EXPECT_FALSE(reader.bytes(1));
  EXPECT_FALSE(reader.bytes(std::numeric_limits<std::size_t>::max()));
  Reader empty{ByteView{}};
  EXPECT_TRUE(empty.finish());
  EXPECT_EQ(empty.be<std::uint8_t>(), fail(Errc::input_too_short, 0));
}

TEST(Reader, gives_views_into_its_input) {
  const Bytes input = test::counting(6);
  Reader reader(input);
  const auto first = reader.fixed<2>();
  const auto second = reader.bytes(3);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->data(), input.data());
  EXPECT_EQ(second->data(), input.data() + 2);
  EXPECT_EQ(reader.rest().size(), 1U);
}

TEST(Reader, a_prefixed_run_cannot_be_left) {
  const Bytes input{0, 2, 10, 11, 12};
  Reader reader(input);
  auto inner = reader.prefixed<std::uint16_t>(2);
  ASSERT_TRUE(inner);
  EXPECT_EQ(inner->be<std::uint16_t>(), 0x0A0B);
  EXPECT_FALSE(inner->be<std::uint8_t>());
  EXPECT_TRUE(inner->finish());
  EXPECT_EQ(reader.finish(), fail(Errc::trailing_bytes, 4));
}

TEST(Reader, a_prefix_is_held_to_its_limit_before_its_bytes) {
  const Bytes input{0xFF, 0xFF};
  Reader reader(input);
  EXPECT_EQ(reader.prefixed<std::uint16_t>(100).error().code, Errc::value_too_large);
  EXPECT_EQ(reader.prefixed<std::uint16_t>(0xFFFF).error().code, Errc::input_too_short);
  EXPECT_EQ(reader.offset(), 0U);
}

constexpr bool works_at_compile_time() {
  const ByteArray<3> input{1, 2, 3};
  Reader reader{ByteView(input)};
  return *reader.be<std::uint16_t>() == 0x0102 && !reader.finish() && reader.bytes(1) &&
         reader.finish();
}

static_assert(works_at_compile_time());

}  // namespace
}  // namespace sealine
