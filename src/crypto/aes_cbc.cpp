#include "sealine/crypto/aes_cbc.hpp"

#include "crypto/detail/openssl.hpp"
#include "sealine/base/secret.hpp"

#include <algorithm>
#include <climits>

namespace sealine::crypto {
namespace {

constexpr std::size_t kBlock = 16;

const char* algorithm_for(std::size_t key_size) {
  switch (key_size) {
    case 16:
      return "AES-128-CBC";
    case 24:
      return "AES-192-CBC";
    case 32:
      return "AES-256-CBC";
    default:
      return nullptr;
  }
}

}  // namespace

Result<std::size_t> aes_cbc_open(ByteView key, FixedView<16> iv, ByteView ciphertext,
                                 MutableBytes out) {
  const char* const algorithm = algorithm_for(key.size());
  if (algorithm == nullptr) return fail(Errc::bad_configuration);
  if (out.size() < ciphertext.size()) return fail(Errc::out_of_space);
  if (ciphertext.empty() || ciphertext.size() % kBlock != 0 || ciphertext.size() > INT_MAX) {
    return fail(Errc::packet_not_authentic);
  }
  const auto cipher =
      detail::require_made(detail::Cipher(EVP_CIPHER_fetch(nullptr, algorithm, nullptr)));
  const auto context = detail::require_made(detail::CipherContext(EVP_CIPHER_CTX_new()));
  detail::require(EVP_DecryptInit_ex2(context.get(), cipher.get(), key.data(), iv.data(), nullptr));
  int body = 0;
  int last = 0;
  detail::require(EVP_DecryptUpdate(context.get(), out.data(), &body, ciphertext.data(),
                                    static_cast<int>(ciphertext.size())));
  if (EVP_DecryptFinal_ex(context.get(), out.data() + body, &last) != 1) {
    detail::clear_errors();
    secure_wipe(out.first(ciphertext.size()));
    return fail(Errc::packet_not_authentic);
  }
  return static_cast<std::size_t>(body) + static_cast<std::size_t>(last);
}

}  // namespace sealine::crypto
