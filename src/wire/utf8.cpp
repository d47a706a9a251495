#include "sealine/wire/utf8.hpp"

#include <cstddef>
#include <cstring>

namespace sealine::wire {
namespace {

// Length of the run of ASCII at the front, eight bytes at a time.
std::size_t ascii_run(ByteView bytes) noexcept {
  std::size_t i = 0;
  while (bytes.size() - i >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, sizeof(word));
    if ((word & 0x8080808080808080U) != 0) break;
    i += sizeof(word);
  }
  while (i < bytes.size() && bytes[i] < 0x80U) ++i;
  return i;
}

}  // namespace

bool Utf8::feed(ByteView bytes) noexcept {
  std::size_t i = 0;
  while (!failed_ && i < bytes.size()) {
    if (missing_ == 0) {
      i += ascii_run(bytes.subspan(i));
      if (i == bytes.size()) break;
    }
    const std::uint8_t byte = bytes[i++];
    if (missing_ != 0) {
      failed_ = byte < low_ || byte > high_;
      low_ = 0x80;
      high_ = 0xBF;
      --missing_;
    } else if (byte >= 0xC2 && byte <= 0xDF) {
      missing_ = 1;
    } else if (byte >= 0xE0 && byte <= 0xEF) {
      missing_ = 2;
      if (byte == 0xE0) low_ = 0xA0;   // overlong below
      if (byte == 0xED) high_ = 0x9F;  // surrogates above
    } else if (byte >= 0xF0 && byte <= 0xF4) {
      missing_ = 3;
      if (byte == 0xF0) low_ = 0x90;   // overlong below
      if (byte == 0xF4) high_ = 0x8F;  // beyond U+10FFFF above
    } else {
      failed_ = true;
    }
  }
  return !failed_;
}

bool is_utf8(ByteView bytes) noexcept {
  Utf8 text;
  text.feed(bytes);
  return text.is_whole();
}

}  // namespace sealine::wire
