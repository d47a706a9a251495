#pragma once

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include <memory>

namespace sealine::crypto::detail {

/// Owns a libcrypto object and gives it back with its own function.
template <auto Free>
struct OpensslDeleter {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

using Cipher = std::unique_ptr<EVP_CIPHER, OpensslDeleter<EVP_CIPHER_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, OpensslDeleter<EVP_CIPHER_CTX_free>>;
using Digest = std::unique_ptr<EVP_MD, OpensslDeleter<EVP_MD_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, OpensslDeleter<EVP_MD_CTX_free>>;
using Kdf = std::unique_ptr<EVP_KDF, OpensslDeleter<EVP_KDF_free>>;
using KdfContext = std::unique_ptr<EVP_KDF_CTX, OpensslDeleter<EVP_KDF_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, OpensslDeleter<EVP_PKEY_CTX_free>>;

/// Empties this thread's error queue. Called wherever a failure of libcrypto becomes a value of
/// ours, so that nothing is left for the next user of the queue to trip over.
void clear_errors() noexcept;

/// Ends the process if libcrypto refuses what cannot fail but for want of memory or of the
/// algorithm: never because of a peer's bytes.
void require(int result) noexcept;

template <class Handle>
Handle require_made(Handle handle) noexcept {
  require(handle != nullptr ? 1 : 0);
  return handle;
}

}  // namespace sealine::crypto::detail
