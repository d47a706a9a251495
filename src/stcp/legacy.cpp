#include "sealine/stcp/legacy.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/errc.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/aes_cbc.hpp"
#include "sealine/crypto/kdf.hpp"
#include "sealine/crypto/xaes.hpp"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

namespace sealine::stcp {

namespace {

constexpr std::string_view kSalt = "STCP legacy v1";
constexpr std::size_t kLegacyHeadBytes = 16;  // BE64 seq, BE64 unix_ms: sealed before the data
constexpr std::size_t kMaxIvBytes = 32;
constexpr unsigned kSequenceShift = 20;  // the first seq is the start in ms, shifted by so much
constexpr UnixMillis kLatestStart = std::numeric_limits<std::uint64_t>::max() >> kSequenceShift;
constexpr UnixMillis kMaxSkewMillis = 120'000;

constexpr bool is_key_or_iv_size(std::size_t size_bytes) {
  return size_bytes == 16 || size_bytes == 24 || size_bytes == 32;
}

Result<> check(const LegacyKey& key) {
  if (!is_key_or_iv_size(key.key.expose().size()) || !is_key_or_iv_size(key.iv_size)) {
    return fail(Errc::bad_configuration);
  }
  return {};
}

/// K' = HKDF-SHA256(salt "STCP legacy v1", key, info = u8(iv_size), 32).
void derive_key(crypto::Engine& engine, const LegacyKey& key, FixedBytes<32> out) {
  Secret<32, struct LegacyExtractTag> extracted;
  const ByteView ikm = key.key.expose();
  crypto::hkdf_extract(engine, as_bytes(kSalt), crypto::Parts(&ikm, 1), extracted.writable());
  const ByteArray<1> info = {static_cast<std::uint8_t>(key.iv_size)};
  const ByteView info_view = info;
  crypto::hkdf_expand(engine, extracted.expose(), crypto::Parts(&info_view, 1), out);
}

/// How an IV of any of the three sizes enters XAES-256-GCM: its first 24 bytes are the nonce, with
/// zeros where there are fewer, and what is left is authenticated behind the role.
struct PacketNonce {
  PacketNonce(LegacyRole role, ByteView iv) {
    const std::size_t in_nonce = std::min(iv.size(), nonce.size());
    std::ranges::copy(iv.first(in_nonce), nonce.begin());
    aad[0] = std::to_underlying(role);
    std::ranges::copy(iv.subspan(in_nonce), aad.begin() + 1);
    aad_size = 1 + iv.size() - in_nonce;
  }

  [[nodiscard]] ByteView aad_view() const { return ByteView(aad).first(aad_size); }

