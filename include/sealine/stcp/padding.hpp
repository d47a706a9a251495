#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace sealine::stcp {

struct PadNone {
  friend bool operator==(const PadNone&, const PadNone&) = default;
};

/// To the next multiple of a power of two, at least one.
struct PadToMultiple {
  std::uint32_t multiple_bytes;
  friend bool operator==(const PadToMultiple&, const PadToMultiple&) = default;
};

/// PADME: at most 12 % more, the length leaks O(log log n) bits.
struct PadPadme {
  friend bool operator==(const PadPadme&, const PadPadme&) = default;
};

/// Records of one size at a fixed pace, empty if need be: sizes and times are hidden, and the rate
/// is bounded.
struct PadConstantRate {
  std::uint32_t record_bytes;
  Duration interval;
  friend bool operator==(const PadConstantRate&, const PadConstantRate&) = default;
};

/// How the sender fills its records. The receiver needs not know. spec: stcp.md#padding
using Padding = std::variant<PadNone, PadToMultiple, PadPadme, PadConstantRate>;

/// len(data) + pad under a policy, never above `max_record_bytes` (M).
[[nodiscard]] SEALINE_API std::size_t padded_size(const Padding& padding, std::size_t data_bytes,
                                                  std::size_t max_record_bytes) noexcept;

/// Errors: bad_configuration (no power of two, or out of 2..M; a pace above 64 records a second).
[[nodiscard]] SEALINE_API Result<> check(const Padding& padding, std::size_t max_record_bytes);

/// "none", "256", "padme". Errors: usage.
[[nodiscard]] SEALINE_API Result<Padding> parse_padding(std::string_view text);

}  // namespace sealine::stcp
