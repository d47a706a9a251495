#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/hmac_key.hpp"
#include "support/engines.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"
#include "support/no_alloc.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sealine::crypto {
namespace {

using test::Bytes;
using test::from_hex;
using test::SeededRng;
using test::to_hex;
using Hashes = std::vector<ByteArray<kHashBytes>>;

class HashMany : public test::EngineTest {
 protected:
  [[nodiscard]] Hashes sha256(std::span<const ByteView> messages) const {
    Hashes out(messages.size());
    engine().sha256_many(messages, out);
    return out;
  }

  [[nodiscard]] Hashes hmac(const HmacKey& key, std::span<const ByteView> messages) const {
    Hashes out(messages.size());
    engine().hmac_many(key, messages, out);
    return out;
  }

  // One by one, through EVP: another way to the same.
  [[nodiscard]] Hashes sha256_by_evp(std::span<const ByteView> messages) const {
    Hashes out(messages.size());
    for (std::size_t i = 0; i < out.size(); ++i) engine().sha256({messages[i]}, out[i]);
    return out;
  }

  [[nodiscard]] Hashes hmac_by_evp(ByteView key, std::span<const ByteView> messages) const {
    Hashes out(messages.size());
    for (std::size_t i = 0; i < out.size(); ++i) engine().hmac_sha256(key, {messages[i]}, out[i]);
    return out;
  }
};

SEALINE_FOR_EACH_ENGINE(HashMany);

// Numbers of messages around the lanes of any machine and the library's queue of 256.
constexpr std::size_t kCounts[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 255, 256, 257, 600};

TEST_P(HashMany, hashes_the_samples_of_fips_180_in_any_number) {
  const ByteView samples[] = {as_bytes("abc"), ByteView{},
                              as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")};
  const std::string_view expected[] = {
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"};
  for (const std::size_t count : kCounts) {
    std::vector<ByteView> messages;
    for (std::size_t i = 0; i < count; ++i) messages.push_back(samples[i % 3]);
    const Hashes hashes = sha256(messages);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(to_hex(hashes[i]), expected[i % 3]);
  }
}

// A million times "a": FIPS 180's long sample, in all lanes at once.
TEST_P(HashMany, hashes_the_long_sample_of_fips_180) {
  const Bytes a(1'000'000, std::uint8_t{'a'});
  const std::vector<ByteView> messages(17, ByteView(a));
  for (const auto& hash : sha256(messages)) {
    ASSERT_EQ(to_hex(hash), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  }
}

struct HmacCase {
  Bytes key;
  Bytes data;
  std::string_view tag;
};

TEST_P(HashMany, authenticates_the_samples_of_rfc_4231_in_any_number) {
  const HmacCase cases[] = {
      {Bytes(20, 0x0b), from_hex("4869205468657265"),
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {from_hex("4a656665"), from_hex("7768617420646f2079612077616e7420666f72206e6f7468696e673f"),
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {Bytes(20, 0xaa), Bytes(50, 0xdd),
       "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {Bytes(131, 0xaa),  // longer than a block
       from_hex("54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d20"
                "48617368204b6579204669727374"),
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"}};
  for (const HmacCase& one : cases) {
    const HmacKey key(one.key);
    for (const std::size_t count : kCounts) {
      const std::vector<ByteView> messages(count, ByteView(one.data));
      for (const auto& tag : hmac(key, messages)) ASSERT_EQ(to_hex(tag), one.tag);
    }
  }
}

TEST_P(HashMany, takes_keys_of_any_length) {
  const ByteView message = as_bytes("message");
  for (std::size_t size = 0; size <= 200; ++size) {
    const Bytes key(size, 0x5a);
    ASSERT_EQ(hmac(HmacKey(key), std::span(&message, 1)), hmac_by_evp(key, std::span(&message, 1)));
  }
  EXPECT_EQ(hmac(HmacKey(), std::span(&message, 1)), hmac_by_evp({}, std::span(&message, 1)));
}

// Lengths that the lanes have to be kept busy with: equal ones, mixed ones, one that is far longer
// than the rest, and every length around the end of a block.
Bytes::size_type any_length(SeededRng& rng, std::size_t kind) {
  switch (kind) {
    case 0:
      return 95;
    case 1:
      return rng.below(200);
    case 2:
      return rng.below(20) == 0 ? 20'000 + rng.below(50'000) : rng.below(100);
    case 3:
      return 64 * rng.below(5) + rng.below(3);
    case 4:
      return 55 + rng.below(10);
    default:
      return rng.below(3000);
  }
}

TEST_P(HashMany, agrees_with_one_by_one_for_any_number_length_and_place) {
  const char* scale = std::getenv("SEALINE_TEST_SCALE");
  const bool full = scale != nullptr && std::string_view(scale) == "full";
  Bytes memory(1 << 18);
  SeededRng(1).fill(memory);
  for (std::uint64_t seed = 1; seed <= (full ? 20'000 : 600); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng rng(seed);
    const std::size_t kind = rng.below(6);
    std::vector<ByteView> messages(rng.below(rng.below(10) == 0 ? 300 : 40));
    for (ByteView& message : messages) {
      const std::size_t length = any_length(rng, kind);
      message = ByteView(memory).subspan(rng.below(memory.size() - length), length);
    }
    ByteArray<32> key;
    rng.fill(key);
    ASSERT_EQ(sha256(messages), sha256_by_evp(messages));
    ASSERT_EQ(hmac(HmacKey(key), messages), hmac_by_evp(key, messages));
  }
}

// The blocks of a file and the parts of a message, up to what goes through the lanes and beyond.
TEST_P(HashMany, agrees_on_long_messages) {
  const Bytes memory(std::size_t{5} << 20U, 0x3c);
  const ByteArray<32> key{7};
  for (const std::size_t length :
       {std::size_t{65'613}, std::size_t{1} << 18U, std::size_t{2} << 20U,
        (std::size_t{2} << 20U) + 1, (std::size_t{4} << 20U) + 63}) {
    std::vector<ByteView> messages;
    for (std::size_t i = 0; i < 17; ++i)
      messages.push_back(ByteView(memory).subspan(i, length - i % 3));
    ASSERT_EQ(sha256(messages), sha256_by_evp(messages));
    ASSERT_EQ(hmac(HmacKey(key), messages), hmac_by_evp(key, messages));
  }
}

TEST_P(HashMany, writes_nothing_beside_its_results) {
  const Bytes data(1000, 1);
  const std::vector<ByteView> messages(20, ByteView(data));
  Hashes out(22);
  engine().sha256_many(messages, std::span(out).subspan(1, 20));
  EXPECT_EQ(out.front(), (ByteArray<32>{}));
  EXPECT_EQ(out.back(), (ByteArray<32>{}));
  EXPECT_NE(out[1], out[0]);
  EXPECT_EQ(out[1], out[20]);
}

TEST_P(HashMany, leaves_the_other_algorithms_their_results) {
  const Bytes data(500, 9);
  const std::vector<ByteView> messages(16, ByteView(data));
  ByteArray<80> before{1};
  ByteArray<80> after{1};
  engine().kbkdf_cmac(FixedView<80>(before).first<32>(), ByteArray<12>{}, before);
  const Hashes hashes = hmac(HmacKey(data), messages);
  engine().kbkdf_cmac(FixedView<80>(after).first<32>(), ByteArray<12>{}, after);
  EXPECT_EQ(before, after);
  EXPECT_EQ(hmac(HmacKey(data), messages), hashes);
}

TEST_P(HashMany, allocates_nothing_after_the_first_call) {
  const Bytes data(1000, 1);
  const HmacKey key(ByteView(data).first(32));
  const std::vector<ByteView> messages(40, ByteView(data));
  Hashes out(40);
  engine().hmac_many(key, std::span(messages).first(2), std::span(out).first(2));
  {
    const test::NoAlloc guard;
    for (const std::size_t count : {1U, 2U, 5U, 16U, 40U}) {
      engine().hmac_many(key, std::span(messages).first(count), std::span(out).first(count));
      engine().sha256_many(std::span(messages).first(count), std::span(out).first(count));
    }
  }
  EXPECT_EQ(out[0], out[39]);
}

TEST(HmacKey, leaves_nothing_where_it_moved_from) {
  HmacKey key(as_bytes("secret"));
  const ByteView place = key.inner();
  const ByteView outer_place = key.outer();
  const auto is_zero = [](ByteView bytes) {
    return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
  };
  ASSERT_FALSE(is_zero(place) || is_zero(outer_place));
  const HmacKey other(std::move(key));
  EXPECT_TRUE(is_zero(place) && is_zero(outer_place));
  EXPECT_FALSE(is_zero(other.inner()));
}

}  // namespace
}  // namespace sealine::crypto
