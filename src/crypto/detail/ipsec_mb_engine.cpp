#include "crypto/detail/ipsec_mb_engine.hpp"

#if !defined(SEALINE_HAVE_IPSEC_MB)

namespace sealine::crypto::detail {

std::unique_ptr<Engine> make_ipsec_mb_engine() { return nullptr; }

}  // namespace sealine::crypto::detail

#else

#include "crypto/detail/cmac_blocks.hpp"
#include "crypto/detail/ipsec_mb_hash.hpp"
#include "crypto/detail/openssl_engine.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/constant_time.hpp"

#include <intel-ipsec-mb.h>

#include <string>

namespace sealine::crypto::detail {
namespace {

struct ManagerDeleter {
  void operator()(IMB_MGR* manager) const noexcept { free_mb_mgr(manager); }
};

using Manager = std::unique_ptr<IMB_MGR, ManagerDeleter>;

// Everything that one message under one key leaves behind. The library reads the key data by
// aligned moves, and its header asks for that only under a macro of its own build.
struct GcmScratch {
  alignas(64) gcm_key_data key;
  gcm_context_data context;
};

// The round keys of AES-256, both ways: the library makes no single one.
struct BlockScratch {
  alignas(64) ByteArray<15 * kBlockBytes> encrypt_keys;
  alignas(64) ByteArray<15 * kBlockBytes> decrypt_keys;
};

// AES of whole blocks in place, under the round keys of `scratch`.
//
// Measured for the five blocks of a record's keys (schedule, one block, five blocks; Zen 5): this
// job 17 + 18 + 22 ns; the burst interface in counter mode 17 + 43 + 72; OpenSSL's EVP 67 + 21 +
// 19, and 67 again to forget the key. The library does ECB jobs at once: what was submitted is what
// comes back.
void encrypt_blocks(IMB_MGR* manager, const BlockScratch& scratch, MutableBytes blocks) {
  if (blocks.empty()) return;
  IMB_JOB* const job = IMB_GET_NEXT_JOB(manager);
  job->cipher_mode = IMB_CIPHER_ECB;
  job->cipher_direction = IMB_DIR_ENCRYPT;
  job->chain_order = IMB_ORDER_CIPHER_HASH;
  job->hash_alg = IMB_AUTH_NULL;
  job->enc_keys = scratch.encrypt_keys.data();
  job->dec_keys = scratch.decrypt_keys.data();
  job->key_len_in_bytes = kKeyBytes;
  job->src = blocks.data();
  job->dst = blocks.data();
  job->cipher_start_src_offset_in_bytes = 0;
  job->msg_len_to_cipher_in_bytes = blocks.size();
  job->iv = nullptr;
  job->iv_len_in_bytes = 0;
  const IMB_JOB* const done = IMB_SUBMIT_JOB_NOCHECK(manager);
  SEALINE_ASSERT(done == job && done->status == IMB_STATUS_COMPLETED);
}

template <class Struct>
void wipe_struct(Struct& value) noexcept {
  void* const place = &value;
  secure_wipe({static_cast<std::uint8_t*>(place), sizeof value});
}

// The library refuses a null pointer even for no bytes at all in some calls, so an empty run gets
// an address.
const std::uint8_t* address(ByteView bytes) noexcept {
  static constexpr std::uint8_t kNothing = 0;
  return bytes.empty() ? &kNothing : bytes.data();
}

void gcm_seal_with(IMB_MGR* manager, const gcm_key_data* key, gcm_context_data* context,
                   FixedView<kNonceBytes> nonce, ByteView aad, ByteView head, MutableBytes sealed) {
  SEALINE_ASSERT(sealed.size() >= kTagBytes && head.size() <= sealed.size() - kTagBytes);
  const std::size_t size = sealed.size() - kTagBytes;
  std::uint8_t* const out = sealed.data();
  std::uint8_t* const tag = out + size;
  if (head.empty() || head.size() == size) {
    const std::uint8_t* const in = head.empty() ? out : head.data();
    IMB_AES256_GCM_ENC(manager, key, context, out, in, size, nonce.data(), address(aad), aad.size(),
                       tag, kTagBytes);
    return;
  }
  IMB_AES256_GCM_INIT(manager, key, context, nonce.data(), address(aad), aad.size());
  IMB_AES256_GCM_ENC_UPDATE(manager, key, context, out, head.data(), head.size());
  IMB_AES256_GCM_ENC_UPDATE(manager, key, context, out + head.size(), out + head.size(),
                            size - head.size());
  IMB_AES256_GCM_ENC_FINALIZE(manager, key, context, tag, kTagBytes);
}

Result<> gcm_open_with(IMB_MGR* manager, const gcm_key_data* key, gcm_context_data* context,
                       FixedView<kNonceBytes> nonce, ByteView aad, MutableBytes sealed,
                       MutableBytes head) {
  SEALINE_ASSERT(sealed.size() >= kTagBytes && head.size() <= sealed.size() - kTagBytes);
  const std::size_t size = sealed.size() - kTagBytes;
  std::uint8_t* const in = sealed.data();
  ByteArray<kTagBytes> tag;
  if (head.empty() || head.size() == size) {
    std::uint8_t* const out = head.empty() ? in : head.data();
    IMB_AES256_GCM_DEC(manager, key, context, out, in, size, nonce.data(), address(aad), aad.size(),
                       tag.data(), kTagBytes);
  } else {
    IMB_AES256_GCM_INIT(manager, key, context, nonce.data(), address(aad), aad.size());
    IMB_AES256_GCM_DEC_UPDATE(manager, key, context, head.data(), in, head.size());
    IMB_AES256_GCM_DEC_UPDATE(manager, key, context, in + head.size(), in + head.size(),
                              size - head.size());
    IMB_AES256_GCM_DEC_FINALIZE(manager, key, context, tag.data(), kTagBytes);
  }
  if (ct_equal(tag, sealed.last<kTagBytes>())) return {};
  secure_wipe(tag);  // the tag that a forger is looking for
  secure_wipe(head);
  secure_wipe(sealed.subspan(head.size(), size - head.size()));
  return fail(Errc::tag_mismatch);
}

class IpsecMbAead final : public Aead {
 public:
  explicit IpsecMbAead(std::shared_ptr<IMB_MGR> manager) : manager_(std::move(manager)) {
    set_key(ByteArray<kKeyBytes>{});
  }

