#include "sealine/crypto/rng.hpp"

#include "crypto/detail/openssl.hpp"

#include <openssl/rand.h>

namespace sealine::crypto {

void SystemRng::fill(MutableBytes out) {
  if (!out.empty()) detail::require(RAND_priv_bytes_ex(nullptr, out.data(), out.size(), 256));
}

}  // namespace sealine::crypto
