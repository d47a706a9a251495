#include "crypto/detail/openssl_engine.hpp"

#include "crypto/detail/cmac_blocks.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/constant_time.hpp"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <algorithm>
#include <climits>

namespace sealine::crypto::detail {
namespace {

constexpr std::size_t kHashBlockBytes = 64;
constexpr ByteArray<kKeyBytes> kZeroKey{};

int int_size(std::size_t size_bytes) {
  SEALINE_ASSERT(size_bytes <= INT_MAX);
  return static_cast<int>(size_bytes);
}

// --- AES-256-GCM, in a context that has its cipher and, for the piecewise calls, key and nonce.

void start(EVP_CIPHER_CTX* context, const std::uint8_t* key, const std::uint8_t* nonce) {
  require(EVP_CipherInit_ex2(context, nullptr, key, nonce, -1, nullptr));
}

void authenticate(EVP_CIPHER_CTX* context, ByteView aad) {
  int used = 0;
  if (!aad.empty())
    require(EVP_CipherUpdate(context, nullptr, &used, aad.data(), int_size(aad.size())));
}

void transform(EVP_CIPHER_CTX* context, const std::uint8_t* from, MutableBytes to) {
  int used = 0;
  if (!to.empty()) require(EVP_CipherUpdate(context, to.data(), &used, from, int_size(to.size())));
}

void finish_seal(EVP_CIPHER_CTX* context, MutableBytes sealed) {
  std::uint8_t* const tag = sealed.last(kTagBytes).data();
  int used = 0;
  require(EVP_CipherFinal_ex(context, tag, &used));
  require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag));
}

void seal_with(EVP_CIPHER_CTX* context, ByteView aad, ByteView head, MutableBytes sealed) {
  SEALINE_ASSERT(sealed.size() >= kTagBytes && head.size() <= sealed.size() - kTagBytes);
  const MutableBytes body = sealed.first(sealed.size() - kTagBytes);
  const MutableBytes rest = body.subspan(head.size());
  authenticate(context, aad);
  transform(context, head.data(), body.first(head.size()));
  transform(context, rest.data(), rest);
  finish_seal(context, sealed);
}

Result<> open_with(EVP_CIPHER_CTX* context, ByteView aad, MutableBytes sealed, MutableBytes head) {
  SEALINE_ASSERT(sealed.size() >= kTagBytes && head.size() <= sealed.size() - kTagBytes);
  const MutableBytes body = sealed.first(sealed.size() - kTagBytes);
  const MutableBytes rest = body.subspan(head.size());
  authenticate(context, aad);
  transform(context, body.data(), head);
  transform(context, rest.data(), rest);
  require(
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, sealed.data() + body.size()));
  int used = 0;
  ByteArray<kBlockBytes> nothing;
  if (EVP_CipherFinal_ex(context, nothing.data(), &used) != 1) {
    clear_errors();
    secure_wipe(head);
    secure_wipe(rest);
    return fail(Errc::tag_mismatch);
  }
  return {};
}

CipherContext make_context(const EVP_CIPHER* cipher, bool encrypts) {
  auto context = require_made(CipherContext(EVP_CIPHER_CTX_new()));
  require(EVP_CipherInit_ex2(context.get(), cipher, kZeroKey.data(), nullptr, encrypts ? 1 : 0,
                             nullptr));
  return context;
}

// A context without the key it has seen: libcrypto lets nobody at the schedule, so another key
// takes its place.
void forget_key(EVP_CIPHER_CTX* context) { start(context, kZeroKey.data(), nullptr); }

class OpensslAead final : public Aead {
 public:
  explicit OpensslAead(const EVP_CIPHER* gcm)
      : seal_(make_context(gcm, true)), open_(make_context(gcm, false)) {}

  void set_key(FixedView<kKeyBytes> key) override {
    start(seal_.get(), key.data(), nullptr);
    start(open_.get(), key.data(), nullptr);
  }

  void seal(FixedView<kNonceBytes> nonce, ByteView aad, ByteView head,
            MutableBytes sealed) override {
    start(seal_.get(), nullptr, nonce.data());
    seal_with(seal_.get(), aad, head, sealed);
  }

