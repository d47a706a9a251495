#include "sealine/crypto/engine.hpp"

#include "crypto/detail/ipsec_mb_engine.hpp"
#include "crypto/detail/openssl_engine.hpp"
#include "crypto/detail/openssl_sha256.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/base/writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace sealine::crypto {
namespace {

constexpr std::size_t kMaxKbkdfBytes = 112;

}  // namespace

void Aead::seal_parts(FixedView<kNonceBytes> nonce, ByteView aad, ByteView head, ByteView body,
                      MutableBytes sealed) {
  SEALINE_ASSERT(sealed.size() == head.size() + body.size() + kTagBytes);
  if (head.empty()) return seal(nonce, aad, body, sealed);
  if (!body.empty()) std::memcpy(sealed.data() + head.size(), body.data(), body.size());
  seal(nonce, aad, head, sealed);
}

void Engine::sha256_many(std::span<const ByteView> messages, std::span<ByteArray<kHashBytes>> out) {
  SEALINE_ASSERT(out.size() == messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) detail::sha256_alone(messages[i], out[i]);
}

void Engine::hmac_many(const HmacKey& key, std::span<const ByteView> messages,
                       std::span<ByteArray<kHashBytes>> out) {
  SEALINE_ASSERT(out.size() == messages.size());
  for (std::size_t i = 0; i < messages.size(); ++i) detail::hmac_alone(key, messages[i], out[i]);
}

void Engine::kbkdf_cmac(FixedView<kKeyBytes> key, FixedView<12> input, MutableBytes out) {
  SEALINE_ASSERT(out.size() % kBlockBytes == 0 && out.size() <= kMaxKbkdfBytes);
  // Apart from `out`, which may lie over the key.
  ByteArray<kMaxKbkdfBytes> room;
  const MutableBytes blocks = MutableBytes(room).first(out.size());
  for (std::size_t at = 0; at < blocks.size(); at += kBlockBytes) {
    const auto counter = be_bytes(static_cast<std::uint32_t>(at / kBlockBytes + 1));
    std::ranges::copy(counter, blocks.begin() + static_cast<std::ptrdiff_t>(at));
    std::ranges::copy(input, blocks.begin() + static_cast<std::ptrdiff_t>(at + counter.size()));
  }
  cmac_blocks(key, blocks);
  std::ranges::copy(blocks, out.begin());
  secure_wipe(blocks);
}

Result<std::unique_ptr<Engine>> make_engine(EngineChoice choice) {
  if (choice != EngineChoice::openssl) {
    if (auto fast = detail::make_ipsec_mb_engine()) return fast;
    if (choice == EngineChoice::ipsec_mb) return fail(Errc::bad_configuration);
  }
  return std::make_unique<detail::OpensslEngine>();
}

Result<EngineChoice> parse_engine_choice(std::string_view text) {
  if (text == "auto") return EngineChoice::fastest;
  if (text == "ipsec-mb") return EngineChoice::ipsec_mb;
  if (text == "openssl") return EngineChoice::openssl;
  return fail(Errc::bad_configuration);
}

}  // namespace sealine::crypto
