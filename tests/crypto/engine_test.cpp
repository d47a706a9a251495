#include "sealine/crypto/engine.hpp"

#include "sealine/crypto/xaes.hpp"
#include "support/engines.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"
#include "support/no_alloc.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sealine::crypto {
namespace {

using test::Bytes;
using test::from_hex;
using test::hex_array;
using test::to_hex;

class EngineTest : public test::EngineTest {};

SEALINE_FOR_EACH_ENGINE(EngineTest);

// --- Hashes

TEST_P(EngineTest, hashes_the_samples_of_fips_180) {
  ByteArray<32> hash;
  engine().sha256({as_bytes("abc")}, hash);
  EXPECT_EQ(to_hex(hash), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  engine().sha256({}, hash);
  EXPECT_EQ(to_hex(hash), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  engine().sha256({as_bytes("abcdbcdecdefdefgefghfghighijhijk"),
                   as_bytes("ijkljklmklmnlmnomnopnopq"), ByteView{}},
                  hash);
  EXPECT_EQ(to_hex(hash), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

struct HmacCase {
  std::string_view key;
  std::string_view data;
  std::string_view tag;
};

TEST_P(EngineTest, authenticates_the_samples_of_rfc_4231) {
  const std::string aa(131 * 2, 'a');
  const std::vector<HmacCase> cases{
      {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
       "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
       "ddddddddd",
       "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {"0102030405060708090a0b0c0d0e0f10111213141516171819",
       "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdc"
       "dcdcdcdcd",
       "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
      {"0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c", "546573742057697468205472756e636174696f6e",
       "a3b6167473100ee06e0c796c2955552b"},  // truncated to 128 bits
      {aa,
       "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204"
       "b6579204669727374",
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {aa,
       "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a652"
       "06b657920616e6420"
       "61206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e65656473207"
       "46f206265206861"
       "73686564206265666f7265206265696e6720757365642062792074686520484d414320616c676f726974686d2e",
       "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"}};
  for (const HmacCase& one : cases) {
    ByteArray<32> tag;
    const Bytes data = from_hex(one.data);
    engine().hmac_sha256(from_hex(one.key), {data}, tag);
    EXPECT_EQ(to_hex(tag).substr(0, one.tag.size()), one.tag);
    // However the data is cut.
    engine().hmac_sha256(from_hex(one.key),
                         {ByteView(data).first(3), ByteView{}, ByteView(data).subspan(3)}, tag);
    EXPECT_EQ(to_hex(tag).substr(0, one.tag.size()), one.tag);
  }
}

// --- AES blocks, CMAC and KBKDF

constexpr std::string_view kNistKey =
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";

TEST_P(EngineTest, encrypts_the_blocks_of_sp_800_38a) {
  Bytes blocks = from_hex(
      "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51"
      "30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710");
  engine().aes256_blocks(hex_array<32>(kNistKey), blocks);
  EXPECT_EQ(to_hex(blocks),
            "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870"
            "b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7");
}

// SP 800-38B, AES-256, the message of one block. (The samples of RFC 4493 are of AES-128, which
// nothing here uses.)
TEST_P(EngineTest, authenticates_the_block_of_sp_800_38b) {
  Bytes blocks = from_hex("6bc1bee22e409f96e93d7e117393172a6bc1bee22e409f96e93d7e117393172a");
  engine().cmac_blocks(hex_array<32>(kNistKey), blocks);
  EXPECT_EQ(to_hex(blocks), "28a7023f452e8f82bd4bf28d8c37c35c28a7023f452e8f82bd4bf28d8c37c35c");
}

TEST_P(EngineTest, takes_no_blocks_and_eight) {
  Bytes none;
  engine().aes256_blocks(ByteArray<32>{}, none);
  engine().cmac_blocks(ByteArray<32>{}, none);
  Bytes eight(128);
  engine().aes256_blocks(ByteArray<32>{}, eight);
  EXPECT_EQ(to_hex(ByteView(eight).last(16)), "dc95c078a2408989ad48a21492842087");
}

// The input of one step of the ratchet: 'S' || 00 || BE16(epoch) || BE64(seq)
ByteArray<12> step_input(std::uint16_t epoch, std::uint64_t seq) {
  ByteArray<12> input{'S', 0, static_cast<std::uint8_t>(epoch >> 8U),
                      static_cast<std::uint8_t>(epoch)};
  for (std::size_t i = 0; i < 8; ++i)
    input[4 + i] = static_cast<std::uint8_t>(seq >> (8U * (7 - i)));
  return input;
}

// SPEC stcp.md#ratchet
TEST_P(EngineTest, derives_the_step_of_the_specification) {
  ByteArray<80> out;
  engine().kbkdf_cmac(hex_array<32>(to_hex(test::counting(32))), step_input(0, 1), out);
  EXPECT_EQ(to_hex(out),
            "5f6d3d62233fae1703247204e32401956b9e00ab6901368c103fc16995359737"
            "820930354411d7804a0fd7fad4933e2e99764eb95ff90f76c3c0e2227beee714"
            "8ecdef86e9a6646066ec11a4a04fa662");
}

TEST_P(EngineTest, derives_the_ratchet_of_the_golden_vectors) {
  const auto ratchet = test::load_vectors("stcp.json").at("ratchet");
  std::size_t count = 0;
  const auto check = [&](ByteArray<80>& chain, std::uint16_t epoch, const nlohmann::json& step) {
    // In place: the key is the first part of what comes out.
    engine().kbkdf_cmac(FixedView<80>(chain).first<32>(),
                        step_input(epoch, step.at("seq").get<std::uint64_t>()), chain);
    EXPECT_EQ(to_hex(chain), step.at("ck_next").get<std::string>() +
                                 step.at("rk").get<std::string>() +
                                 step.at("iv").get<std::string>());
    ++count;
  };
  ByteArray<80> chain{};
  std::ranges::copy(from_hex(ratchet.at("ck").get<std::string>()), chain.begin());
  for (const auto& step : ratchet.at("steps"))
    check(chain, ratchet.at("epoch").get<std::uint16_t>(), step);
  const auto& other = ratchet.at("other");
  EXPECT_EQ(to_hex(FixedView<80>(chain).first<32>()), other.at("ck").get<std::string>());
  check(chain, other.at("epoch").get<std::uint16_t>(), other);
  EXPECT_EQ(count, 6U);
  test::report_vectors("sealine", "ratchet", count);
}

// OpenSSL's own KBKDF, with neither separator nor length, as an oracle beside our construction.
Bytes openssl_kbkdf(ByteView key, ByteView input, std::size_t size) {
  const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(
      EVP_KDF_fetch(nullptr, "KBKDF", nullptr), EVP_KDF_free);
  const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(
      EVP_KDF_CTX_new(kdf.get()), EVP_KDF_CTX_free);
  std::string mode = "counter";
  std::string mac = "CMAC";
  std::string cipher = "AES-256-CBC";
  int off = 0;
  Bytes key_copy = test::copy_of(key);
  Bytes input_copy = test::copy_of(input);
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode.data(), 0),
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, mac.data(), 0),
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_CIPHER, cipher.data(), 0),
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_KBKDF_USE_L, &off),
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_KBKDF_USE_SEPARATOR, &off),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key_copy.data(), key_copy.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, input_copy.data(), input_copy.size()),
      OSSL_PARAM_construct_end()};
  Bytes out(size);
  if (EVP_KDF_derive(context.get(), out.data(), out.size(), params) != 1) out.clear();
  return out;
}