  void seal_parts(FixedView<kNonceBytes> nonce, ByteView aad, ByteView head, ByteView body,
                  MutableBytes sealed) override {
    SEALINE_ASSERT(sealed.size() == head.size() + body.size() + kTagBytes);
    start(seal_.get(), nullptr, nonce.data());
    authenticate(seal_.get(), aad);
    transform(seal_.get(), head.data(), sealed.first(head.size()));
    transform(seal_.get(), body.data(), sealed.subspan(head.size(), body.size()));
    finish_seal(seal_.get(), sealed);
  }

  Result<> open(FixedView<kNonceBytes> nonce, ByteView aad, MutableBytes sealed,
                MutableBytes head) override {
    start(open_.get(), nullptr, nonce.data());
    return open_with(open_.get(), aad, sealed, head);
  }

 private:
  CipherContext seal_;  // libcrypto wipes what it frees here
  CipherContext open_;
};

}  // namespace

OpensslEngine::OpensslEngine()
    : sha256_(require_made(Digest(EVP_MD_fetch(nullptr, "SHA256", nullptr)))),
      gcm_(require_made(Cipher(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)))),
      ecb_(require_made(Cipher(EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr)))),
      digest_context_(require_made(DigestContext(EVP_MD_CTX_new()))),
      seal_context_(make_context(gcm_.get(), true)),
      open_context_(make_context(gcm_.get(), false)),
      block_context_(make_context(ecb_.get(), true)),
      import_context_(
          require_made(KeyContext(EVP_PKEY_CTX_new_from_name(nullptr, "X25519", nullptr)))) {
  require(EVP_CIPHER_CTX_set_padding(block_context_.get(), 0));
  require(EVP_DigestInit_ex2(digest_context_.get(), sha256_.get(), nullptr));
  require(EVP_PKEY_fromdata_init(import_context_.get()));
}

void OpensslEngine::sha256(Parts parts, FixedBytes<kHashBytes> out) {
  EVP_MD_CTX* const context = digest_context_.get();
  for (const ByteView part : parts) require(EVP_DigestUpdate(context, part.data(), part.size()));
  require(EVP_DigestFinal_ex(context, out.data(), nullptr));
  // Ready for the next call, and without this one's result.
  require(EVP_DigestInit_ex2(context, sha256_.get(), nullptr));
}

// HMAC (RFC 2104) over libcrypto's SHA-256. The EVP_MAC of OpenSSL 3.0 allocates for every key and
// copies digest contexts: it takes several times as long.
void OpensslEngine::hmac_sha256(ByteView key, Parts parts, FixedBytes<kHashBytes> out) {
  ByteArray<kHashBlockBytes> pad{};
  if (key.size() > pad.size()) {
    sha256(Parts(&key, 1), MutableBytes(pad).first<kHashBytes>());
  } else {
    std::ranges::copy(key, pad.begin());
  }
  EVP_MD_CTX* const context = digest_context_.get();
  for (std::uint8_t& byte : pad) byte ^= 0x36U;
  require(EVP_DigestUpdate(context, pad.data(), pad.size()));
  for (const ByteView part : parts) require(EVP_DigestUpdate(context, part.data(), part.size()));
  ByteArray<kHashBytes> inner;
  require(EVP_DigestFinal_ex(context, inner.data(), nullptr));

  require(EVP_DigestInit_ex2(context, sha256_.get(), nullptr));
  for (std::uint8_t& byte : pad) byte ^= 0x36U ^ 0x5CU;
  require(EVP_DigestUpdate(context, pad.data(), pad.size()));
  require(EVP_DigestUpdate(context, inner.data(), inner.size()));
  require(EVP_DigestFinal_ex(context, out.data(), nullptr));
  require(EVP_DigestInit_ex2(context, sha256_.get(), nullptr));
  secure_wipe(pad);
  secure_wipe(inner);
}