  ~IpsecMbAead() override { wipe_struct(scratch_); }

  void set_key(FixedView<kKeyBytes> key) override {
    IMB_AES256_GCM_PRE(manager_.get(), key.data(), &scratch_.key);
  }

  void seal(FixedView<kNonceBytes> nonce, ByteView aad, ByteView head,
            MutableBytes sealed) override {
    gcm_seal_with(manager_.get(), &scratch_.key, &scratch_.context, nonce, aad, head, sealed);
  }

  void seal_parts(FixedView<kNonceBytes> nonce, ByteView aad, ByteView head, ByteView body,
                  MutableBytes sealed) override {
    const std::size_t size = head.size() + body.size();
    SEALINE_ASSERT(sealed.size() == size + kTagBytes);
    if (head.empty()) return seal(nonce, aad, body, sealed);
    IMB_MGR* const manager = manager_.get();
    std::uint8_t* const out = sealed.data();
    IMB_AES256_GCM_INIT(manager, &scratch_.key, &scratch_.context, nonce.data(), address(aad),
                        aad.size());
    IMB_AES256_GCM_ENC_UPDATE(manager, &scratch_.key, &scratch_.context, out, head.data(),
                              head.size());
    IMB_AES256_GCM_ENC_UPDATE(manager, &scratch_.key, &scratch_.context, out + head.size(),
                              address(body), body.size());
    IMB_AES256_GCM_ENC_FINALIZE(manager, &scratch_.key, &scratch_.context, out + size, kTagBytes);
  }

  Result<> open(FixedView<kNonceBytes> nonce, ByteView aad, MutableBytes sealed,
                MutableBytes head) override {
    return gcm_open_with(manager_.get(), &scratch_.key, &scratch_.context, nonce, aad, sealed,
                         head);
  }

 private:
  std::shared_ptr<IMB_MGR> manager_;
  GcmScratch scratch_;
};

class IpsecMbEngine final : public Engine {
 public:
  IpsecMbEngine(std::shared_ptr<IMB_MGR> manager, std::string name)
      : manager_(std::move(manager)), name_(std::move(name)), hash_(manager_) {}

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }

  using Engine::hmac_sha256;
  using Engine::sha256;

  void sha256(Parts parts, FixedBytes<kHashBytes> out) override { openssl_.sha256(parts, out); }

  void hmac_sha256(ByteView key, Parts parts, FixedBytes<kHashBytes> out) override {
    openssl_.hmac_sha256(key, parts, out);
  }

  void sha256_many(std::span<const ByteView> messages,
                   std::span<ByteArray<kHashBytes>> out) override {
    SEALINE_ASSERT(out.size() == messages.size());
    hash_.sha256_many(messages, out);
  }

  void hmac_many(const HmacKey& key, std::span<const ByteView> messages,
                 std::span<ByteArray<kHashBytes>> out) override {
    SEALINE_ASSERT(out.size() == messages.size());
    hash_.hmac_many(key, messages, out);
  }

