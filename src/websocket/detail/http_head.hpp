#pragma once

#include "sealine/base/error.hpp"

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

/// Just as much of HTTP/1.1 as a WebSocket's opening needs, read strictly.
namespace sealine::websocket::detail {

using Headers = std::vector<std::pair<std::string_view, std::string_view>>;

[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// Whether a comma-separated list holds `word`, in any case.
[[nodiscard]] bool list_holds(std::string_view list, std::string_view word) noexcept;

/// Length of the head with its blank line; nothing while it is not whole.
[[nodiscard]] std::optional<std::size_t> head_length(std::string_view bytes) noexcept;

struct Head {
  std::string_view start_line;
  Headers headers;
};

/// CRLF alone ends a line; no folded lines, no white space before a colon, no control characters.
/// Errors: bad_encoding; too many headers: value_too_large.
[[nodiscard]] Result<Head> parse_head(std::string_view head);

/// The one header of that name; nothing if there is none or more than one.
[[nodiscard]] std::optional<std::string_view> only(const Headers& headers,
                                                   std::string_view name) noexcept;
[[nodiscard]] std::size_t count(const Headers& headers, std::string_view name) noexcept;
/// Whether any header of that name holds `word` in its list.
[[nodiscard]] bool any_holds(const Headers& headers, std::string_view name,
                             std::string_view word) noexcept;

}  // namespace sealine::websocket::detail
