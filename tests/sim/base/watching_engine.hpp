#pragma once

#include "sealine/crypto/engine.hpp"
#include "tests/sim/base/dice.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace sealine::sim {

/// Remembers under which key and nonce something was sealed, and whether that ever happened twice.
/// Knows pairs by 64 bits of them, in a table that grows between the calls of a machine.
class KeyBook {
 public:
  KeyBook() : table_(1U << 12U) {}

  void note(ByteView key, ByteView nonce) {
    std::uint64_t print = 1;
    for (const ByteView part : {key, nonce}) {
      for (std::size_t i = 0; i < part.size(); i += 4) {
        std::uint64_t word = 0;
        for (const std::uint8_t byte : part.subspan(i, std::min<std::size_t>(4, part.size() - i))) {
          word = (word << 8U) | byte;
        }
        print = std::rotl(print, 27) * 0x9fb21c651e98df25U ^ word;
      }
    }
    print = mix(print) | 1U;  // 0 is an empty place
    std::size_t at = print & (table_.size() - 1);
    while (table_[at] != 0) {
      if (table_[at] == print) {
        repeated_ = true;
        return;
      }
      at = (at + 1) & (table_.size() - 1);
    }
    table_[at] = print;
    ++count_;
  }

  /// Makes room; called where the machines do not look whether anybody allocates.
  void tidy() {
    if (count_ * 2 < table_.size()) return;
    std::vector<std::uint64_t> larger(table_.size() * 4);
    for (const std::uint64_t print : table_) {
      if (print == 0) continue;
      std::size_t at = print & (larger.size() - 1);
      while (larger[at] != 0) at = (at + 1) & (larger.size() - 1);
      larger[at] = print;
    }
    table_ = std::move(larger);
  }

  void clear() {
    table_.assign(1U << 12U, 0);
    count_ = 0;
    repeated_ = false;
  }

  [[nodiscard]] bool repeated() const { return repeated_; }

  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  std::vector<std::uint64_t> table_;
  std::size_t count_ = 0;
  bool repeated_ = false;
};

/// An engine that writes down what it seals with and what it is asked for, and leaves the work to
/// another. Where `one_time_aad` bytes are authenticated, the key counts without its nonce: it is a
/// key of one message (STCP: 24, a record's head).
class WatchingEngine final : public crypto::Engine {
 public:
  using crypto::Engine::hmac_sha256;
  using crypto::Engine::sha256;

  static constexpr std::size_t kNone = ~std::size_t{0};

  WatchingEngine(crypto::Engine& inner, KeyBook& book, std::size_t one_time_aad = kNone)
      : inner_(inner), book_(book), one_time_aad_(one_time_aad) {}

  [[nodiscard]] std::string_view name() const noexcept override { return inner_.name(); }

  void sha256(crypto::Parts parts, FixedBytes<crypto::kHashBytes> out) override {
    inner_.sha256(parts, out);
  }

  void hmac_sha256(ByteView key, crypto::Parts parts, FixedBytes<crypto::kHashBytes> out) override {
    ++fresh_key_calls_;
    inner_.hmac_sha256(key, parts, out);
  }

  void sha256_many(std::span<const ByteView> messages,
                   std::span<ByteArray<crypto::kHashBytes>> out) override {
    inner_.sha256_many(messages, out);
  }

  void hmac_many(const crypto::HmacKey& key, std::span<const ByteView> messages,
                 std::span<ByteArray<crypto::kHashBytes>> out) override {
    inner_.hmac_many(key, messages, out);
  }

  void x25519_public(FixedView<crypto::kKeyBytes> secret,
                     FixedBytes<crypto::kKeyBytes> out) override {
    ++fresh_key_calls_;
    inner_.x25519_public(secret, out);
  }

  [[nodiscard]] Result<> x25519(FixedView<crypto::kKeyBytes> secret,
                                FixedView<crypto::kKeyBytes> peer_public,
                                FixedBytes<crypto::kKeyBytes> out) override {
    ++fresh_key_calls_;
    return inner_.x25519(secret, peer_public, out);
  }

  void aes256_blocks(FixedView<crypto::kKeyBytes> key, MutableBytes blocks) override {
    inner_.aes256_blocks(key, blocks);
  }

  void cmac_blocks(FixedView<crypto::kKeyBytes> key, MutableBytes blocks) override {
    inner_.cmac_blocks(key, blocks);
  }

  void gcm_seal(FixedView<crypto::kKeyBytes> key, FixedView<crypto::kNonceBytes> nonce,
                ByteView aad, ByteView head, MutableBytes sealed) override {
    book_.note(key, aad.size() == one_time_aad_ ? ByteView() : ByteView(nonce));
    inner_.gcm_seal(key, nonce, aad, head, sealed);
  }

  [[nodiscard]] Result<> gcm_open(FixedView<crypto::kKeyBytes> key,
                                  FixedView<crypto::kNonceBytes> nonce, ByteView aad,
                                  MutableBytes sealed, MutableBytes head) override {
    ++opened_;
    return inner_.gcm_open(key, nonce, aad, sealed, head);
  }

  [[nodiscard]] std::unique_ptr<crypto::Aead> make_aead() override;

  /// Calls of X25519 and HMAC so far, which a handshake and a rekey need: they alone may take
  /// memory.
  [[nodiscard]] std::size_t fresh_key_calls() const { return fresh_key_calls_; }

  /// Calls of gcm_open so far.
  [[nodiscard]] std::size_t opened() const { return opened_; }

 private:
  crypto::Engine& inner_;
  KeyBook& book_;
  std::size_t one_time_aad_;
  std::size_t fresh_key_calls_ = 0;
  std::size_t opened_ = 0;
};

class WatchingAead final : public crypto::Aead {
 public:
  WatchingAead(std::unique_ptr<crypto::Aead> inner, KeyBook& book)
      : inner_(std::move(inner)), book_(book) {}

  void set_key(FixedView<crypto::kKeyBytes> key) override {
    std::ranges::copy(key, key_.begin());
    inner_->set_key(key);
  }

  void seal(FixedView<crypto::kNonceBytes> nonce, ByteView aad, ByteView head,
            MutableBytes sealed) override {
    book_.note(key_, nonce);
    inner_->seal(nonce, aad, head, sealed);
  }

  [[nodiscard]] Result<> open(FixedView<crypto::kNonceBytes> nonce, ByteView aad,
                              MutableBytes sealed, MutableBytes head) override {
    return inner_->open(nonce, aad, sealed, head);
  }

 private:
  std::unique_ptr<crypto::Aead> inner_;
  KeyBook& book_;
  ByteArray<crypto::kKeyBytes> key_{};
};

inline std::unique_ptr<crypto::Aead> WatchingEngine::make_aead() {
  return std::make_unique<WatchingAead>(inner_.make_aead(), book_);
}

}  // namespace sealine::sim
