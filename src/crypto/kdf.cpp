#include "sealine/crypto/kdf.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"

#include <algorithm>
#include <array>

namespace sealine::crypto {
namespace {

constexpr std::size_t kMaxInfoParts = 8;
constexpr std::size_t kMaxExpandBytes = 255 * kHashBytes;

}  // namespace

void hkdf_extract(Engine& engine, ByteView salt, Parts ikm, FixedBytes<kHashBytes> out) {
  engine.hmac_sha256(salt, ikm, out);
}

void hkdf_expand(Engine& engine, ByteView key, Parts info, MutableBytes out) {
  SEALINE_ASSERT(out.size() <= kMaxExpandBytes && info.size() <= kMaxInfoParts);
  // T(i) = HMAC(key, T(i-1) || info || i)
  ByteArray<kHashBytes> block;
  std::uint8_t counter = 0;
  std::array<ByteView, kMaxInfoParts + 2> parts;
  std::ranges::copy(info, parts.begin() + 1);
  parts[info.size() + 1] = ByteView(&counter, 1);
  while (!out.empty()) {
    ++counter;
    engine.hmac_sha256(key, Parts(parts).first(info.size() + 2), block);
    parts[0] = block;
    const std::size_t take = std::min(out.size(), block.size());
    std::ranges::copy(ByteView(block).first(take), out.begin());
    out = out.subspan(take);
  }
  secure_wipe(block);
}

void labelled(Engine& engine, ByteView key, std::string_view label, ByteView ctx,
              MutableBytes out) {
  SEALINE_ASSERT(label.size() <= 255 && ctx.size() <= 255 && out.size() <= kMaxExpandBytes);
  const auto size = be_bytes(static_cast<std::uint16_t>(out.size()));
  const auto label_size = be_bytes(static_cast<std::uint8_t>(label.size()));
  const auto ctx_size = be_bytes(static_cast<std::uint8_t>(ctx.size()));
  const std::array<ByteView, 5> info{size, label_size, as_bytes(label), ctx_size, ctx};
  hkdf_expand(engine, key, info, out);
}

}  // namespace sealine::crypto
