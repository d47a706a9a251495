#include "sealine/base/base32.hpp"

#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <utility>

namespace sealine {
namespace {

using test::Bytes;

// RFC 4648, section 10, in lower case and without padding.
TEST(Base32, writes_and_reads_the_samples_of_rfc_4648) {
  const std::pair<std::string_view, std::string_view> cases[] = {{"", ""},
                                                                 {"f", "my"},
                                                                 {"fo", "mzxq"},
                                                                 {"foo", "mzxw6"},
                                                                 {"foob", "mzxw6yq"},
                                                                 {"fooba", "mzxw6ytb"},
                                                                 {"foobar", "mzxw6ytboi"}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(base32_encode(as_bytes(bytes)), text);
    Bytes out(bytes.size());
    ASSERT_TRUE(base32_decode(text, out));
    EXPECT_EQ(as_text(out), bytes);
  }
}

TEST(Base32, round_trips_at_every_length) {
  test::SeededRng rng(32);
  for (std::size_t size = 0; size < 200; ++size) {
    Bytes bytes(size);
    rng.fill(bytes);
    std::string text = base32_encode(bytes);
    Bytes into(text.size());
    base32_encode(bytes, into);
    EXPECT_EQ(as_text(into), text);
    for (char& c : text) {
      if (rng.below(2) == 0) c = static_cast<char>(std::toupper(c));
    }
    Bytes out(size);
    ASSERT_TRUE(base32_decode(text, out));
    EXPECT_EQ(out, bytes);
  }
}

TEST(Base32, refuses_every_letter_outside_of_the_alphabet) {
  const std::string alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  for (int c = 0; c < 256; ++c) {
    std::string text = "aaaaaaaa";
    text[3] = static_cast<char>(c);
    Bytes out(5);
    EXPECT_EQ(base32_decode(text, out).has_value(),
              alphabet.find(static_cast<char>(c)) != std::string::npos)
        << c;
  }
}

TEST(Base32, refuses_other_lengths_and_spare_bits) {
  Bytes out(5);
  EXPECT_FALSE(base32_decode("aaaaaaa", out));
  EXPECT_FALSE(base32_decode("aaaaaaaaa", out));
  EXPECT_FALSE(base32_decode("", out));
  Bytes one(1);
  EXPECT_TRUE(base32_decode("74", one));
  EXPECT_EQ(base32_decode("75", one), fail(Errc::bad_key_text));  // 2 spare bits, not zero
  EXPECT_EQ(base32_decode("77", one), fail(Errc::bad_key_text));
}

}  // namespace
}  // namespace sealine
