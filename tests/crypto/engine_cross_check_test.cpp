// Both engines do the same for any sizes, places, keys and splits: OpenSSL's is the reference.
#include "sealine/crypto/engine.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <string>

namespace sealine::crypto {
namespace {

using test::Bytes;
using test::SeededRng;

class EngineCrossCheck : public ::testing::Test {
 protected:
  void SetUp() override {
    auto fast = make_engine(EngineChoice::ipsec_mb);
    if (!fast) GTEST_SKIP() << "SKIPPED: no libipsec-mb here";
    fast_ = std::move(*fast);
    reference_ = std::move(*make_engine(EngineChoice::openssl));
  }

  std::unique_ptr<Engine> fast_;
  std::unique_ptr<Engine> reference_;
};

std::size_t rounds() {
  const char* scale = std::getenv("SEALINE_TEST_SCALE");
  return scale != nullptr && std::string_view(scale) == "full" ? 200'000 : 10'000;
}

// Sizes at and around the steps of 16-byte blocks and of the 48-block loops, small ones, and now
// and then a large one.
std::size_t any_size(SeededRng& rng) {
  switch (rng.below(8)) {
    case 0:
      return 0;
    case 1:
      return rng.below(17);
    case 2:
      return 16 * rng.below(64);
    case 3:
      return 768 * (1 + rng.below(3)) - 1 + rng.below(3);
    case 4:
      return 256 * (1 + rng.below(5)) - 1 + rng.below(3);
    case 5:
      return rng.below(50) == 0 ? rng.below(70'000) : rng.below(300);
    default:
      return rng.below(2000);
  }
}

std::size_t any_split(SeededRng& rng, std::size_t size) {
  switch (rng.below(6)) {
    case 0:
      return 0;
    case 1:
      return size;
    case 2:
      return std::min<std::size_t>(size, 16 * rng.below(size / 16 + 1));
    case 3:
      return std::min<std::size_t>(size, rng.below(33));
    case 4:
      return size - std::min<std::size_t>(size, rng.below(33));
    default:
      return rng.below(size + 1);
  }
}

// A run of bytes at any place within a larger one, so that every alignment comes up.
struct Placed {
  Bytes memory;
  std::size_t offset;
  std::size_t size;

  Placed(SeededRng& rng, std::size_t size_bytes)
      : memory(size_bytes + 64), offset(rng.below(64)), size(size_bytes) {
    rng.fill(memory);
  }

  MutableBytes view() { return MutableBytes(memory).subspan(offset, size); }

  [[nodiscard]] bool surroundings_equal(const Placed& other) const {
    return std::ranges::equal(ByteView(memory).first(offset),
                              ByteView(other.memory).first(offset)) &&
           std::ranges::equal(ByteView(memory).subspan(offset + size),
                              ByteView(other.memory).subspan(offset + size));
  }
};

TEST_F(EngineCrossCheck, gcm_agrees_on_any_size_split_place_and_key) {
  const char* given = std::getenv("SEALINE_SEED");
  const std::uint64_t first_seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 1;
  const auto aead = fast_->make_aead();
  const auto reference_aead = reference_->make_aead();
  for (std::uint64_t seed = first_seed; seed < first_seed + rounds(); ++seed) {
    SCOPED_TRACE("SEALINE_SEED=" + std::to_string(seed));
    SeededRng rng(seed);
    ByteArray<32> key;
    ByteArray<12> nonce;
    rng.fill(key);
    rng.fill(nonce);
    Placed aad(rng, any_size(rng) % 200);
    const std::size_t size = any_size(rng);
    Bytes plaintext(size);
    rng.fill(plaintext);
    const std::size_t split = any_split(rng, size);

    Placed sealed(rng, size + kTagBytes);
    const auto place_plaintext = [&](Placed& where, std::size_t from) {
      std::ranges::copy(ByteView(plaintext).subspan(from), where.view().subspan(from).begin());
    };
    Placed expected = sealed;
    reference_->gcm_seal(key, nonce, aad.view(), plaintext, expected.view());
    Placed head(rng, split);
    std::ranges::copy(ByteView(plaintext).first(split), head.view().begin());
    place_plaintext(sealed, split);
    const Placed before = sealed;
    fast_->gcm_seal(key, nonce, aad.view(), head.view(), sealed.view());
    ASSERT_TRUE(std::ranges::equal(sealed.view(), expected.view()));
    ASSERT_TRUE(sealed.surroundings_equal(before));

    aead->set_key(key);
    Placed by_aead = before;
    aead->seal(nonce, aad.view(), head.view(), by_aead.view());
    ASSERT_TRUE(std::ranges::equal(by_aead.view(), expected.view()));

    // From two places, neither of them its own.
    Placed body(rng, size - split);
    std::ranges::copy(ByteView(plaintext).subspan(split), body.view().begin());
    for (Aead* const each : {aead.get(), reference_aead.get()}) {
      each->set_key(key);
      Placed gathered(rng, size + kTagBytes);
      const Placed untouched = gathered;
      each->seal_parts(nonce, aad.view(), head.view(), body.view(), gathered.view());
      ASSERT_TRUE(std::ranges::equal(gathered.view(), expected.view()));
      ASSERT_TRUE(gathered.surroundings_equal(untouched));
    }

    // Opened at another place of the split, by both.
    const std::size_t other = any_split(rng, size);
    Placed head_fast(rng, other);
    Placed head_reference(rng, other);
    const Placed head_before = head_fast;
    ASSERT_TRUE(fast_->gcm_open(key, nonce, aad.view(), sealed.view(), head_fast.view()));
    ASSERT_TRUE(
        reference_->gcm_open(key, nonce, aad.view(), expected.view(), head_reference.view()));
    ASSERT_TRUE(std::ranges::equal(head_fast.view(), ByteView(plaintext).first(other)));
    ASSERT_TRUE(std::ranges::equal(head_reference.view(), ByteView(plaintext).first(other)));
    ASSERT_TRUE(std::ranges::equal(sealed.view().subspan(other), expected.view().subspan(other)));
    ASSERT_TRUE(std::ranges::equal(sealed.view().subspan(other, size - other),
                                   ByteView(plaintext).subspan(other)));
    ASSERT_TRUE(sealed.surroundings_equal(before));
    ASSERT_TRUE(head_fast.surroundings_equal(head_before));
  }
}

TEST_F(EngineCrossCheck, block_derivations_agree) {
  SeededRng rng(7);
  for (int round = 0; round < 2000; ++round) {
    ByteArray<32> key;
    rng.fill(key);
    ByteArray<12> input;
    rng.fill(input);
    Bytes blocks(16 * rng.below(9));
    rng.fill(blocks);
    Bytes again = blocks;
    fast_->aes256_blocks(key, blocks);
    reference_->aes256_blocks(key, again);
    ASSERT_EQ(blocks, again);
    fast_->cmac_blocks(key, blocks);
    reference_->cmac_blocks(key, again);
    ASSERT_EQ(blocks, again);
    Bytes keys(16 * rng.below(8));
    Bytes same(keys.size());
    fast_->kbkdf_cmac(key, input, keys);
    reference_->kbkdf_cmac(key, input, same);
    ASSERT_EQ(keys, same);
  }
}

}  // namespace
}  // namespace sealine::crypto