  void x25519_public(FixedView<kKeyBytes> secret, FixedBytes<kKeyBytes> out) override {
    openssl_.x25519_public(secret, out);
  }

  [[nodiscard]] Result<> x25519(FixedView<kKeyBytes> secret, FixedView<kKeyBytes> peer_public,
                                FixedBytes<kKeyBytes> out) override {
    return openssl_.x25519(secret, peer_public, out);
  }

  void aes256_blocks(FixedView<kKeyBytes> key, MutableBytes blocks) override {
    SEALINE_ASSERT(blocks.size() % kBlockBytes == 0 && blocks.size() <= kMaxBlocksBytes);
    IMB_AES_KEYEXP_256(manager_.get(), key.data(), blocks_.encrypt_keys.data(),
                       blocks_.decrypt_keys.data());
    encrypt_blocks(manager_.get(), blocks_, blocks);
    wipe_struct(blocks_);
  }

  void cmac_blocks(FixedView<kKeyBytes> key, MutableBytes blocks) override {
    IMB_AES_KEYEXP_256(manager_.get(), key.data(), blocks_.encrypt_keys.data(),
                       blocks_.decrypt_keys.data());
    detail::cmac_blocks(
        blocks, [this](MutableBytes some) { encrypt_blocks(manager_.get(), blocks_, some); });
    wipe_struct(blocks_);
  }

  void gcm_seal(FixedView<kKeyBytes> key, FixedView<kNonceBytes> nonce, ByteView aad, ByteView head,
                MutableBytes sealed) override {
    IMB_AES256_GCM_PRE(manager_.get(), key.data(), &scratch_.key);
    gcm_seal_with(manager_.get(), &scratch_.key, &scratch_.context, nonce, aad, head, sealed);
    wipe_struct(scratch_);
  }

  [[nodiscard]] Result<> gcm_open(FixedView<kKeyBytes> key, FixedView<kNonceBytes> nonce,
                                  ByteView aad, MutableBytes sealed, MutableBytes head) override {
    IMB_AES256_GCM_PRE(manager_.get(), key.data(), &scratch_.key);
    const Result<> opened =
        gcm_open_with(manager_.get(), &scratch_.key, &scratch_.context, nonce, aad, sealed, head);
    wipe_struct(scratch_);
    return opened;
  }

  [[nodiscard]] std::unique_ptr<Aead> make_aead() override {
    return std::make_unique<IpsecMbAead>(manager_);
  }

 private:
  std::shared_ptr<IMB_MGR> manager_;
  std::string name_;
  IpsecMbHash hash_;
  OpensslEngine openssl_;
  GcmScratch scratch_{};
  BlockScratch blocks_{};
};

bool has(const IMB_MGR& manager, std::uint64_t features) {
  return (manager.features & features) == features;
}

// "ipsec-mb 1.3 (vaes avx512)"
std::string describe_manager(const IMB_MGR& manager, IMB_ARCH arch) {
  std::string version = imb_get_version_str();
  if (const auto patch = version.rfind('.'); patch != std::string::npos) version.erase(patch);
  std::string name = "ipsec-mb " + version + " (";
  if (has(manager, IMB_FEATURE_VAES)) name += "vaes ";
  switch (arch) {
    case IMB_ARCH_AVX512:
      name += "avx512";
      break;
    case IMB_ARCH_AVX2:
      name += "avx2";
      break;
    case IMB_ARCH_AVX:
      name += "avx";
      break;
    case IMB_ARCH_SSE:
      name += "sse";
      break;
    case IMB_ARCH_NONE:
    case IMB_ARCH_NOAESNI:
    case IMB_ARCH_NUM:
      name += "plain";
      break;
  }
  return name + ")";
}

}  // namespace

std::unique_ptr<Engine> make_ipsec_mb_engine() {
  std::shared_ptr<IMB_MGR> manager = Manager(alloc_mb_mgr(0));
  if (manager == nullptr) return nullptr;
  IMB_ARCH arch = IMB_ARCH_NONE;
  init_mb_mgr_auto(manager.get(), &arch);
  // Without the AES instructions the library falls back to tables, which leak by the cache.
  if (imb_get_errno(manager.get()) != 0 ||
      !has(*manager, IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ))
    return nullptr;
  if (has(*manager, IMB_FEATURE_SELF_TEST) && !has(*manager, IMB_FEATURE_SELF_TEST_PASS))
    return nullptr;
  std::string name = describe_manager(*manager, arch);
  return std::make_unique<IpsecMbEngine>(std::move(manager), std::move(name));
}

}  // namespace sealine::crypto::detail

#endif
