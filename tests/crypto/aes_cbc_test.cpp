#include "sealine/crypto/aes_cbc.hpp"

#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sealine::crypto {
namespace {

using test::Bytes;
using test::from_hex;

// One block of padding alone under AES-128: the first case of Wycheproof, so that something runs
// without its files.
constexpr std::string_view kKey = "e34f15c7bd819930fe9d66e0c166e61c";
constexpr std::string_view kIv = "da9520f7d3520277035173299388bee2";
constexpr std::string_view kCiphertext = "b10ab60153276941361000414aed0a9d";

TEST(AesCbc, opens_a_block_of_padding_as_an_empty_message) {
  Bytes out(16);
  EXPECT_EQ(aes_cbc_open(from_hex(kKey), test::hex_array<16>(kIv), from_hex(kCiphertext), out), 0U);
}

// Which defect it was must not show: one error, and nothing of the plaintext is left behind.
TEST(AesCbc, tells_no_defect_from_another) {
  const Bytes good = from_hex(kCiphertext);
  Bytes out(64);
  for (std::size_t size : {0U, 1U, 15U, 17U, 31U}) {
    Bytes cut(size);
    std::copy_n(good.begin(), std::min(size, good.size()), cut.begin());
    EXPECT_EQ(aes_cbc_open(from_hex(kKey), test::hex_array<16>(kIv), cut, out),
              fail(Errc::packet_not_authentic));
  }
  // A flipped bit of the IV flips the same one of the padding.
  for (std::size_t at = 0; at < 16; ++at) {
    auto iv = test::hex_array<16>(kIv);
    iv.at(at) ^= 0x40U;
    std::ranges::fill(out, std::uint8_t{0xEE});
    EXPECT_EQ(aes_cbc_open(from_hex(kKey), iv, good, out), fail(Errc::packet_not_authentic));
    EXPECT_TRUE(
        std::ranges::all_of(ByteView(out).first(16), [](std::uint8_t byte) { return byte == 0; }));
  }
}

TEST(AesCbc, refuses_what_the_caller_does_wrong) {
  const Bytes good = from_hex(kCiphertext);
  Bytes out(16);
  for (std::size_t size : {0U, 15U, 17U, 31U, 33U}) {
    EXPECT_EQ(aes_cbc_open(Bytes(size), ByteArray<16>{}, good, out), fail(Errc::bad_configuration));
  }
  EXPECT_EQ(aes_cbc_open(Bytes(16), ByteArray<16>{}, good, MutableBytes(out).first(15)),
            fail(Errc::out_of_space));
}

}  // namespace
}  // namespace sealine::crypto
