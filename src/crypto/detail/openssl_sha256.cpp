// The SHA256_* functions are "deprecated since 3.0": see the header for why they are used.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/detail/openssl_sha256.hpp"

#include "crypto/detail/openssl.hpp"
#include "sealine/base/secret.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

namespace sealine::crypto {
namespace {

constexpr std::size_t kHashBlockBytes = 64;

using State = FixedView<HmacKey::kStateBytes>;

void wipe(SHA256_CTX& context) noexcept {
  void* const place = &context;
  secure_wipe({static_cast<std::uint8_t*>(place), sizeof context});
}

// As if the block that led to `state` had just been hashed.
SHA256_CTX continue_from(State state) {
  SHA256_CTX context;
  detail::require(SHA256_Init(&context));
  static_assert(sizeof context.h == HmacKey::kStateBytes);
  std::memcpy(context.h, state.data(), state.size());
  context.Nl = 8 * kHashBlockBytes;  // bits so far
  return context;
}

// key xor pad, hashed as one block.
void hash_pad(ByteView key, std::uint8_t pad, FixedBytes<HmacKey::kStateBytes> state) {
  ByteArray<kHashBlockBytes> block;
  block.fill(pad);
  for (std::size_t i = 0; i < key.size(); ++i) block[i] ^= key[i];
  SHA256_CTX context;
  detail::require(SHA256_Init(&context));
  SHA256_Transform(&context, block.data());
  std::memcpy(state.data(), context.h, state.size());
  wipe(context);
  secure_wipe(block);
}

}  // namespace

HmacKey::HmacKey(ByteView key) {
  ByteArray<kHashBytes> hashed{};
  if (key.size() > kHashBlockBytes) {
    detail::sha256_alone(key, hashed);
    key = hashed;
  }
  hash_pad(key, 0x36, states_.writable().first<kStateBytes>());
  hash_pad(key, 0x5C, states_.writable().last<kStateBytes>());
  secure_wipe(hashed);
}

namespace detail {

void sha256_alone(ByteView message, FixedBytes<kHashBytes> out) {
  SHA256_CTX context;
  require(SHA256_Init(&context));
  require(SHA256_Update(&context, message.data(), message.size()));
  require(SHA256_Final(out.data(), &context));
  wipe(context);
}

void hmac_alone(const HmacKey& key, ByteView message, FixedBytes<kHashBytes> out) {
  SHA256_CTX context = continue_from(key.inner());
  require(SHA256_Update(&context, message.data(), message.size()));
  ByteArray<kHashBytes> inner;
  require(SHA256_Final(inner.data(), &context));
  context = continue_from(key.outer());
  require(SHA256_Update(&context, inner.data(), inner.size()));
  require(SHA256_Final(out.data(), &context));
  wipe(context);
  secure_wipe(inner);
}

}  // namespace detail
}  // namespace sealine::crypto
