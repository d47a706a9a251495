#include "sealine/crypto/sha1.hpp"

#include "sealine/base/assert.hpp"

#include <openssl/evp.h>

namespace sealine::crypto {

ByteArray<20> sha1_of_websocket_key(ByteView bytes) {
  ByteArray<20> out{};
  unsigned length = 0;
  const int done = EVP_Digest(bytes.data(), bytes.size(), out.data(), &length, EVP_sha1(), nullptr);
  SEALINE_ASSERT(done == 1 && length == out.size());
  return out;
}

}  // namespace sealine::crypto
