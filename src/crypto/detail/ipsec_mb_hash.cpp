#if defined(SEALINE_HAVE_IPSEC_MB)

#include "crypto/detail/ipsec_mb_hash.hpp"

#include "crypto/detail/openssl_sha256.hpp"
#include "sealine/base/assert.hpp"

#include <algorithm>
#include <utility>

namespace sealine::crypto::detail {
namespace {

constexpr std::size_t kHashBlockBytes = 64;

// The library counts the blocks of a lane in 16 bits.
constexpr std::size_t kMaxLaneBytes = std::size_t{2} << 20U;

// Nanoseconds, as measured: see the table of the class. A job costs something of its own.
constexpr std::size_t kAloneBlock = 128;  // without SHA instructions
constexpr std::size_t kPairsBlock = 25;
constexpr std::size_t kWideStep = 222;
constexpr std::size_t kWideJob = 35;

// What HMAC and the padding add is about the same for each message: two blocks.
std::size_t blocks_of(ByteView message) { return message.size() / kHashBlockBytes + 2; }

bool has(const IMB_MGR& manager, std::uint64_t features) {
  return (manager.features & features) == features;
}

SharedManager make_pairs() {
  SharedManager manager(alloc_mb_mgr(0), [](IMB_MGR* mgr) { free_mb_mgr(mgr); });
  SEALINE_ASSERT(manager != nullptr);
  init_mb_mgr_avx2(manager.get());
  SEALINE_ASSERT(imb_get_errno(manager.get()) == 0);
  return manager;
}

}  // namespace

IpsecMbHash::IpsecMbHash(SharedManager manager)
    : has_instructions_(has(*manager, IMB_FEATURE_SHANI)) {
  const auto arch = static_cast<IMB_ARCH>(manager->used_arch);
  if (arch == IMB_ARCH_AVX512) {
    wide_lanes_ = 16;
  } else if (!has_instructions_ && arch == IMB_ARCH_AVX2) {
    wide_lanes_ = 8;
  }
  if (wide_lanes_ > 0) {
    wide_ = std::move(manager);
  } else if (has_instructions_) {
    pairs_ = std::move(manager);
  }
}

IMB_MGR* IpsecMbHash::choose(std::span<const ByteView> messages) {
  if (messages.size() < 2) return nullptr;
  if (wide_ != nullptr) {
    std::size_t total = 0;
    std::size_t longest = 0;
    for (const ByteView message : messages) {
      total += blocks_of(message);
      longest = std::max(longest, blocks_of(message));
    }
    const std::size_t steps = std::max(longest, total / wide_lanes_);
    const std::size_t otherwise = total * (has_instructions_ ? kPairsBlock : kAloneBlock);
    if (steps * kWideStep + messages.size() * kWideJob < otherwise) return wide_.get();
  }
  if (!has_instructions_) return nullptr;
  if (pairs_ == nullptr) pairs_ = make_pairs();
  return pairs_.get();
}

void IpsecMbHash::sha256_many(std::span<const ByteView> messages,
                              std::span<ByteArray<kHashBytes>> out) {
  if (IMB_MGR* const manager = choose(messages)) return run(manager, nullptr, messages, out);
  for (std::size_t i = 0; i < messages.size(); ++i) sha256_alone(messages[i], out[i]);
}

void IpsecMbHash::hmac_many(const HmacKey& key, std::span<const ByteView> messages,
                            std::span<ByteArray<kHashBytes>> out) {
  if (IMB_MGR* const manager = choose(messages)) return run(manager, &key, messages, out);
  for (std::size_t i = 0; i < messages.size(); ++i) hmac_alone(key, messages[i], out[i]);
}

// The library takes jobs until it has one for each lane, and writes the results itself; a full
// queue makes room by finishing its oldest job. Empty at the end, as the other users of the manager
// expect it.
void IpsecMbHash::run(IMB_MGR* manager, const HmacKey* key, std::span<const ByteView> messages,
                      std::span<ByteArray<kHashBytes>> out) {
  std::size_t open = 0;
  const auto done = [&open](const IMB_JOB* job) {
    SEALINE_ASSERT(job->status == IMB_STATUS_COMPLETED);
    --open;
  };
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const ByteView message = messages[i];
    if (message.empty() || message.size() > kMaxLaneBytes) {
      key == nullptr ? sha256_alone(message, out[i]) : hmac_alone(*key, message, out[i]);
      continue;
    }
    IMB_JOB* const job = IMB_GET_NEXT_JOB(manager);
    job->cipher_mode = IMB_CIPHER_NULL;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_HASH_CIPHER;
    job->hash_alg = key == nullptr ? IMB_AUTH_SHA_256 : IMB_AUTH_HMAC_SHA_256;
    job->src = message.data();
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = message.size();
    job->auth_tag_output = out[i].data();
    job->auth_tag_output_len_in_bytes = kHashBytes;
    if (key != nullptr) {
      job->u.HMAC._hashed_auth_key_xor_ipad = key->inner().data();
      job->u.HMAC._hashed_auth_key_xor_opad = key->outer().data();
    }
    ++open;
    if (const IMB_JOB* const finished = IMB_SUBMIT_JOB_NOCHECK(manager)) done(finished);
  }
  while (const IMB_JOB* const finished = IMB_FLUSH_JOB(manager)) done(finished);
  SEALINE_ASSERT(open == 0);
}

}  // namespace sealine::crypto::detail

#endif
