#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/base/writer.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace sealine::wire {

/// Unsigned LEB128 of 64 bits, the shortest form alone.                       spec: stt.md#tlv
inline constexpr std::size_t kMaxVarintBytes = 10;

[[nodiscard]] constexpr std::size_t varint_bytes(std::uint64_t value) noexcept {
  const auto bits = static_cast<std::size_t>(std::bit_width(value | 1U));
  return (bits + 6) / 7;
}

constexpr Writer& put_varint(Writer& writer, std::uint64_t value) {
  while (value >= 0x80U) {
    writer.be(static_cast<std::uint8_t>(value | 0x80U));
    value >>= 7U;
  }
  return writer.be(static_cast<std::uint8_t>(value));
}

/// Leaves the reader where it was on failure. Errors: input_too_short; bad_encoding for a longer
/// form than needed or more than 64 bits. Detail = offset.
[[nodiscard]] constexpr Result<std::uint64_t> read_varint(Reader& reader) {
  const auto at = static_cast<std::uint32_t>(reader.offset());
  const ByteView input = reader.rest();
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < input.size(); ++i) {
    if (i == kMaxVarintBytes) return fail(Errc::bad_encoding, at);
    const std::uint64_t group = input[i] & 0x7FU;
    if (i == kMaxVarintBytes - 1 && group > 1) return fail(Errc::bad_encoding, at);
    value |= group << (7U * i);
    if ((input[i] & 0x80U) != 0) continue;
    if (i > 0 && group == 0) return fail(Errc::bad_encoding, at);
    SEALINE_TRY(taken, reader.bytes(i + 1));
    static_cast<void>(taken);
    return value;
  }
  return fail(Errc::input_too_short, at);
}

}  // namespace sealine::wire
