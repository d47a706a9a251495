#pragma once

#include "crypto/detail/openssl.hpp"
#include "sealine/crypto/engine.hpp"

#include <memory>
#include <string_view>

namespace sealine::crypto::detail {

/// The portable path and the reference: everything by the EVP functions of libcrypto 3.0.
///
/// Algorithms are fetched once, contexts made once. Contexts are left without the key of a call:
/// digests freshly initialised, ciphers keyed with zeros.
class OpensslEngine final : public Engine {
 public:
  OpensslEngine();

  [[nodiscard]] std::string_view name() const noexcept override { return "openssl"; }

  using Engine::hmac_sha256;
  using Engine::sha256;
  void sha256(Parts parts, FixedBytes<kHashBytes> out) override;
  void hmac_sha256(ByteView key, Parts parts, FixedBytes<kHashBytes> out) override;
  void x25519_public(FixedView<kKeyBytes> secret, FixedBytes<kKeyBytes> out) override;
  [[nodiscard]] Result<> x25519(FixedView<kKeyBytes> secret, FixedView<kKeyBytes> peer_public,
                                FixedBytes<kKeyBytes> out) override;
  void aes256_blocks(FixedView<kKeyBytes> key, MutableBytes blocks) override;
  void cmac_blocks(FixedView<kKeyBytes> key, MutableBytes blocks) override;
  void gcm_seal(FixedView<kKeyBytes> key, FixedView<kNonceBytes> nonce, ByteView aad, ByteView head,
                MutableBytes sealed) override;
  [[nodiscard]] Result<> gcm_open(FixedView<kKeyBytes> key, FixedView<kNonceBytes> nonce,
                                  ByteView aad, MutableBytes sealed, MutableBytes head) override;
  [[nodiscard]] std::unique_ptr<Aead> make_aead() override;

 private:
  Key import_private(FixedView<kKeyBytes> secret);

  Digest sha256_;
  Cipher gcm_;
  Cipher ecb_;
  DigestContext digest_context_;
  CipherContext seal_context_;
  CipherContext open_context_;
  CipherContext block_context_;
  KeyContext import_context_;
};

}  // namespace sealine::crypto::detail
