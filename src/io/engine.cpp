#include "sealine/io/engine.hpp"

#include "sealine/base/assert.hpp"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace sealine::io {

namespace {

/// The decision, made once. The one piece of process-wide state, as is the choice of a processor's
/// instructions.
struct Choice {
  std::mutex mutex;
  std::optional<crypto::EngineChoice> chosen;
  std::atomic<bool> used = false;
};

Choice& choice() {
  static Choice instance;
  return instance;
}

crypto::EngineChoice settle_choice() {
  Choice& shared = choice();
  const std::scoped_lock lock(shared.mutex);
  if (!shared.chosen) {
    shared.chosen = engine_choice_from_environment().value_or(crypto::EngineChoice::fastest);
  }
  shared.used.store(true, std::memory_order_relaxed);
  return *shared.chosen;
}

std::unique_ptr<crypto::Engine> make_own_engine() {
  auto made = crypto::make_engine(settle_choice());
  SEALINE_ASSERT(made);  // a choice is settled only when it could be made
  return std::move(*made);
}

crypto::Engine& own_engine() {
  thread_local const std::unique_ptr<crypto::Engine> engine = make_own_engine();
  return *engine;
}

/// Forwards to the engine of the calling thread.
class ThreadEngine final : public crypto::Engine {
 public:
  ThreadEngine() = default;

  [[nodiscard]] std::string_view name() const noexcept override { return own_engine().name(); }

  void sha256(crypto::Parts parts, FixedBytes<crypto::kHashBytes> out) override {
    own_engine().sha256(parts, out);
  }

  void hmac_sha256(ByteView key, crypto::Parts parts, FixedBytes<crypto::kHashBytes> out) override {
    own_engine().hmac_sha256(key, parts, out);
  }

  void sha256_many(std::span<const ByteView> messages,
                   std::span<ByteArray<crypto::kHashBytes>> out) override {
    own_engine().sha256_many(messages, out);
  }

  void hmac_many(const crypto::HmacKey& key, std::span<const ByteView> messages,
                 std::span<ByteArray<crypto::kHashBytes>> out) override {
    own_engine().hmac_many(key, messages, out);
  }

  void x25519_public(FixedView<crypto::kKeyBytes> secret,
                     FixedBytes<crypto::kKeyBytes> out) override {
    own_engine().x25519_public(secret, out);
  }

  Result<> x25519(FixedView<crypto::kKeyBytes> secret, FixedView<crypto::kKeyBytes> peer_public,
                  FixedBytes<crypto::kKeyBytes> out) override {
    return own_engine().x25519(secret, peer_public, out);
  }

  void aes256_blocks(FixedView<crypto::kKeyBytes> key, MutableBytes blocks) override {
    own_engine().aes256_blocks(key, blocks);
  }

  void cmac_blocks(FixedView<crypto::kKeyBytes> key, MutableBytes blocks) override {
    own_engine().cmac_blocks(key, blocks);
  }

  void gcm_seal(FixedView<crypto::kKeyBytes> key, FixedView<crypto::kNonceBytes> nonce,
                ByteView aad, ByteView head, MutableBytes sealed) override {
    own_engine().gcm_seal(key, nonce, aad, head, sealed);
  }

  Result<> gcm_open(FixedView<crypto::kKeyBytes> key, FixedView<crypto::kNonceBytes> nonce,
                    ByteView aad, MutableBytes sealed, MutableBytes head) override {
    return own_engine().gcm_open(key, nonce, aad, sealed, head);
  }

  std::unique_ptr<crypto::Aead> make_aead() override { return own_engine().make_aead(); }
};

}  // namespace

crypto::Engine& thread_engine() {
  static ThreadEngine engine;
  return engine;
}

Result<> choose_engine(crypto::EngineChoice wanted) {
  SEALINE_TRY(probe, crypto::make_engine(wanted));
  Choice& shared = choice();
  const std::scoped_lock lock(shared.mutex);
  if (shared.used.load(std::memory_order_relaxed)) return fail(Errc::wrong_state);
  shared.chosen = wanted;
  return {};
}

Result<crypto::EngineChoice> engine_choice_from_environment() {
  const char* text = std::getenv("SEALINE_CRYPTO");
  if (text == nullptr || *text == '\0') return crypto::EngineChoice::fastest;
  SEALINE_TRY(wanted, crypto::parse_engine_choice(text));
  SEALINE_TRY(probe, crypto::make_engine(wanted));
  return wanted;
}

crypto::Rng& system_rng() {
  static crypto::SystemRng rng;
  return rng;
}

}  // namespace sealine::io
