#include "sealine/crypto/x25519.hpp"

#include "support/engines.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

namespace sealine::crypto {
namespace {

using test::hex_array;
using test::to_hex;

class X25519Test : public test::EngineTest {};

SEALINE_FOR_EACH_ENGINE(X25519Test);

struct Multiplication {
  std::string_view scalar, u, result;
};

// RFC 7748, section 5.2.
TEST_P(X25519Test, multiplies_the_samples_of_rfc_7748) {
  const Multiplication cases[] = {
      {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
       "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
       "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
      {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
       "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
       "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"}};
  for (const Multiplication& one : cases) {
    ByteArray<32> out;
    ASSERT_TRUE(engine().x25519(hex_array<32>(one.scalar), hex_array<32>(one.u), out));
    EXPECT_EQ(to_hex(out), one.result);
  }
}

TEST_P(X25519Test, iterates_as_rfc_7748_does) {
  ByteArray<32> k{9};
  ByteArray<32> u{9};
  for (int i = 1; i <= 1000; ++i) {
    ByteArray<32> next;
    ASSERT_TRUE(engine().x25519(k, u, next));
    u = k;
    k = next;
    if (i == 1) {
      ASSERT_EQ(to_hex(k), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
  }
  EXPECT_EQ(to_hex(k), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

// RFC 7748, section 6.1.
TEST_P(X25519Test, agrees_as_alice_and_bob_do) {
  const auto alice = KeyPair::from_secret(
      engine(), PrivateKey(hex_array<32>(
                    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")));
  const auto bob = KeyPair::from_secret(
      engine(), PrivateKey(hex_array<32>(
                    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")));
  EXPECT_EQ(to_hex(alice.public_key.view()),
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(to_hex(bob.public_key.view()),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  SharedSecret one;
  SharedSecret two;
  ASSERT_TRUE(engine().x25519(alice.secret.expose(), bob.public_key.view(), one.writable()));
  ASSERT_TRUE(engine().x25519(bob.secret.expose(), alice.public_key.view(), two.writable()));
  EXPECT_EQ(to_hex(one.expose()),
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_EQ(to_hex(two.expose()), to_hex(one.expose()));
}

// The points of small order and their non-canonical forms, each with the top bit clear and set.
TEST_P(X25519Test, refuses_every_point_of_small_order) {
  const std::string_view points[] = {
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
      "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};
  for (const std::string_view point : points) {
    for (const std::uint8_t top : {std::uint8_t{0x00}, std::uint8_t{0x80}}) {
      auto u = hex_array<32>(point);
      u[31] |= top;
      ByteArray<32> out;
      out.fill(0xEE);
      const auto result = engine().x25519(hex_array<32>(to_hex(test::counting(32))), u, out);
      ASSERT_FALSE(result) << point;
      EXPECT_EQ(result.error(), (Error{Errc::dh_all_zero, 0}));
      EXPECT_TRUE(std::ranges::all_of(out, [](std::uint8_t byte) { return byte == 0; }));
    }
  }
}

TEST_P(X25519Test, generates_from_the_randomness_it_is_given) {
  test::FixedRng rng(test::counting(32));
  const auto made = KeyPair::generate(engine(), rng);
  EXPECT_EQ(to_hex(made.secret.expose()), to_hex(test::counting(32)));
  EXPECT_EQ(rng.remaining(), 0U);
  const auto copy = made.clone();
  EXPECT_EQ(copy.public_key, made.public_key);
  EXPECT_EQ(to_hex(copy.secret.expose()), to_hex(made.secret.expose()));
}

// A public key is the product with the base point, by whichever way the library makes it.
TEST_P(X25519Test, public_keys_are_multiples_of_nine) {
  test::SeededRng rng(25519);
  for (int i = 0; i < 50; ++i) {
    const auto pair = KeyPair::generate(engine(), rng);
    ByteArray<32> product;
    ASSERT_TRUE(engine().x25519(pair.secret.expose(), ByteArray<32>{9}, product));
    EXPECT_EQ(to_hex(product), to_hex(pair.public_key.view()));
  }
}

}  // namespace
}  // namespace sealine::crypto
