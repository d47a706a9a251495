#include "sealine/crypto/scrypt.hpp"

#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace sealine::crypto {
namespace {

using test::Bytes;
using test::to_hex;

struct ScryptCase {
  std::string_view passphrase, salt;
  ScryptCost cost;
  std::string_view key;
};

// RFC 7914, section 12. (Its last sample needs 1 GiB, which is over the limit here.)
TEST(Scrypt, derives_the_samples_of_rfc_7914) {
  const ScryptCase cases[] = {{"",
                               "",
                               {16, 1, 1},
                               "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
                               "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"},
                              {"password",
                               "NaCl",
                               {1024, 8, 16},
                               "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
                               "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"},
                              {"pleaseletmein",
                               "SodiumChloride",
                               {16384, 8, 1},
                               "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
                               "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"}};
  for (const ScryptCase& one : cases) {
    Bytes key(64);
    ASSERT_TRUE(scrypt_with(one.cost, as_bytes(one.passphrase), as_bytes(one.salt), key));
    EXPECT_EQ(to_hex(key), one.key);
  }
}

// The expected value is of another implementation: Python's hashlib.scrypt with n=2**17, r=8, p=1.
TEST(Scrypt, costs_what_the_specification_says) {
  Bytes key(32);
  ASSERT_TRUE(scrypt(as_bytes("correct horse battery staple"), as_bytes("sealine"), key));
  EXPECT_EQ(to_hex(key), "a28a4f3dae8c0cf0e2d4dd67f535fa2cbc91398e2cfe2cc93239cadb5f6ba8b6");
}

TEST(Scrypt, says_when_the_memory_is_not_to_be_had) {
  Bytes key(32);
  const auto result =
      scrypt_with({std::uint64_t{1} << 20U, 8, 1}, as_bytes("p"), as_bytes("s"), key);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::system_error);
}

}  // namespace
}  // namespace sealine::crypto
