#include "sealine/crypto/sha256_stream.hpp"

#include "crypto/detail/openssl.hpp"
#include "sealine/base/assert.hpp"

#include <openssl/evp.h>

namespace sealine::crypto {

struct Sha256Stream::Context {
  detail::DigestContext hash = detail::require_made(detail::DigestContext(EVP_MD_CTX_new()));
};

Sha256Stream::Sha256Stream() : context_(std::make_unique<Context>()) {
  detail::require(EVP_DigestInit_ex(context_->hash.get(), EVP_sha256(), nullptr));
}

Sha256Stream::Sha256Stream(Sha256Stream&&) noexcept = default;
Sha256Stream& Sha256Stream::operator=(Sha256Stream&&) noexcept = default;
Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::update(ByteView bytes) {
  detail::require(EVP_DigestUpdate(context_->hash.get(), bytes.data(), bytes.size()));
}

ByteArray<32> Sha256Stream::finish() {
  ByteArray<32> out{};
  unsigned length = 0;
  detail::require(EVP_DigestFinal_ex(context_->hash.get(), out.data(), &length));
  SEALINE_ASSERT(length == out.size());
  return out;
}

}  // namespace sealine::crypto
