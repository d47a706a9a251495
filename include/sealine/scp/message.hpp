#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/scp/limits.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::scp {

enum class Type : std::uint8_t { init = 1, response = 2, data = 3, ack = 4, close = 5 };

/// The head of every message.                                                        spec:
/// scp.md#message
///
///   0         1      2              10             14              14+length        46+length
///   +---------+------+--------------+--------------+------ ... ------+---------------+
///   | version | type | sequence BE64| length BE32  | payload         | HMAC-SHA-256  |
///   +---------+------+--------------+--------------+------ ... ------+---------------+
struct Head {
  static constexpr std::uint8_t kVersion = 1;
  Type type{};
  std::uint64_t sequence = 0;
  std::uint32_t payload_bytes = 0;

  [[nodiscard]] std::size_t message_bytes() const noexcept {
    return kHeadBytes + payload_bytes + kMacBytes;
  }
};

/// What a receiver knows of the next head before it comes.
struct Expected {
  std::uint64_t sequence = 0;
  std::uint32_t min_payload_bytes = 0;
  std::uint32_t max_payload_bytes = 0;
  /// One type in the handshake, any of the five later.
  bool any_type = false;
  Type type{};
};

[[nodiscard]] SEALINE_API ByteArray<kHeadBytes> encode(const Head& head) noexcept;
/// The same, where it is to stand.
SEALINE_API void encode(const Head& head, FixedBytes<kHeadBytes> out) noexcept;

/// Checks a head in the order version, sequence, type, length. Errors: version_refused,
/// record_out_of_place, wrong_state, bad_length.
[[nodiscard]] SEALINE_API Result<Head> parse_head(FixedView<kHeadBytes> bytes,
                                                  const Expected& expected);

}  // namespace sealine::scp
