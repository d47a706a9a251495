#include "sealine/crypto/constant_time.hpp"

#include <openssl/crypto.h>

namespace sealine::crypto {

bool ct_equal(ByteView a, ByteView b) noexcept {
  if (a.size() != b.size()) return false;
  return a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace sealine::crypto
