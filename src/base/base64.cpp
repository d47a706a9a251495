#include "sealine/base/base64.hpp"

#include <algorithm>
#include <cstddef>

namespace sealine {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string base64(ByteView bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = (group << 8U) | (k < count ? bytes[i + k] : 0U);
    for (std::size_t k = 0; k < 4; ++k) {
      out.push_back(k <= count ? kAlphabet[(group >> (18 - (6 * k))) & 0x3FU] : '=');
    }
  }
  return out;
}

Result<std::vector<std::uint8_t>> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return fail(Errc::bad_encoding);
  std::vector<std::uint8_t> out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool is_last = i + 4 == text.size();
    std::size_t letters = 4;
    while (is_last && letters > 2 && text[i + letters - 1] == '=') --letters;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const std::size_t value = k < letters ? kAlphabet.find(text[i + k]) : 0;
      if (value == std::string_view::npos) return fail(Errc::bad_encoding);
      group = (group << 6U) | static_cast<std::uint32_t>(value);
    }
    const std::size_t count = letters - 1;
    const std::uint32_t unused = (1U << (8 * (3 - count))) - 1;
    if ((group & unused) != 0) return fail(Errc::bad_encoding);
    for (std::size_t k = 0; k < count; ++k) {
      out.push_back(static_cast<std::uint8_t>(group >> (16 - (8 * k))));
    }
  }
  return out;
}

}  // namespace sealine
