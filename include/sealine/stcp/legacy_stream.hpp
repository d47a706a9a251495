#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/stcp/legacy.hpp"

#include <cstddef>
#include <optional>
#include <vector>

namespace sealine::stcp {

/// Legacy packets on a byte stream: each behind the number of its bytes that follow the IV.
/// With an IV of 16 that is the record of the STCP draft.                  spec: stcp.md#legacy
///
///   0             8            8+iv_size                        8+iv_size+length
///   +-------------+------------+------ ... ------+--------------+
///   | length (BE) | IV         | sealed: seq, time, data, tag   |
///   +-------------+------------+------ ... ------+--------------+
///
/// length is 32 (no data) to 2^24 + 32.
inline constexpr std::size_t kLegacyFrameHeadBytes = 8;
inline constexpr std::size_t kMinLegacySealedBytes = 32;
inline constexpr std::size_t kMaxLegacySealedBytes = kMaxLegacyDataBytes + kMinLegacySealedBytes;

/// The bytes that precede a packet of `packet_bytes`, which comes from LegacySealer::seal.
[[nodiscard]] SEALINE_API ByteArray<kLegacyFrameHeadBytes> encode_legacy_frame_head(
    std::size_t packet_bytes, std::size_t iv_size);

/// How many bytes the packet behind `head` has, IV included. Errors: bad_length.
[[nodiscard]] SEALINE_API Result<std::size_t> parse_legacy_frame_head(
    FixedView<kLegacyFrameHeadBytes> head, std::size_t iv_size);

/// Cuts a byte stream into packets. It grows with the bytes that came, never with a length that was
/// announced, and holds no more than one append() beyond a whole frame if next_packet() is called
/// until it has nothing. One thread.
class SEALINE_API LegacyStreamReader {
 public:
  /// `iv_size` is 16, 24 or 32.
  explicit LegacyStreamReader(std::size_t iv_size) : iv_size_(iv_size) {}

  /// Takes bytes of the stream, in any split.
  void append(ByteView bytes);

  /// The next whole packet, for LegacyOpener::open, good until the next call of anything here;
  /// nothing if more bytes are needed. Errors: bad_length, and again at each later call.
  [[nodiscard]] Result<std::optional<MutableBytes>> next_packet();

  /// The stream has ended. Errors: truncated, if it did so inside of a frame.
  [[nodiscard]] Result<> finish() const;

 private:
  std::size_t iv_size_;
  std::vector<std::uint8_t> buffer_;
  std::size_t used_ = 0;  ///< bytes at the front of buffer_ that were given out
};

}  // namespace sealine::stcp
