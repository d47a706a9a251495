#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"

#include <array>
#include <compare>
#include <cstdint>

namespace sealine::crypto {

/// An X25519 private key, 32 bytes before clamping.
using PrivateKey = Secret<kKeyBytes, struct PrivateKeyTag>;

/// An X25519 public key. Not secret; a program may compare it freely, a protocol uses ct_equal.
struct PublicKey {
  ByteArray<kKeyBytes> bytes{};

  [[nodiscard]] FixedView<kKeyBytes> view() const noexcept { return bytes; }

  friend auto operator<=>(const PublicKey&, const PublicKey&) = default;
};

/// A private key with its public half.
struct KeyPair {
  PrivateKey secret;
  PublicKey public_key;

  /// A fresh pair from `rng`.
  [[nodiscard]] SEALINE_API static KeyPair generate(Engine& engine, Rng& rng);
  /// The pair of a known private key.
  [[nodiscard]] SEALINE_API static KeyPair from_secret(Engine& engine, PrivateKey secret);

  [[nodiscard]] KeyPair clone() const { return {secret.clone(), public_key}; }
};

/// A secret that both ends were given: 32 random bytes.
using Psk = Secret<kKeyBytes, struct PskTag>;

/// The result of a Diffie-Hellman.
using SharedSecret = Secret<kKeyBytes, struct SharedSecretTag>;

}  // namespace sealine::crypto
