#include "sealine/crypto/scrypt.hpp"

#include "crypto/detail/openssl.hpp"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <cerrno>
#include <cstdint>

namespace sealine::crypto {
namespace {

constexpr std::uint64_t kMemoryLimitBytes = 256ULL
                                            << 20U;  // 128 * N * r are needed, and a little more

// An OSSL_PARAM takes its data by a pointer to non-const, and only reads it here.
OSSL_PARAM octets(const char* name, ByteView bytes) {
  static std::uint8_t nothing = 0;
  return OSSL_PARAM_construct_octet_string(
      name, bytes.empty() ? &nothing : const_cast<std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

Result<> scrypt_with(const ScryptCost& cost, ByteView passphrase, ByteView salt, MutableBytes out) {
  const auto kdf = detail::require_made(detail::Kdf(EVP_KDF_fetch(nullptr, "SCRYPT", nullptr)));
  const auto context = detail::require_made(detail::KdfContext(EVP_KDF_CTX_new(kdf.get())));
  std::uint64_t n = cost.n;
  std::uint32_t r = cost.r;
  std::uint32_t p = cost.p;
  std::uint64_t limit = kMemoryLimitBytes;
  const OSSL_PARAM params[] = {octets(OSSL_KDF_PARAM_PASSWORD, passphrase),
                               octets(OSSL_KDF_PARAM_SALT, salt),
                               OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
                               OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
                               OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
                               OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &limit),
                               OSSL_PARAM_construct_end()};
  if (EVP_KDF_derive(context.get(), out.data(), out.size(), params) != 1) {
    detail::clear_errors();
    return fail(Errc::system_error, ENOMEM);
  }
  return {};
}

Result<> scrypt(ByteView passphrase, ByteView salt, MutableBytes out) {
  return scrypt_with(ScryptCost{}, passphrase, salt, out);
}

}  // namespace sealine::crypto
