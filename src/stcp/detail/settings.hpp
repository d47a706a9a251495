#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::stcp::detail {

/// What each end says of itself, in steps 1 and 2.                          spec: stcp.md#handshake
///
///   0                 1           2
///   +-----------------+-----------+
///   | max_record_log2 | flags 00  |
///   +-----------------+-----------+
struct Settings {
  std::uint8_t max_record_log2 = kMinRecordLog2;  ///< 12..24

  static constexpr std::uint8_t kMinRecordLog2 = 12;
  static constexpr std::uint8_t kMaxRecordLog2 = 24;
};

inline constexpr std::size_t kSettingsBytes = 2;

[[nodiscard]] ByteArray<kSettingsBytes> encode(const Settings& settings);

/// Errors: bad_settings, for any value that is not defined.
[[nodiscard]] Result<Settings> parse_settings(FixedView<kSettingsBytes> bytes);

}  // namespace sealine::stcp::detail
