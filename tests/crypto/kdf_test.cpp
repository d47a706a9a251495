#include "sealine/crypto/kdf.hpp"

#include "sealine/base/secret.hpp"
#include "support/engines.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace sealine::crypto {
namespace {

using test::Bytes;
using test::from_hex;
using test::to_hex;

class KdfTest : public test::EngineTest {};

SEALINE_FOR_EACH_ENGINE(KdfTest);

struct HkdfCase {
  Bytes ikm, salt, info;
  std::string_view prk, okm;
};

// RFC 5869, appendix A.1 to A.3.
TEST_P(KdfTest, extracts_and_expands_the_samples_of_rfc_5869) {
  const std::vector<HkdfCase> cases{
      {Bytes(22, 0x0B), test::counting(13), test::counting(10, 0xF0),
       "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
       "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
      {test::counting(80), test::counting(80, 0x60), test::counting(80, 0xB0),
       "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
       "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e5"
       "90e09"
       "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
      {Bytes(22, 0x0B),
       {},
       {},
       "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
       "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"}};
  for (const HkdfCase& one : cases) {
    ByteArray<32> prk;
    const ByteView ikm = one.ikm;
    hkdf_extract(engine(), one.salt, Parts(&ikm, 1), prk);
    EXPECT_EQ(to_hex(prk), one.prk);
    Bytes okm(one.okm.size() / 2);
    const ByteView info = one.info;
    hkdf_expand(engine(), prk, Parts(&info, 1), okm);
    EXPECT_EQ(to_hex(okm), one.okm);
  }
}

TEST_P(KdfTest, expands_to_its_limit_and_not_beyond) {
  Bytes most(255 * 32);
  hkdf_expand(engine(), ByteArray<32>{}, {}, most);
  Bytes block(32);
  hkdf_expand(engine(), ByteArray<32>{}, {}, block);
  EXPECT_EQ(to_hex(ByteView(most).first(32)), to_hex(block));
  Bytes more(255 * 32 + 1);
  EXPECT_DEATH(hkdf_expand(engine(), ByteArray<32>{}, {}, more), "broken assertion");
}

// SPEC stcp.md#notation: L(k, label, ctx, n) written out by hand.
TEST_P(KdfTest, labels_are_framed_as_specified) {
  const Bytes key = test::counting(32);
  Bytes got(40);
  labelled(engine(), key, "stcp1 ck", test::counting(3), got);
  const Bytes info = from_hex("0028 08 737463703120636b 03 000102");
  const ByteView view = info;
  Bytes expected(40);
  hkdf_expand(engine(), key, Parts(&view, 1), expected);
  EXPECT_EQ(to_hex(got), to_hex(expected));
}

TEST_P(KdfTest, a_derived_secret_is_the_labelled_expansion) {
  using Derived = Secret<32, struct DerivedTag>;
  const Bytes key = test::counting(32);
  const auto secret = derive<Derived>(engine(), key, "label");
  Bytes expected(32);
  labelled(engine(), key, "label", {}, expected);
  EXPECT_EQ(to_hex(secret.expose()), to_hex(expected));
}

// SPEC stcp.md#ratchet: CK, exp and the exporter of the golden transcripts.
TEST_P(KdfTest, derives_the_schedule_of_the_golden_handshakes) {
  std::size_t count = 0;
  const auto rows = test::load_vectors("stcp.json").at("handshakes");
  for (const auto& handshake : rows) {
    SCOPED_TRACE(handshake.at("pattern").get<std::string>());
    const Bytes h = from_hex(handshake.at("h").get<std::string>());
    const Bytes c2s = from_hex(handshake.at("k_c2s").get<std::string>());
    const Bytes s2c = from_hex(handshake.at("k_s2c").get<std::string>());
    Bytes out(32);
    labelled(engine(), c2s, "stcp1 ck", h, out);
    EXPECT_EQ(to_hex(out), handshake.at("ck_c2s").get<std::string>());
    labelled(engine(), s2c, "stcp1 ck", h, out);
    EXPECT_EQ(to_hex(out), handshake.at("ck_s2c").get<std::string>());
    ByteArray<32> prk;
    const std::array<ByteView, 2> keys{c2s, s2c};
    hkdf_extract(engine(), h, keys, prk);
    labelled(engine(), prk, "stcp1 exp", {}, out);
    EXPECT_EQ(to_hex(out), handshake.at("exp").get<std::string>());
    const auto& exporter = handshake.at("exporter");
    Bytes exported(exporter.at("n").get<std::size_t>());
    labelled(engine(), out, exporter.at("label").get<std::string>(),
             from_hex(exporter.at("ctx").get<std::string>()), exported);
    EXPECT_EQ(to_hex(exported), exporter.at("value").get<std::string>());
    ++count;
  }
  EXPECT_EQ(count, 4U);
  test::report_vectors("sealine", "key_schedule", count);
}

}  // namespace
}  // namespace sealine::crypto
