#include "sealine/crypto/key_text.hpp"

#include "sealine/base/base32.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/constant_time.hpp"

#include <algorithm>

namespace sealine::crypto {
namespace {

constexpr std::size_t kPrefixChars = 4;
constexpr std::size_t kChecksumBytes = 3;
constexpr std::size_t kPayloadBytes = kKeyBytes + kChecksumBytes;
constexpr std::size_t kHexChars = 2 * kKeyBytes;
constexpr std::string_view kPrivatePrefix = "slk1";
constexpr std::string_view kPublicPrefix = "slp1";
constexpr std::string_view kPskPrefix = "sls1";
static_assert(kKeyTextChars == kPrefixChars + kPayloadBytes * 8 / 5);

using Payload = Secret<kPayloadBytes, struct KeyTextPayloadTag>;

// H(prefix || v)[0:3]
ByteArray<kChecksumBytes> checksum(Engine& engine, std::string_view prefix,
                                   FixedView<kKeyBytes> value) {
  ByteArray<kHashBytes> hash;
  engine.sha256({as_bytes(prefix), value}, hash);
  ByteArray<kChecksumBytes> first{};
  std::ranges::copy_n(hash.begin(), kChecksumBytes, first.begin());
  return first;
}

SecretBytes encode(Engine& engine, std::string_view prefix, FixedView<kKeyBytes> value) {
  Payload payload;
  std::ranges::copy(value, payload.writable().begin());
  std::ranges::copy(checksum(engine, prefix, value), payload.writable().begin() + kKeyBytes);
  SecretBytes text(kKeyTextChars);
  std::ranges::copy(as_bytes(prefix), text.writable().begin());
  base32_encode(payload.expose(), text.writable().subspan(kPrefixChars));
  return text;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The prefix is public, whatever follows it is not.
bool has_prefix(std::string_view text, std::string_view prefix) {
  return std::ranges::equal(text.substr(0, prefix.size()), prefix, {}, lower);
}

Result<> decode(Engine& engine, std::string_view prefix, std::string_view text,
                FixedBytes<kKeyBytes> value) {
  if (text.size() != kKeyTextChars || !has_prefix(text, prefix)) return fail(Errc::bad_key_text);
  Payload payload;
  SEALINE_TRY(base32_decode(text.substr(kPrefixChars), payload.writable()));
  const auto decoded = payload.expose();
  if (!ct_equal(checksum(engine, prefix, decoded.first<kKeyBytes>()),
                decoded.last<kChecksumBytes>())) {
    return fail(Errc::bad_key_text);
  }
  std::ranges::copy(decoded.first<kKeyBytes>(), value.begin());
  return {};
}

// All-ones if low <= x <= high, else zero, without a branch.
constexpr unsigned in_range(unsigned x, unsigned low, unsigned high) {
  return (((x - low) | (high - x)) >> 31U) - 1U;
}

// Hex of either case. As base32_decode: no branch or index depends on a digit, and one verdict at
// the end.
Result<> decode_hex(std::string_view text, FixedBytes<kKeyBytes> value) {
  unsigned good = ~0U;
  unsigned byte = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned c = static_cast<unsigned char>(text[i]);
    const unsigned digit = in_range(c, '0', '9');
    const unsigned small = in_range(c, 'a', 'f');
    const unsigned large = in_range(c, 'A', 'F');
    good &= digit | small | large;
    byte =
        (byte << 4U) | (digit & (c - '0')) | (small & (c - 'a' + 10U)) | (large & (c - 'A' + 10U));
    if (i % 2 == 1) value[i / 2] = static_cast<std::uint8_t>(byte);
  }
  if (good != ~0U) return fail(Errc::bad_key_text);
  return {};
}

}  // namespace

std::string public_key_text(Engine& engine, const PublicKey& key) {
  const SecretBytes text = encode(engine, kPublicPrefix, key.bytes);
  return std::string(as_text(text.expose()));
}

Result<PublicKey> parse_public_key(Engine& engine, std::string_view text) {
  PublicKey key;
  SEALINE_TRY(decode(engine, kPublicPrefix, text, key.bytes));
  return key;
}

SecretBytes private_key_text(Engine& engine, const PrivateKey& key) {
  return encode(engine, kPrivatePrefix, key.expose());
}

Result<PrivateKey> parse_private_key(Engine& engine, std::string_view text) {
  PrivateKey key;
  SEALINE_TRY(decode(engine, kPrivatePrefix, text, key.writable()));
  return key;
}

SecretBytes psk_text(Engine& engine, const Psk& psk) {
  return encode(engine, kPskPrefix, psk.expose());
}

Result<Psk> parse_psk(Engine& engine, std::string_view text) {
  Psk psk;
  if (text.size() == kHexChars) {
    SEALINE_TRY(decode_hex(text, psk.writable()));
  } else {
    SEALINE_TRY(decode(engine, kPskPrefix, text, psk.writable()));
  }
  return psk;
}

std::string fingerprint(Engine& engine, const PublicKey& key) {
  ByteArray<kHashBytes> hash;
  engine.sha256({as_bytes("stcp1 fp"), key.bytes}, hash);
  std::string text = base32_encode(ByteView(hash).first(10));
  for (const std::size_t at : {4U, 9U, 14U}) text.insert(at, 1, '-');
  return text;
}

}  // namespace sealine::crypto
