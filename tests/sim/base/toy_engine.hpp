#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/hmac_key.hpp"
#include "tests/sim/base/dice.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace sealine::sim {

/// Stand-ins for all algorithms, with the same shape and none of the strength: a handshake takes
/// microseconds. What depends on inputs depends on all of them, a wrong tag is seen, and both ends
/// of a Diffie-Hellman agree; nobody is kept from anything.
class ToyEngine final : public crypto::Engine {
 public:
  using crypto::Engine::hmac_sha256;
  using crypto::Engine::sha256;

  ToyEngine() = default;

  [[nodiscard]] std::string_view name() const noexcept override { return "toy"; }

  void sha256(crypto::Parts parts, FixedBytes<crypto::kHashBytes> out) override {
    std::uint64_t state = 1;
    for (const ByteView part : parts) state = absorb(state, part);
    squeeze(state, out);
  }

  void hmac_sha256(ByteView key, crypto::Parts parts, FixedBytes<crypto::kHashBytes> out) override {
    std::uint64_t state = mix(absorb(2, key));
    for (const ByteView part : parts) state = absorb(state, part);
    squeeze(state, out);
  }

  void hmac_many(const crypto::HmacKey& key, std::span<const ByteView> messages,
                 std::span<ByteArray<crypto::kHashBytes>> out) override {
    const std::uint64_t keyed = absorb(absorb(6, key.inner()), key.outer());
    for (std::size_t i = 0; i < messages.size(); ++i) squeeze(absorb(keyed, messages[i]), out[i]);
  }

  void x25519_public(FixedView<crypto::kKeyBytes> secret,
                     FixedBytes<crypto::kKeyBytes> out) override {
    for (std::size_t i = 0; i < 4; ++i) store(out, i, exponent(secret, i) * mix(i));
  }

  [[nodiscard]] Result<> x25519(FixedView<crypto::kKeyBytes> secret,
                                FixedView<crypto::kKeyBytes> peer_public,
                                FixedBytes<crypto::kKeyBytes> out) override {
    std::uint64_t any = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint64_t shared = exponent(secret, i) * load(peer_public, i);
      any |= shared;
      store(out, i, shared);
    }
    if (any == 0) return fail(Errc::dh_all_zero);
    return {};
  }

  void aes256_blocks(FixedView<crypto::kKeyBytes> key, MutableBytes blocks) override {
    keyed_blocks(3, key, blocks);
  }

  void cmac_blocks(FixedView<crypto::kKeyBytes> key, MutableBytes blocks) override {
    keyed_blocks(4, key, blocks);
  }

  void gcm_seal(FixedView<crypto::kKeyBytes> key, FixedView<crypto::kNonceBytes> nonce,
                ByteView aad, ByteView head, MutableBytes sealed) override {
    std::ranges::copy(head, sealed.begin());
    const MutableBytes text = sealed.first(sealed.size() - crypto::kTagBytes);
    const std::uint64_t stream = absorb(absorb(5, key), nonce);
    apply(stream, text);
    squeeze(absorb(absorb(mix(stream), aad), text), sealed.last(crypto::kTagBytes));
  }

  [[nodiscard]] Result<> gcm_open(FixedView<crypto::kKeyBytes> key,
                                  FixedView<crypto::kNonceBytes> nonce, ByteView aad,
                                  MutableBytes sealed, MutableBytes head) override {
    const MutableBytes text = sealed.first(sealed.size() - crypto::kTagBytes);
    const std::uint64_t stream = absorb(absorb(5, key), nonce);
    ByteArray<crypto::kTagBytes> tag{};
    squeeze(absorb(absorb(mix(stream), aad), text), tag);
    if (!std::ranges::equal(tag, sealed.last(crypto::kTagBytes))) {
      std::ranges::fill(text, std::uint8_t{0});
      std::ranges::fill(head, std::uint8_t{0});
      return fail(Errc::tag_mismatch);
    }
    apply(stream, text);
    std::ranges::copy(text.first(head.size()), head.begin());
    return {};
  }

  [[nodiscard]] std::unique_ptr<crypto::Aead> make_aead() override;

 private:
  static std::uint64_t absorb(std::uint64_t state, ByteView bytes) {
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
      std::uint64_t word = 0;
      for (std::size_t k = 0; k < 8; ++k) word |= std::uint64_t{bytes[i + k]} << (8U * k);
      state = (state ^ word) * 0x9fb21c651e98df25U;
      state ^= state >> 32U;
    }
    std::uint64_t word = bytes.size();
    for (; i < bytes.size(); ++i) word = (word << 8U) | bytes[i];
    return mix(state ^ word);
  }

  static void squeeze(std::uint64_t state, MutableBytes out) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (i % 8 == 0) state = mix(state);
      out[i] = static_cast<std::uint8_t>(state >> (8U * (i % 8)));
    }
  }

  static void apply(std::uint64_t stream, MutableBytes text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (i % 8 == 0) stream = mix(stream);
      text[i] = static_cast<std::uint8_t>(text[i] ^ (stream >> (8U * (i % 8))));
    }
  }

  static void keyed_blocks(std::uint64_t kind, ByteView key, MutableBytes blocks) {
    const std::uint64_t keyed = absorb(kind, key);
    for (std::size_t at = 0; at < blocks.size(); at += crypto::kBlockBytes) {
      const MutableBytes block = blocks.subspan(at, crypto::kBlockBytes);
      squeeze(absorb(keyed, block), block);
    }
  }

  static std::uint64_t load(ByteView bytes, std::size_t word) {
    std::uint64_t value = 0;
    for (std::size_t k = 0; k < 8; ++k) value = (value << 8U) | bytes[word * 8 + k];
    return value;
  }

  static void store(MutableBytes bytes, std::size_t word, std::uint64_t value) {
    for (std::size_t k = 0; k < 8; ++k) {
      bytes[word * 8 + k] = static_cast<std::uint8_t>(value >> (56U - 8U * k));
    }
  }

  /// Odd, so that it can be undone modulo 2^64; the product of two is the same in either order.
  static std::uint64_t exponent(ByteView secret, std::size_t word) {
    return load(secret, word) | 1U;
  }
};

class ToyAead final : public crypto::Aead {
 public:
  void set_key(FixedView<crypto::kKeyBytes> key) override { std::ranges::copy(key, key_.begin()); }

  void seal(FixedView<crypto::kNonceBytes> nonce, ByteView aad, ByteView head,
            MutableBytes sealed) override {
    engine_.gcm_seal(key_, nonce, aad, head, sealed);
  }

  [[nodiscard]] Result<> open(FixedView<crypto::kNonceBytes> nonce, ByteView aad,
                              MutableBytes sealed, MutableBytes head) override {
    return engine_.gcm_open(key_, nonce, aad, sealed, head);
  }

 private:
  ToyEngine engine_;
  ByteArray<crypto::kKeyBytes> key_{};
};

inline std::unique_ptr<crypto::Aead> ToyEngine::make_aead() { return std::make_unique<ToyAead>(); }

}  // namespace sealine::sim
