#include "sealine/base/base32.hpp"

#include "sealine/base/assert.hpp"

#include <algorithm>
#include <cstdint>

namespace sealine {
namespace {

// All-ones if low <= x <= high, else zero, without a branch.
constexpr std::uint32_t in_range(std::uint32_t x, std::uint32_t low, std::uint32_t high) {
  return (((x - low) | (high - x)) >> 31U) - 1U;
}

// The letter of a value 0..31.
constexpr std::uint32_t letter(std::uint32_t value) {
  return (in_range(value, 0, 25) & (value + 'a')) | (in_range(value, 26, 31) & (value - 26U + '2'));
}

struct Decoded {
  std::uint32_t value;
  std::uint32_t good;
};

constexpr Decoded decode_letter(std::uint32_t c) {
  const std::uint32_t lower = in_range(c, 'a', 'z');
  const std::uint32_t upper = in_range(c, 'A', 'Z');
  const std::uint32_t digit = in_range(c, '2', '7');
  return {(lower & (c - 'a')) | (upper & (c - 'A')) | (digit & (c - '2' + 26U)),
          lower | upper | digit};
}

constexpr std::size_t letters_for(std::size_t size_bytes) { return (size_bytes * 8 + 4) / 5; }

}  // namespace

std::string base32_encode(ByteView bytes) {
  ByteArray<64> piece;  // 40 bytes at a time, since 5 bytes are 8 letters
  std::string text;
  text.reserve(letters_for(bytes.size()));
  while (!bytes.empty()) {
    const ByteView some = bytes.first(std::min<std::size_t>(bytes.size(), 40));
    const MutableBytes letters = MutableBytes(piece).first(letters_for(some.size()));
    base32_encode(some, letters);
    text += as_text(letters);
    bytes = bytes.subspan(some.size());
  }
  return text;
}

void base32_encode(ByteView bytes, MutableBytes out) {
  SEALINE_ASSERT(out.size() == letters_for(bytes.size()));
  std::uint32_t buffer = 0;
  unsigned bits = 0;
  std::size_t used = 0;
  for (const std::uint8_t byte : bytes) {
    buffer = (buffer << 8U) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out[used++] = static_cast<std::uint8_t>(letter((buffer >> bits) & 31U));
    }
  }
  if (bits > 0) out[used] = static_cast<std::uint8_t>(letter((buffer << (5U - bits)) & 31U));
}

Result<> base32_decode(std::string_view text, MutableBytes out) {
  if (text.size() != letters_for(out.size())) return fail(Errc::bad_key_text);
  std::uint32_t good = 0xFFFFFFFFU;
  std::uint32_t buffer = 0;
  unsigned bits = 0;
  std::size_t used = 0;
  for (const char c : text) {
    const Decoded decoded = decode_letter(static_cast<unsigned char>(c));
    good &= decoded.good;
    buffer = (buffer << 5U) | decoded.value;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      out[used++] = static_cast<std::uint8_t>(buffer >> bits);
    }
  }
  const std::uint32_t spare = buffer & ((1U << bits) - 1U);
  // One verdict at the end, so that the place of a wrong letter does not show.
  if (good != 0xFFFFFFFFU || spare != 0) return fail(Errc::bad_key_text);
  return {};
}

}  // namespace sealine
