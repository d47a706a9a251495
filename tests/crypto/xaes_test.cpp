#include "sealine/crypto/xaes.hpp"

#include "support/engines.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <string>

namespace sealine::crypto {
namespace {

using test::Bytes;
using test::from_hex;
using test::to_hex;

class XaesTest : public test::EngineTest {};

SEALINE_FOR_EACH_ENGINE(XaesTest);

ByteArray<24> sample_nonce() {
  ByteArray<24> nonce;
  std::ranges::copy(as_bytes("ABCDEFGHIJKLMNOPQRSTUVWX"), nonce.begin());
  return nonce;
}

// The two vectors of the C2SP specification: the top bit of L is 0 in one and 1 in the other.
TEST_P(XaesTest, seals_and_opens_the_published_vectors) {
  const auto check = [this](std::uint8_t key_byte, std::string_view aad,
                            std::string_view expected) {
    ByteArray<32> key;
    key.fill(key_byte);
    Bytes sealed(12 + kTagBytes);
    xaes_seal(engine(), key, sample_nonce(), as_bytes(aad), as_bytes("XAES-256-GCM"), sealed);
    EXPECT_EQ(to_hex(sealed), expected);
    Bytes head(5);
    ASSERT_TRUE(xaes_open(engine(), key, sample_nonce(), as_bytes(aad), sealed, head));
    EXPECT_EQ(as_text(head), "XAES-");
    EXPECT_EQ(as_text(ByteView(sealed).subspan(5, 7)), "256-GCM");
  };
  check(0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
  check(0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
}

class Shake128 {
 public:
  Shake128() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_shake128(), nullptr);
  }

  void update(ByteView bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }

  Bytes finish(std::size_t size) {
    Bytes out(size);
    EVP_DigestFinalXOF(context_.get(), out.data(), out.size());
    return out;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

// The accumulated test of the specification: messages drawn from one SHAKE-128, hashed by another.
TEST_P(XaesTest, accumulates_the_hash_of_ten_thousand_messages) {
  constexpr std::size_t kMessages = 10'000;
  const Bytes stream = Shake128().finish(kMessages * (32 + 24 + 2 * 256));
  ASSERT_EQ(to_hex(ByteView(stream).first(16)), "7f9c2ba4e88f827d616045507605853e");
  std::size_t used = 0;
  const auto take = [&](std::size_t size) {
    used += size;
    return ByteView(stream).subspan(used - size, size);
  };
  Shake128 hash;
  for (std::size_t i = 0; i < kMessages; ++i) {
    const auto key = take(32).first<32>();
    const auto nonce = take(24).first<24>();
    const ByteView plaintext = take(take(1)[0]);
    const ByteView aad = take(take(1)[0]);
    Bytes sealed(plaintext.size() + kTagBytes);
    xaes_seal(engine(), key, nonce, aad, plaintext, sealed);
    hash.update(sealed);
    Bytes opened(plaintext.size());
    ASSERT_TRUE(xaes_open(engine(), key, nonce, aad, sealed, opened));
    ASSERT_TRUE(std::ranges::equal(opened, plaintext));
  }
  EXPECT_EQ(to_hex(hash.finish(32)),
            "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
}

TEST_P(XaesTest, seals_nothing_as_the_golden_frames_do) {
  std::size_t count = 0;
  const auto rows = test::load_vectors("stx.json").at("xaes");
  for (const auto& row : rows) {
    const auto text = [&row](const char* field) { return row.at(field).get<std::string>(); };
    Bytes sealed(kTagBytes);
    xaes_seal(engine(), test::hex_array<32>(text("key")), test::hex_array<24>(text("n24")),
              from_hex(text("aad")), {}, sealed);
    EXPECT_EQ(to_hex(sealed), text("sealed_empty"));
    ++count;
  }
  EXPECT_GT(count, 0U);
  test::report_vectors("sealine", "xaes", count);
}

TEST_P(XaesTest, refuses_another_nonce_in_either_half) {
  Bytes sealed(3 + kTagBytes);
  xaes_seal(engine(), ByteArray<32>{}, sample_nonce(), {}, as_bytes("abc"), sealed);
  for (const std::size_t at : {0U, 11U, 12U, 23U}) {
    auto other = sample_nonce();
    other.at(at) ^= 1U;
    Bytes copy = sealed;
    EXPECT_EQ(xaes_open(engine(), ByteArray<32>{}, other, {}, copy, {}).error().code,
              Errc::tag_mismatch);
  }
}

}  // namespace
}  // namespace sealine::crypto
