#include "websocket/detail/http_head.hpp"

#include "sealine/websocket/handshake.hpp"

#include <algorithm>

namespace sealine::websocket::detail {
namespace {

char lower(char letter) noexcept {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

bool is_token(std::string_view text) noexcept {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

bool is_printable(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7F);
  });
}

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view kBlank = " \t";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

bool list_holds(std::string_view list, std::string_view word) noexcept {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (equals_ignoring_case(trimmed(list.substr(0, comma)), word)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

std::optional<std::size_t> head_length(std::string_view bytes) noexcept {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  return end + 4;
}

Result<Head> parse_head(std::string_view text) {
  Head head;
  bool is_first = true;
  text.remove_suffix(2);  // the blank line
  while (!text.empty()) {
    const std::size_t end = text.find("\r\n");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    if (!is_printable(line)) return fail(Errc::bad_encoding);
    if (is_first) {
      head.start_line = line;
      is_first = false;
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
      return fail(Errc::bad_encoding);
    }
    if (head.headers.size() == kMaxHeaders) return fail(Errc::value_too_large);
    head.headers.emplace_back(line.substr(0, colon), trimmed(line.substr(colon + 1)));
  }
  return head;
}

std::size_t count(const Headers& headers, std::string_view name) noexcept {
  return static_cast<std::size_t>(std::ranges::count_if(
      headers, [name](const auto& header) { return equals_ignoring_case(header.first, name); }));
}

std::optional<std::string_view> only(const Headers& headers, std::string_view name) noexcept {
  if (count(headers, name) != 1) return std::nullopt;
  return std::ranges::find_if(
             headers,
             [name](const auto& header) { return equals_ignoring_case(header.first, name); })
      ->second;
}

bool any_holds(const Headers& headers, std::string_view name, std::string_view word) noexcept {
  return std::ranges::any_of(headers, [&](const auto& header) {
    return equals_ignoring_case(header.first, name) && list_holds(header.second, word);
  });
}

}  // namespace sealine::websocket::detail
