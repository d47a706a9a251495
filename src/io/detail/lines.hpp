#pragma once

#include <cstddef>
#include <string_view>

namespace sealine::io::detail {

/// One line of a text file, without its LF.
struct Line {
  std::string_view text;
  std::size_t number = 0;  ///< 1 for the first

  [[nodiscard]] bool is_comment() const noexcept { return text.empty() || text.front() == '#'; }
};

/// Calls `visit(Line)` for each line; stops and returns its Result at the first that fails.
template <class Visit>
auto for_each_line(std::string_view text, Visit visit) -> decltype(visit(Line{})) {
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (auto result = visit(Line{text.substr(0, end), ++number}); !result) return result;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return {};
}

/// The text before the next single space, which is taken off with it.
inline std::string_view take_field(std::string_view& text) {
  const std::size_t end = text.find(' ');
  const std::string_view field = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return field;
}

}  // namespace sealine::io::detail
