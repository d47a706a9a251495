#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace sealine::cli {

/// DUR: 250ms, 10s, 10m, 2h, 1d; a bare number is seconds. At most 1000 days. Errors: usage.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);

/// SIZE in bytes: 20M (10^6), 1GiB (2^30), with or without the B; K, M, G, T. Errors: usage.
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view text);

/// A whole number of at least `least`. Errors: usage.
[[nodiscard]] Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t least,
                                                std::uint64_t most);

/// "4.1 GB": decimal, three digits at most.
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

/// "2.4 s", "350 ms".
[[nodiscard]] std::string format_duration(Duration duration);

}  // namespace sealine::cli
