#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::noise::detail {

using CipherKey = Secret<32, struct NoiseCipherKeyTag>;
using ChainingKey = Secret<32, struct NoiseChainingKeyTag>;

/// CipherState and SymmetricState of the Noise specification (5.1, 5.2) for `25519_AESGCM_SHA256`,
/// in its names.
///
/// A handshake works on a clone() of it and keeps that when the whole message was good.
class SymmetricState {
 public:
  /// InitializeSymmetric
  SymmetricState(crypto::Engine& engine, ByteView protocol_name);
  SymmetricState(SymmetricState&&) noexcept = default;
  SymmetricState& operator=(SymmetricState&&) noexcept = default;

  [[nodiscard]] SymmetricState clone() const;

  void mix_key(ByteView input_key_material);
  void mix_hash(ByteView data);
  void mix_key_and_hash(ByteView input_key_material);

  /// `out` has overhead() bytes more than `plaintext`. They do not overlap.
  void encrypt_and_hash(ByteView plaintext, MutableBytes out);

  /// `out` has overhead() bytes less than `data`, which holds at least those. They do not overlap.
  /// Errors: tag_mismatch, with `out` wiped.
  [[nodiscard]] Result<> decrypt_and_hash(ByteView data, MutableBytes out);

  /// The two keys of Split().
  void split(FixedBytes<32> initiator_to_responder, FixedBytes<32> responder_to_initiator);

  /// What encrypt_and_hash adds: a tag, once there is a key.
  [[nodiscard]] std::size_t overhead() const noexcept { return has_key_ ? crypto::kTagBytes : 0; }

  [[nodiscard]] bool has_key() const noexcept { return has_key_; }

  [[nodiscard]] FixedView<32> hash() const noexcept { return h_; }

  [[nodiscard]] FixedView<32> chaining_key() const noexcept { return ck_.expose(); }

 private:
  struct Clone {};

  SymmetricState(Clone, const SymmetricState& other);

  void initialize_key(FixedView<32> key);
  [[nodiscard]] ByteArray<crypto::kNonceBytes> next_nonce();

  crypto::Engine* engine_;
  ByteArray<32> h_{};
  ChainingKey ck_;
  CipherKey k_;
  std::uint64_t n_ = 0;
  bool has_key_ = false;
};

}  // namespace sealine::noise::detail
