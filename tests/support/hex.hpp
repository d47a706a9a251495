#pragma once

#include "sealine/base/bytes.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace sealine::test {

using Bytes = std::vector<std::uint8_t>;

/// The bytes of hex digits of either case; blanks and line ends between them are skipped. Throws
/// std::invalid_argument on anything else: a wrong constant in a test is a failing test.
[[nodiscard]] Bytes from_hex(std::string_view text);

/// Lower case, without blanks.
[[nodiscard]] std::string to_hex(ByteView bytes);

/// from_hex into an array; throws if the text holds another number of bytes.
template <std::size_t N>
[[nodiscard]] ByteArray<N> hex_array(std::string_view text) {
  const Bytes bytes = from_hex(text);
  if (bytes.size() != N) throw std::invalid_argument("hex of another length");
  ByteArray<N> out{};
  for (std::size_t i = 0; i < N; ++i) out[i] = bytes[i];
  return out;
}

/// N bytes counting up from `first`: 00 01 02 ...
[[nodiscard]] Bytes counting(std::size_t size_bytes, std::uint8_t first = 0);

/// A copy of any run of bytes, for comparisons that print.
[[nodiscard]] inline Bytes copy_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace sealine::test
