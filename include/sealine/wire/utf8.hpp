#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"

#include <cstdint>

namespace sealine::wire {

/// Checks UTF-8 (RFC 3629) that comes in pieces: no surrogates, no overlong forms, nothing above
/// U+10FFFF. Fails at the first byte that cannot belong to a valid text.
class SEALINE_API Utf8 {
 public:
  /// False once and for all from the first bad byte on.
  bool feed(ByteView bytes) noexcept;

  /// The text so far is valid and ends with a whole character.
  [[nodiscard]] bool is_whole() const noexcept { return !failed_ && missing_ == 0; }

 private:
  /// What the next byte must lie between, where `missing_` bytes of a character are to come.
  std::uint8_t low_ = 0x80;
  std::uint8_t high_ = 0xBF;
  std::uint8_t missing_ = 0;
  bool failed_ = false;
};

[[nodiscard]] SEALINE_API bool is_utf8(ByteView bytes) noexcept;

}  // namespace sealine::wire
