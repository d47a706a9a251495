#include "crypto/detail/openssl.hpp"

#include "sealine/base/assert.hpp"

#include <openssl/err.h>

namespace sealine::crypto::detail {

void clear_errors() noexcept { ERR_clear_error(); }

void require(int result) noexcept {
  const bool libcrypto_did_it = result == 1;
  SEALINE_ASSERT(libcrypto_did_it);
}

}  // namespace sealine::crypto::detail
