#include "sealine/stcp/padding.hpp"

#include "tests/support/vectors.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace sealine::stcp {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kM = 65536;

// SPEC stcp.md#padding
TEST(Padding, pads_as_every_row_of_the_vectors_says) {
  const auto vectors = test::load_vectors("stcp.json").at("padding");
  std::size_t count = 0;
  for (const auto& row : vectors.at("rows")) {
    const auto policy = parse_padding(row.at("policy").get<std::string>());
    ASSERT_TRUE(policy);
    EXPECT_EQ(padded_size(*policy, row.at("len").get<std::size_t>(), kM),
              row.at("padded").get<std::size_t>())
        << row.dump();
    ++count;
  }
  EXPECT_GT(count, 0U);
  test::report_vectors("sealine", "stcp padding", count);
}

TEST(Padding, never_takes_bytes_away_and_never_exceeds_a_record) {
  const Padding policies[] = {PadNone{},           PadToMultiple{2},   PadToMultiple{4096},
                              PadToMultiple{8192}, PadPadme{},         PadConstantRate{512, 20ms},
                              PadToMultiple{256},  PadToMultiple{1024}};
  for (const std::size_t most : {std::size_t{4096}, std::size_t{8192}, kM}) {
    for (const Padding& policy : policies) {
      for (std::size_t size = 0; size <= most; size += size < 300 ? 1 : 251) {
        const std::size_t padded = padded_size(policy, size, most);
        ASSERT_GE(padded, size);
        ASSERT_LE(padded, most);
      }
      EXPECT_EQ(padded_size(policy, most, most), most);
    }
  }
}

TEST(Padding, none_adds_nothing) {
  for (std::size_t size = 0; size <= 100; ++size) EXPECT_EQ(padded_size(PadNone{}, size, kM), size);
}

TEST(Padding, multiple_is_at_least_one_multiple) {
  EXPECT_EQ(padded_size(PadToMultiple{256}, 0, kM), 256U);
  EXPECT_EQ(padded_size(PadToMultiple{256}, 256, kM), 256U);
  EXPECT_EQ(padded_size(PadToMultiple{256}, 257, kM), 512U);
  EXPECT_EQ(padded_size(PadToMultiple{65536}, 1, kM), 65536U);
  EXPECT_EQ(padded_size(PadToMultiple{65536}, 1, 4096), 4096U);  // never above M
}

TEST(Padding, padme_costs_at_most_12_percent) {
  for (std::size_t size = 2; size < 100'000; ++size) {
    const std::size_t padded = padded_size(PadPadme{}, size, std::size_t{1} << 24U);
    ASSERT_LE((padded - size) * 100, size * 12) << size;
    // What is padded stays as it is: nothing is to be learnt from padding twice.
    ASSERT_EQ(padded_size(PadPadme{}, padded, std::size_t{1} << 24U), padded) << size;
  }
}

TEST(Padding, constant_rate_has_one_size) {
  const Padding policy = PadConstantRate{1000, 20ms};
  for (const std::size_t size : {0U, 1U, 999U, 1000U}) {
    EXPECT_EQ(padded_size(policy, size, kM), 1000U);
  }
}

TEST(Padding, check_refuses_what_no_record_can_be) {
  for (const std::uint32_t good : {2U, 4U, 256U, 65536U}) {
    EXPECT_TRUE(check(PadToMultiple{good}, kM));
  }
  for (const std::uint32_t bad : {0U, 1U, 3U, 255U, 65535U, 131072U, 0x80000000U, 0xffffffffU}) {
    EXPECT_EQ(check(PadToMultiple{bad}, kM).error(), Error{Errc::bad_configuration}) << bad;
  }
  EXPECT_TRUE(check(PadNone{}, kM));
  EXPECT_TRUE(check(PadPadme{}, kM));
}

// SPEC stcp.md#record: 64 records a second without data are allowed, so no pace may be above.
TEST(Padding, check_bounds_the_pace) {
  EXPECT_TRUE(check(PadConstantRate{512, 1s}, kM));
  EXPECT_TRUE(check(PadConstantRate{512, Duration(1s) / 64}, kM));
  EXPECT_FALSE(check(PadConstantRate{512, Duration(1s) / 64 - Duration(1)}, kM));
  EXPECT_FALSE(check(PadConstantRate{512, Duration(0)}, kM));
  EXPECT_FALSE(check(PadConstantRate{512, Duration(-1)}, kM));
  EXPECT_FALSE(check(PadConstantRate{0, 1s}, kM));
  EXPECT_TRUE(check(PadConstantRate{65536, 1s}, kM));
  EXPECT_FALSE(check(PadConstantRate{65537, 1s}, kM));
}

TEST(Padding, reads_the_words_of_the_command_line) {
  EXPECT_EQ(parse_padding("none"), Padding(PadNone{}));
  EXPECT_EQ(parse_padding("padme"), Padding(PadPadme{}));
  EXPECT_EQ(parse_padding("256"), Padding(PadToMultiple{256}));
  EXPECT_EQ(parse_padding("16777216"), Padding(PadToMultiple{16777216}));
  for (const char* bad :
       {"", "0", "1", "3", "-256", "+256", " 256", "256 ", "0x100", "None", "pad", "33554432",
        "4294967296", "18446744073709551872", "256,512", "rate=256"}) {
    ASSERT_FALSE(parse_padding(bad)) << bad;
    EXPECT_EQ(parse_padding(bad).error(), Error{Errc::usage}) << bad;
  }
}

}  // namespace
}  // namespace sealine::stcp
