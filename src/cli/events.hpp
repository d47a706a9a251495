#pragma once

#include "sealine/base/time.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::cli {

/// What a field of an event or of a log line may be. Sizes in bytes, times in seconds.
using Value = std::variant<std::nullptr_t, bool, std::uint64_t, double, std::string>;

struct Field {
  std::string_view name;
  Value value;
};

using Fields = std::vector<Field>;

/// Version of the events: new fields may appear within it, none changes its meaning.
inline constexpr std::uint64_t kEventVersion = 1;

/// One event: a JSON object on one line, without the line's end. `v`, `t` and `ts` (UTC, ms) come
/// first. A text that is no UTF-8 stands as NAME_b64.
[[nodiscard]] std::string encode_event(std::string_view type, const Fields& fields, UnixMillis now);

/// The same fields as a log line: `ts=... level=... msg="..." key=value`.
[[nodiscard]] std::string encode_logfmt(std::string_view level, std::string_view message,
                                        const Fields& fields, UnixMillis now);

/// ... or as JSON.
[[nodiscard]] std::string encode_json_log(std::string_view level, std::string_view message,
                                          const Fields& fields, UnixMillis now);

/// "2026-01-31T09:30:00.123Z".
[[nodiscard]] std::string utc_text(UnixMillis time);

}  // namespace sealine::cli