void OpensslEngine::x25519_public(FixedView<kKeyBytes> secret, FixedBytes<kKeyBytes> out) {
  const auto key = require_made(Key(
      EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, secret.data(), secret.size())));
  std::size_t size = out.size();
  require(EVP_PKEY_get_raw_public_key(key.get(), out.data(), &size));
}

// A private key for one derivation. Imported alone, libcrypto would work out its public half, which
// costs as much as the derivation itself and is not used by it; so a stand-in is handed over as the
// public half.
Key OpensslEngine::import_private(FixedView<kKeyBytes> secret) {
  ByteArray<kKeyBytes> private_half;
  std::ranges::copy(secret, private_half.begin());
  ByteArray<kKeyBytes> public_half{9};
  OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(
                             OSSL_PKEY_PARAM_PRIV_KEY, private_half.data(), private_half.size()),
                         OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                                           public_half.data(), public_half.size()),
                         OSSL_PARAM_construct_end()};
  EVP_PKEY* made = nullptr;
  const int done = EVP_PKEY_fromdata(import_context_.get(), &made, EVP_PKEY_KEYPAIR, params);
  secure_wipe(private_half);
  Key key(made);
  if (done == 1) return key;
  // A libcrypto that checks the pair: the long way.
  clear_errors();
  return require_made(Key(
      EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", nullptr, secret.data(), secret.size())));
}

Result<> OpensslEngine::x25519(FixedView<kKeyBytes> secret, FixedView<kKeyBytes> peer_public,
                               FixedBytes<kKeyBytes> out) {
  const Key ours = import_private(secret);
  const auto theirs = require_made(Key(EVP_PKEY_new_raw_public_key_ex(
      nullptr, "X25519", nullptr, peer_public.data(), peer_public.size())));
  const auto context =
      require_made(KeyContext(EVP_PKEY_CTX_new_from_pkey(nullptr, ours.get(), nullptr)));
  require(EVP_PKEY_derive_init(context.get()));
  require(EVP_PKEY_derive_set_peer(context.get(), theirs.get()));
  std::size_t size = out.size();
  // libcrypto refuses the all-zero result itself; this asks again, should another provider not.
  const bool derived = EVP_PKEY_derive(context.get(), out.data(), &size) == 1;
  if (!derived || ct_equal(out, kZeroKey)) {
    clear_errors();
    secure_wipe(out);
    return fail(Errc::dh_all_zero);
  }
  return {};
}

void OpensslEngine::aes256_blocks(FixedView<kKeyBytes> key, MutableBytes blocks) {
  SEALINE_ASSERT(blocks.size() % kBlockBytes == 0 && blocks.size() <= kMaxBlocksBytes);
  start(block_context_.get(), key.data(), nullptr);
  transform(block_context_.get(), blocks.data(), blocks);
  forget_key(block_context_.get());
}

void OpensslEngine::cmac_blocks(FixedView<kKeyBytes> key, MutableBytes blocks) {
  start(block_context_.get(), key.data(), nullptr);
  detail::cmac_blocks(
      blocks, [this](MutableBytes some) { transform(block_context_.get(), some.data(), some); });
  forget_key(block_context_.get());
}

void OpensslEngine::gcm_seal(FixedView<kKeyBytes> key, FixedView<kNonceBytes> nonce, ByteView aad,
                             ByteView head, MutableBytes sealed) {
  start(seal_context_.get(), key.data(), nonce.data());
  seal_with(seal_context_.get(), aad, head, sealed);
  forget_key(seal_context_.get());
}

Result<> OpensslEngine::gcm_open(FixedView<kKeyBytes> key, FixedView<kNonceBytes> nonce,
                                 ByteView aad, MutableBytes sealed, MutableBytes head) {
  start(open_context_.get(), key.data(), nonce.data());
  const Result<> opened = open_with(open_context_.get(), aad, sealed, head);
  forget_key(open_context_.get());
  return opened;
}

std::unique_ptr<Aead> OpensslEngine::make_aead() {
  return std::make_unique<OpensslAead>(gcm_.get());
}

}  // namespace sealine::crypto::detail