TEST_P(EngineTest, derives_what_kbkdf_of_openssl_derives) {
  test::SeededRng rng(800'108);
  for (std::size_t round = 0; round < 200; ++round) {
    ByteArray<32> key;
    ByteArray<12> input;
    rng.fill(key);
    rng.fill(input);
    Bytes out(16 * (1 + round % 7));
    engine().kbkdf_cmac(key, input, out);
    EXPECT_EQ(to_hex(out), to_hex(openssl_kbkdf(key, input, out.size())));
  }
}

// --- AES-256-GCM

struct GcmCase {
  std::string_view key, nonce, plaintext, aad, ciphertext, tag;
};

// The AES-256 samples with a nonce of 96 bits of the specification that became SP 800-38D.
const std::vector<GcmCase>& gcm_cases() {
  static constexpr std::string_view kZeroKey =
      "0000000000000000000000000000000000000000000000000000000000000000";
  static constexpr std::string_view kZeroNonce = "000000000000000000000000";
  static constexpr std::string_view kKey =
      "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
  static constexpr std::string_view kNonce = "cafebabefacedbaddecaf888";
  static constexpr std::string_view kPlaintext =
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
      "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
  static constexpr std::string_view kCiphertext =
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";
  static const std::vector<GcmCase> cases{
      {kZeroKey, kZeroNonce, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
      {kZeroKey, kZeroNonce, "00000000000000000000000000000000", "",
       "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
      {kKey, kNonce, kPlaintext, "", kCiphertext, "b094dac5d93471bdec1a502270e3cc6c"},
      {kKey, kNonce, kPlaintext.substr(0, 120), "feedfacedeadbeeffeedfacedeadbeefabaddad2",
       kCiphertext.substr(0, 120), "76fc6ece0f4e1768cddf8853bb2d551b"}};
  return cases;
}

TEST_P(EngineTest, seals_and_opens_the_samples_of_gcm_at_every_split) {
  const auto aead = engine().make_aead();
  for (const GcmCase& one : gcm_cases()) {
    const auto key = hex_array<32>(one.key);
    const auto nonce = hex_array<12>(one.nonce);
    const Bytes plaintext = from_hex(one.plaintext);
    const Bytes aad = from_hex(one.aad);
    const std::string expected = std::string(one.ciphertext) + std::string(one.tag);
    aead->set_key(key);
    for (std::size_t split = 0; split <= plaintext.size(); ++split) {
      const ByteView head = ByteView(plaintext).first(split);
      Bytes sealed(plaintext.size() + kTagBytes);
      std::ranges::copy(ByteView(plaintext).subspan(split),
                        sealed.begin() + static_cast<std::ptrdiff_t>(split));
      Bytes again = sealed;
      engine().gcm_seal(key, nonce, aad, head, sealed);
      aead->seal(nonce, aad, head, again);
      ASSERT_EQ(to_hex(sealed), expected);
      ASSERT_EQ(to_hex(again), expected);

      Bytes opened(split);
      ASSERT_TRUE(engine().gcm_open(key, nonce, aad, sealed, opened));
      ASSERT_EQ(to_hex(opened) + to_hex(ByteView(sealed).subspan(split, plaintext.size() - split)),
                one.plaintext);
      ASSERT_TRUE(aead->open(nonce, aad, again, opened));
      ASSERT_EQ(to_hex(opened) + to_hex(ByteView(again).subspan(split, plaintext.size() - split)),
                one.plaintext);
    }
  }
}

// What must hold after an open that failed.
void expect_wiped(const Result<>& opened, ByteView head, ByteView rest) {
  ASSERT_FALSE(opened);
  ASSERT_EQ(opened.error(), (Error{Errc::tag_mismatch, 0}));
  const auto is_zero = [](std::uint8_t byte) { return byte == 0; };
  ASSERT_TRUE(std::ranges::all_of(head, is_zero));
  ASSERT_TRUE(std::ranges::all_of(rest, is_zero));
}

TEST_P(EngineTest, refuses_every_flipped_bit_and_leaves_no_plaintext) {
  const auto key = hex_array<32>(kNistKey);
  const ByteArray<12> nonce{1};
  const Bytes aad = test::counting(24);
  const Bytes plaintext = test::counting(40, 1);
  Bytes sealed(plaintext.size() + kTagBytes);
  engine().gcm_seal(key, nonce, aad, plaintext, sealed);
  const auto aead = engine().make_aead();
  aead->set_key(key);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    for (const std::size_t split : {std::size_t{0}, std::size_t{7}, plaintext.size()}) {
      Bytes forged = sealed;
      forged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      Bytes again = forged;
      Bytes head(split, 0xEE);
      const auto opened = engine().gcm_open(key, nonce, aad, forged, head);
      expect_wiped(opened, head, ByteView(forged).subspan(split, plaintext.size() - split));
      std::ranges::fill(head, std::uint8_t{0xEE});
      const auto reopened = aead->open(nonce, aad, again, head);
      expect_wiped(reopened, head, ByteView(again).subspan(split, plaintext.size() - split));
    }
  }
  for (std::size_t bit = 0; bit < aad.size() * 8; ++bit) {
    Bytes other = aad;
    other[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    Bytes copy = sealed;
    expect_wiped(engine().gcm_open(key, nonce, other, copy, {}), {},
                 ByteView(copy).first(plaintext.size()));
  }
}

TEST_P(EngineTest, opens_again_after_a_failure) {
  const auto key = hex_array<32>(kNistKey);
  const ByteArray<12> nonce{1};
  Bytes sealed(5 + kTagBytes);
  engine().gcm_seal(key, nonce, {}, as_bytes("hello"), sealed);
  Bytes forged = sealed;
  forged[0] ^= 1U;
  EXPECT_FALSE(engine().gcm_open(key, nonce, {}, forged, {}));
  EXPECT_TRUE(engine().gcm_open(key, nonce, {}, sealed, {}));
  EXPECT_EQ(as_text(ByteView(sealed).first(5)), "hello");
}

TEST_P(EngineTest, an_aead_starts_with_a_key_of_zeros) {
  const auto aead = engine().make_aead();
  Bytes sealed(kTagBytes);
  aead->seal(ByteArray<12>{}, {}, {}, sealed);
  EXPECT_EQ(to_hex(sealed), "530f8afbc74536b9a963b4f1c4cb738b");
}

TEST_P(EngineTest, aeads_keep_their_keys_apart) {
  const auto one = engine().make_aead();
  const auto two = engine().make_aead();
  one->set_key(ByteArray<32>{1});
  two->set_key(ByteArray<32>{2});
  Bytes by_one(3 + kTagBytes);
  Bytes by_two(3 + kTagBytes);
  one->seal(ByteArray<12>{}, {}, as_bytes("abc"), by_one);
  two->seal(ByteArray<12>{}, {}, as_bytes("abc"), by_two);
  EXPECT_NE(by_one, by_two);
  Bytes copy = by_one;
  EXPECT_FALSE(two->open(ByteArray<12>{}, {}, copy, {}));
  EXPECT_TRUE(one->open(ByteArray<12>{}, {}, by_one, {}));
}

TEST_P(EngineTest, an_aead_outlives_its_engine) {
  auto other = make_engine(GetParam());
  const auto aead = (*other)->make_aead();
  other->reset();
  Bytes sealed(kTagBytes);
  aead->seal(ByteArray<12>{}, {}, {}, sealed);
  EXPECT_TRUE(aead->open(ByteArray<12>{}, {}, sealed, {}));
}

// --- Cost and choice

// Hashes are not among them: OpenSSL 3.0 takes a new state of 112 bytes from malloc for each, and
// offers no other way.
TEST_P(EngineTest, allocates_nothing_for_records) {
  const auto key = hex_array<32>(kNistKey);
  const ByteArray<12> nonce{1};
  const ByteArray<24> long_nonce{1};
  const Bytes plaintext(1000);
  Bytes sealed(1000 + kTagBytes);
  Bytes head(300);
  ByteArray<80> chain{};
  const auto aead = engine().make_aead();
  bool opened = true;
  {
    const test::NoAlloc guard;
    for (int i = 0; i < 3; ++i) {
      engine().aes256_blocks(key, MutableBytes(chain));
      engine().cmac_blocks(key, MutableBytes(chain));
      engine().kbkdf_cmac(FixedView<80>(chain).first<32>(), nonce, chain);
      engine().gcm_seal(key, nonce, plaintext, ByteView(plaintext).first(300), sealed);
      opened &= engine().gcm_open(key, nonce, plaintext, sealed, head).has_value();
      engine().gcm_seal(key, nonce, plaintext, plaintext, sealed);
      opened &= engine().gcm_open(key, nonce, plaintext, sealed, {}).has_value();
      opened &= !engine().gcm_open(key, nonce, plaintext, sealed, {}).has_value();
      aead->set_key(key);
      aead->seal(nonce, {}, plaintext, sealed);
      opened &= aead->open(nonce, {}, sealed, head).has_value();
      xaes_seal(engine(), key, long_nonce, {}, plaintext, sealed);
      opened &= xaes_open(engine(), key, long_nonce, {}, sealed, head).has_value();
    }
  }
  EXPECT_TRUE(opened);
}

TEST(NoAlloc, counts_what_allocates) {
  const std::size_t before = test::allocation_count();
  auto some = std::make_unique<int>(1);
  EXPECT_GT(test::allocation_count(), before);
  EXPECT_EQ(*some, 1);
}

TEST_P(EngineTest, says_what_it_is) {
  const std::string_view name = engine().name();
  if (GetParam() == EngineChoice::openssl) {
    EXPECT_EQ(name, "openssl");
  } else {
    EXPECT_TRUE(name.starts_with("ipsec-mb 1.") && name.ends_with(")")) << name;
  }
}

TEST(EngineChoice, is_read_from_the_words_of_the_command) {
  EXPECT_EQ(parse_engine_choice("auto"), EngineChoice::fastest);
  EXPECT_EQ(parse_engine_choice("ipsec-mb"), EngineChoice::ipsec_mb);
  EXPECT_EQ(parse_engine_choice("openssl"), EngineChoice::openssl);
  for (const std::string_view wrong : {"", "OpenSSL", "fast", "ipsec_mb"}) {
    EXPECT_EQ(parse_engine_choice(wrong).error().code, Errc::bad_configuration);
  }
}

TEST(EngineChoice, fastest_always_finds_one) {
  const auto engine = make_engine();
  ASSERT_TRUE(engine);
  const bool has_fast = make_engine(EngineChoice::ipsec_mb).has_value();
  EXPECT_EQ((*engine)->name() == "openssl", !has_fast);
}

}  // namespace
}  // namespace sealine::crypto
