#include "sealine/crypto/key_text.hpp"

#include "support/engines.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>

namespace sealine::crypto {
namespace {

using test::hex_array;
using test::to_hex;

class KeyTextTest : public test::EngineTest {
 protected:
  // Whichever reader takes texts of this prefix.
  Result<std::string> parse(std::string_view prefix, std::string_view text) const {
    if (prefix == "slp1") {
      SEALINE_TRY(key, parse_public_key(engine(), text));
      return to_hex(key.view());
    }
    if (prefix == "slk1") {
      SEALINE_TRY(key, parse_private_key(engine(), text));
      return to_hex(key.expose());
    }
    SEALINE_TRY(key, parse_psk(engine(), text));
    return to_hex(key.expose());
  }

  std::string write(std::string_view prefix, FixedView<32> value) const {
    if (prefix == "slp1") {
      PublicKey key;
      std::ranges::copy(value, key.bytes.begin());
      return public_key_text(engine(), key);
    }
    const auto text = prefix == "slk1" ? private_key_text(engine(), PrivateKey(value))
                                       : psk_text(engine(), Psk(value));
    return std::string(as_text(text.expose()));
  }
};

SEALINE_FOR_EACH_ENGINE(KeyTextTest);

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

// SPEC stcp.md#key-texts
TEST_P(KeyTextTest, reads_and_writes_every_golden_text) {
  const auto texts = test::load_vectors("stcp.json").at("key_texts");
  std::size_t count = 0;
  for (const auto& row : texts.at("valid")) {
    const auto prefix = row.at("prefix").get<std::string>();
    const auto value = row.at("value").get<std::string>();
    const auto text = row.at("text").get<std::string>();
    SCOPED_TRACE(text);
    EXPECT_EQ(write(prefix, hex_array<32>(value)), text);
    EXPECT_EQ(parse(prefix, text), value);
    EXPECT_EQ(parse(prefix, upper(text)), value);
    for (const std::string_view other : {"slk1", "slp1", "sls1"}) {
      if (other != prefix) {
        EXPECT_FALSE(parse(other, text));
      }
    }
    ++count;
  }
  EXPECT_EQ(count, 12U);
  std::size_t refused = 0;
  for (const auto& row : texts.at("invalid")) {
    const auto text = row.at("text").get<std::string>();
    SCOPED_TRACE(row.at("why").get<std::string>());
    EXPECT_EQ(parse(text.substr(0, 4), text), fail(Errc::bad_key_text));
    ++refused;
  }
  EXPECT_EQ(refused, 6U);
  const auto& pair = texts.at("pair");
  auto secret = parse_private_key(engine(), pair.at("secret").get<std::string>());
  ASSERT_TRUE(secret);
  const auto keys = KeyPair::from_secret(engine(), std::move(*secret));
  EXPECT_EQ(public_key_text(engine(), keys.public_key), pair.at("public").get<std::string>());
  EXPECT_EQ(fingerprint(engine(), keys.public_key), pair.at("fingerprint").get<std::string>());
  test::report_vectors("sealine", "key_texts", count + refused + 1);
}

TEST_P(KeyTextTest, refuses_any_other_letter_at_any_place) {
  const std::string good = write("slk1", hex_array<32>(to_hex(test::counting(32, 77))));
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int c = 0; c < 256; ++c) {
      std::string text = good;
      text[at] = static_cast<char>(c);
      const bool same = std::tolower(c) == good[at];
      ASSERT_EQ(parse("slk1", text).has_value(), same) << at << " " << c;
    }
  }
}

TEST_P(KeyTextTest, refuses_other_lengths) {
  const std::string good = write("sls1", hex_array<32>(to_hex(test::counting(32, 77))));
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(parse("sls1", good.substr(0, size)));
  EXPECT_FALSE(parse("sls1", good + "a"));
  EXPECT_FALSE(parse("sls1", good + "aaaa"));  // 64 characters, but not hex
  EXPECT_FALSE(parse("sls1", " " + good.substr(0, 59)));
}

TEST_P(KeyTextTest, takes_a_psk_as_64_hex_digits) {
  const std::string hex = to_hex(test::counting(32, 0xF0));
  EXPECT_EQ(parse("sls1", hex), hex);
  EXPECT_EQ(parse("sls1", upper(hex)), hex);
  for (std::size_t at = 0; at < hex.size(); ++at) {
    for (int c = 0; c < 256; ++c) {
      std::string text = hex;
      text[at] = static_cast<char>(c);
      ASSERT_EQ(parse("sls1", text).has_value(), std::isxdigit(c) != 0) << at << " " << c;
    }
  }
  EXPECT_FALSE(parse("sls1", hex.substr(1)));
  EXPECT_FALSE(parse("slk1", hex));
  EXPECT_FALSE(parse("slp1", hex));
}

TEST_P(KeyTextTest, fingerprints_are_four_groups_of_four) {
  const std::string text = fingerprint(engine(), PublicKey{});
  ASSERT_EQ(text.size(), 19U);
  for (std::size_t i = 0; i < text.size(); ++i) EXPECT_EQ(text[i] == '-', i % 5 == 4);
}

}  // namespace
}  // namespace sealine::crypto
