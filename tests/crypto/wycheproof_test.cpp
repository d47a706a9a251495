// The vectors of Project Wycheproof that this product can express, counted, so that none is lost
// unseen.
#include "sealine/crypto/aes_cbc.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/kdf.hpp"
#include "support/engines.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace sealine::crypto {
namespace {

using nlohmann::json;
using test::Bytes;
using test::from_hex;
using test::to_hex;

class WycheproofTest : public test::EngineTest {};

SEALINE_FOR_EACH_ENGINE(WycheproofTest);

Bytes bytes_of(const json& test, const char* field) {
  return from_hex(test.at(field).get<std::string>());
}

bool is_valid(const json& test) { return test.at("result").get<std::string>() == "valid"; }

template <class Visit>
std::size_t for_each_test(const json& file, Visit visit) {
  std::size_t count = 0;
  for (const json& group : file.at("testGroups")) {
    for (const json& test : group.at("tests")) {
      SCOPED_TRACE("tcId " + test.at("tcId").dump());
      if (visit(group, test)) ++count;
    }
  }
  return count;
}

TEST_P(WycheproofTest, aes_gcm) {
  SEALINE_LOAD_OR_SKIP(file, "wycheproof/aes_gcm_test.json");
  const std::size_t count = for_each_test(file, [this](const json& group, const json& test) {
    if (group.at("keySize") != 256 || group.at("ivSize") != 96 || group.at("tagSize") != 128)
      return false;
    const auto key = test::hex_array<32>(test.at("key").get<std::string>());
    const auto nonce = test::hex_array<12>(test.at("iv").get<std::string>());
    const Bytes aad = bytes_of(test, "aad");
    const Bytes plaintext = bytes_of(test, "msg");
    Bytes expected = bytes_of(test, "ct");
    std::ranges::copy(bytes_of(test, "tag"), std::back_inserter(expected));
    Bytes sealed(plaintext.size() + kTagBytes);
    engine().gcm_seal(key, nonce, aad, plaintext, sealed);
    EXPECT_EQ(sealed == expected, is_valid(test));
    Bytes opened(plaintext.size());
    EXPECT_EQ(engine().gcm_open(key, nonce, aad, expected, opened).has_value(), is_valid(test));
    if (is_valid(test)) {
      EXPECT_EQ(opened, plaintext);
    }
    return true;
  });
  EXPECT_EQ(count, 66U);
  test::report_vectors("wycheproof", "aes_gcm", count);
}

// A message of one block is what cmac_blocks takes.
TEST_P(WycheproofTest, aes_cmac_of_one_block) {
  SEALINE_LOAD_OR_SKIP(file, "wycheproof/aes_cmac_test.json");
  const std::size_t count = for_each_test(file, [this](const json& group, const json& test) {
    Bytes block = bytes_of(test, "msg");
    const Bytes key = bytes_of(test, "key");
    if (key.size() != 32 || block.size() != 16) return false;
    engine().cmac_blocks(FixedView<32>(key), block);
    const std::size_t tag_size = group.at("tagSize").get<std::size_t>() / 8;
    EXPECT_EQ(to_hex(ByteView(block).first(tag_size)) == test.at("tag").get<std::string>(),
              is_valid(test));
    return true;
  });
  EXPECT_EQ(count, 28U);
  test::report_vectors("wycheproof", "aes_cmac_one_block", count);
}

TEST_P(WycheproofTest, x25519) {
  SEALINE_LOAD_OR_SKIP(file, "wycheproof/x25519_test.json");
  std::size_t low_order = 0;
  const std::size_t count = for_each_test(file, [&](const json&, const json& test) {
    ByteArray<32> shared;
    const auto result =
        engine().x25519(test::hex_array<32>(test.at("private").get<std::string>()),
                        test::hex_array<32>(test.at("public").get<std::string>()), shared);
    EXPECT_EQ(to_hex(shared), test.at("shared").get<std::string>());
    const auto& flags = test.at("flags");
    if (std::ranges::find(flags, "LowOrderPublic") != flags.end()) {
      ++low_order;
      EXPECT_EQ(result, fail(Errc::dh_all_zero));
    } else {
      EXPECT_TRUE(result);
    }
    return true;
  });
  EXPECT_EQ(count, 518U);
  EXPECT_EQ(low_order, 31U);
  test::report_vectors("wycheproof", "x25519", count);
  test::report_vectors("wycheproof", "x25519_low_order", low_order);
}

TEST_P(WycheproofTest, hkdf_sha256) {
  SEALINE_LOAD_OR_SKIP(file, "wycheproof/hkdf_sha256_test.json");
  constexpr std::size_t kLimit = 255 * kHashBytes;
  const std::size_t count = for_each_test(file, [this](const json&, const json& test) {
    const auto size = test.at("size").get<std::size_t>();
    // Invalid are only lengths over the limit, which end the program here: no peer chooses them.
    EXPECT_EQ(size <= kLimit, is_valid(test));
    if (size > kLimit) return true;
    const Bytes ikm = bytes_of(test, "ikm");
    const Bytes info = bytes_of(test, "info");
    const ByteView ikm_view = ikm;
    const ByteView info_view = info;
    ByteArray<32> prk;
    Bytes okm(size);
    hkdf_extract(engine(), bytes_of(test, "salt"), Parts(&ikm_view, 1), prk);
    hkdf_expand(engine(), prk, Parts(&info_view, 1), okm);
    EXPECT_EQ(to_hex(okm), test.at("okm").get<std::string>());
    return true;
  });
  EXPECT_EQ(count, 86U);
  test::report_vectors("wycheproof", "hkdf_sha256", count);
}

TEST_P(WycheproofTest, hmac_sha256) {
  SEALINE_LOAD_OR_SKIP(file, "wycheproof/hmac_sha256_test.json");
  std::size_t truncated = 0;
  const std::size_t count = for_each_test(file, [&](const json& group, const json& test) {
    const std::size_t tag_size = group.at("tagSize").get<std::size_t>() / 8;
    if (tag_size < kHashBytes) ++truncated;
    const Bytes message = bytes_of(test, "msg");
    ByteArray<32> tag;
    engine().hmac_sha256(bytes_of(test, "key"), {message}, tag);
    EXPECT_EQ(to_hex(ByteView(tag).first(tag_size)) == test.at("tag").get<std::string>(),
              is_valid(test));
    return true;
  });
  EXPECT_EQ(count, 174U);
  EXPECT_EQ(truncated, 87U);
  test::report_vectors("wycheproof", "hmac_sha256", count);
}

TEST(Wycheproof, aes_cbc_pkcs5) {
  SEALINE_LOAD_OR_SKIP(file, "wycheproof/aes_cbc_pkcs5_test.json");
  const std::size_t count = for_each_test(file, [](const json&, const json& test) {
    const Bytes ciphertext = bytes_of(test, "ct");
    Bytes out(ciphertext.size());
    const auto size =
        aes_cbc_open(bytes_of(test, "key"), test::hex_array<16>(test.at("iv").get<std::string>()),
                     ciphertext, out);
    EXPECT_EQ(size.has_value(), is_valid(test));
    if (size) {
      EXPECT_EQ(to_hex(ByteView(out).first(*size)), test.at("msg").get<std::string>());
    } else {
      EXPECT_EQ(size, fail(Errc::packet_not_authentic));
    }
    return true;
  });
  EXPECT_EQ(count, 216U);
  test::report_vectors("wycheproof", "aes_cbc_pkcs5", count);
}

}  // namespace
}  // namespace sealine::crypto