  ByteArray<crypto::kXaesNonceBytes> nonce{};
  ByteArray<1 + kMaxIvBytes - crypto::kXaesNonceBytes> aad{};
  std::size_t aad_size = 0;
};

bool is_near(UnixMillis a, UnixMillis b) { return (a > b ? a - b : b - a) <= kMaxSkewMillis; }

}  // namespace

Result<LegacySealer> LegacySealer::create(const LegacyKey& key, LegacyRole role, UnixMillis start,
                                          crypto::Engine& engine, crypto::Rng& rng) {
  SEALINE_TRY(check(key));
  if (start > kLatestStart) return fail(Errc::bad_configuration);
  LegacySealer sealer;
  derive_key(engine, key, sealer.key_.writable());
  sealer.iv_size_ = key.iv_size;
  sealer.role_ = role;
  sealer.next_sequence_ = start << kSequenceShift;
  sealer.engine_ = &engine;
  sealer.rng_ = &rng;
  return sealer;
}

Result<std::size_t> LegacySealer::seal(ByteView data, UnixMillis now, MutableBytes out) {
  if (data.size() > kMaxLegacyDataBytes) return fail(Errc::value_too_large);
  if (next_sequence_ == std::numeric_limits<std::uint64_t>::max()) {
    return fail(Errc::sequence_exhausted);
  }
  const std::size_t packet_bytes = data.size() + overhead();
  if (out.size() < packet_bytes) return fail(Errc::out_of_space);

  const MutableBytes iv = out.first(iv_size_);
  rng_->fill(iv);
  const PacketNonce nonce(role_, iv);
  const MutableBytes sealed = out.subspan(iv_size_, packet_bytes - iv_size_);
  ByteArray<kLegacyHeadBytes> head{};
  Writer(head).be(next_sequence_).be(now);
  // The data stands behind the place of the head, and both are sealed as one plaintext.
  std::ranges::copy(data, sealed.begin() + kLegacyHeadBytes);
  crypto::xaes_seal(*engine_, key_.expose(), nonce.nonce, nonce.aad_view(), head, sealed);
  ++next_sequence_;
  return packet_bytes;
}

std::size_t LegacySealer::overhead() const noexcept {
  return iv_size_ + kLegacyHeadBytes + crypto::kTagBytes;
}

Result<LegacyOpener> LegacyOpener::create(const LegacyKey& key, LegacyRole role, UnixMillis start,
                                          Options options, crypto::Engine& engine) {
  SEALINE_TRY(check(key));
  LegacyOpener opener;
  derive_key(engine, key, opener.key_.writable());
  opener.iv_size_ = key.iv_size;
  opener.role_ = role;
  opener.start_ = start;
  opener.options_ = options;
  opener.engine_ = &engine;
  return opener;
}

Result<LegacyPacket> LegacyOpener::open(MutableBytes packet, UnixMillis now) {
  const std::size_t least = iv_size_ + kLegacyHeadBytes + crypto::kTagBytes;
  if (packet.size() < least || packet.size() - least > kMaxLegacyDataBytes) {
    return fail(Errc::packet_not_authentic);
  }
  const PacketNonce nonce(role_, packet.first(iv_size_));
  const MutableBytes sealed = packet.subspan(iv_size_);
  ByteArray<kLegacyHeadBytes> head{};
  if (!crypto::xaes_open(*engine_, key_.expose(), nonce.nonce, nonce.aad_view(), sealed, head)) {
    return fail(Errc::packet_not_authentic);
  }
  Reader reader(head);
  SEALINE_TRY(sequence, reader.be<std::uint64_t>());
  SEALINE_TRY(sent_at, reader.be<UnixMillis>());
  const MutableBytes data = sealed.subspan(kLegacyHeadBytes, packet.size() - least);

  const bool in_time = options_.any_time || (is_near(sent_at, now) && sent_at >= start_);
  if (!in_time || !is_new(sequence)) {
    secure_wipe(data);  // nobody reads what was refused
    return fail(Errc::packet_not_authentic);
  }
  remember(sequence);
  return LegacyPacket{sequence, sent_at, data};
}

bool LegacyOpener::is_new(std::uint64_t sequence) const noexcept {
  if (!any_seen_ || sequence > highest_) return true;
  if (highest_ - sequence >= kWindow) return false;
  const std::uint64_t bit = std::uint64_t{1} << (sequence % 64);
  return (seen_[sequence % kWindow / 64] & bit) == 0;
}

void LegacyOpener::remember(std::uint64_t sequence) noexcept {
  if (!any_seen_) {
    any_seen_ = true;
    highest_ = sequence;
  }
  if (sequence > highest_) {
    // What lies between was not seen; its bits still hold what was a window earlier.
    if (sequence - highest_ >= kWindow) {
      seen_.fill(0);
    } else {
      for (std::uint64_t skipped = highest_ + 1; skipped != sequence; ++skipped) {
        seen_[skipped % kWindow / 64] &= ~(std::uint64_t{1} << (skipped % 64));
      }
    }
    highest_ = sequence;
  }
  seen_[sequence % kWindow / 64] |= std::uint64_t{1} << (sequence % 64);
}

Result<std::size_t> open_legacy_raw(const LegacyKey& key, ByteView packet, MutableBytes out) {
  SEALINE_TRY(check(key));
  if (packet.size() < key.iv_size) return fail(Errc::packet_not_authentic);
  SEALINE_ASSERT(out.size() >= packet.size());
  return crypto::aes_cbc_open(key.key.expose(), packet.first<16>(), packet.subspan(key.iv_size),
                              out);
}

}  // namespace sealine::stcp
