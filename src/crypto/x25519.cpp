#include "sealine/crypto/x25519.hpp"

#include <utility>

namespace sealine::crypto {

KeyPair KeyPair::generate(Engine& engine, Rng& rng) {
  PrivateKey secret;
  rng.fill(secret.writable());
  return from_secret(engine, std::move(secret));
}

KeyPair KeyPair::from_secret(Engine& engine, PrivateKey secret) {
  PublicKey public_key;
  engine.x25519_public(secret.expose(), public_key.bytes);
  return {std::move(secret), public_key};
}

}  // namespace sealine::crypto
