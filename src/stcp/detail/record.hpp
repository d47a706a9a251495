#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/stcp/limits.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sealine::stcp::detail {

/// One record of the encrypted stream.                                         spec: stcp.md#record
///
///   0             8                       24                                            24+length
///   +-------------+-----------------------+------+-----+---------+-------------+--------+
///   | length (BE) | IV 16, known before   | data | pad | type, 1 | pad (BE), 3 | tag 16 |
///   +-------------+-----------------------+------+-----+---------+-------------+--------+
///                                         `----------- sealed --------------'
/// length counts all behind the head: 20 .. M + 20.
enum class RecordType : std::uint8_t {
  data = 0x00,
  close = 0x01,
  rekey = 0x02,
  ping = 0x03,
  finish = 0x05,
  pin_update = 0x06,
};

inline constexpr std::size_t kIvBytes = 16;
inline constexpr std::size_t kMinRecordLength = kRecordTrailerBytes + kRecordTagBytes;
inline constexpr std::size_t kCloseDataBytes = 1;
inline constexpr std::size_t kRekeyShareBytes = 32;
inline constexpr std::size_t kPinDataBytes = 32;
inline constexpr std::size_t kFinishSasBytes = 32;
/// The most data that a record without application bytes has.
inline constexpr std::size_t kMaxControlDataBytes = 32;

struct RecordTrailer {
  RecordType type{};
  std::size_t pad_bytes = 0;
};

[[nodiscard]] inline std::uint64_t load_be64(const std::uint8_t* bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = (value << 8U) | bytes[i];
  return value;
}

inline void store_be64(std::uint64_t value, std::uint8_t* bytes) {
  for (std::size_t i = 8; i-- > 0; value >>= 8U) bytes[i] = static_cast<std::uint8_t>(value);
}

/// Reads the trailer of a plaintext of `plaintext_bytes`, of which `trailer` are the last four.
/// Checks, in this order, the pad, the type and the size of the data. Errors: bad_trailer.
[[nodiscard]] Result<RecordTrailer> parse_trailer(FixedView<kRecordTrailerBytes> trailer,
                                                  std::size_t plaintext_bytes);

inline void encode_trailer(RecordTrailer trailer, FixedBytes<kRecordTrailerBytes> out) {
  out[0] = static_cast<std::uint8_t>(trailer.type);
  out[1] = static_cast<std::uint8_t>(trailer.pad_bytes >> 16U);
  out[2] = static_cast<std::uint8_t>(trailer.pad_bytes >> 8U);
  out[3] = static_cast<std::uint8_t>(trailer.pad_bytes);
}

}  // namespace sealine::stcp::detail
