#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/wire/tlv.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

/// The messages of CONTROL and STREAM_CONTROL frames.                   spec: stt.md#control
namespace sealine::stt {

/// Why a session ended; from 256 on the application's own.
enum class CloseCode : std::uint16_t {
  normal = 0,
  protocol = 1,
  flow = 2,
  stream = 3,  ///< id, parity, state, final size
  keys = 4,    ///< rotation
  limit = 5,
  idle = 6,
  internal = 7,
};

inline constexpr std::uint16_t kFirstApplicationCode = 256;
inline constexpr std::size_t kMaxAckRanges = 32;
inline constexpr std::size_t kMaxCloseReasonBytes = 1024;

struct Ping {  ///< 1
  std::uint64_t nonce = 0;
};

struct Pong {  ///< 2
  std::uint64_t nonce = 0;
};

struct PacketRange {  ///< both ends belong to it
  PacketNumber first = 0;
  PacketNumber last = 0;

  friend bool operator==(const PacketRange&, const PacketRange&) = default;
};

struct EcnCounts {
  std::uint64_t ect0 = 0;
  std::uint64_t ect1 = 0;
  std::uint64_t ce = 0;

  friend bool operator==(const EcnCounts&, const EcnCounts&) = default;
};

struct Ack {  ///< 3: newest range first
  std::array<PacketRange, kMaxAckRanges> ranges{};
  std::size_t range_count = 0;
  std::uint32_t delay_us = 0;
  std::optional<EcnCounts> ecn;

  [[nodiscard]] std::span<const PacketRange> all() const noexcept {
    return std::span(ranges).first(range_count);
  }
};

struct SessionCredit {  ///< 4: absolute
  std::uint64_t limit = 0;
};

struct Rotate {  ///< 5
  Epoch epoch = 0;
  ByteArray<32> nonce{};
  std::optional<ByteArray<32>> ephemeral;

  friend bool operator==(const Rotate&, const Rotate&) = default;
};

struct Rotated {  ///< 14
  Epoch epoch = 0;
  std::optional<ByteArray<32>> ephemeral;

  friend bool operator==(const Rotated&, const Rotated&) = default;
};

struct CloseMessage {  ///< 6
  std::uint16_t code = 0;
  std::string_view reason;  ///< good as long as the frame
};

struct PathChallenge {  ///< 7
  ByteArray<16> bytes{};
};

struct PathResponse {  ///< 8
  ByteArray<16> bytes{};
};

struct AckFrequency {  ///< 12
  std::uint16_t packets = 0;
  std::uint32_t max_delay_us = 0;
};

struct Credit {  ///< stream 2: absolute
  std::uint64_t limit = 0;
};

struct Blocked {  ///< stream 3
  std::uint64_t at = 0;
};

struct Reset {  ///< stream 4
  std::uint16_t code = 0;
  std::uint64_t final_size = 0;
};

struct Stop {  ///< stream 5
  std::uint16_t code = 0;
};

struct Abandon {  ///< stream 6
  std::uint64_t up_to = 0;
};

using ControlMessage =
    std::variant<Ping, Pong, Ack, SessionCredit, Rotate, Rotated, CloseMessage, PathChallenge,
                 PathResponse, AckFrequency, Credit, Blocked, Reset, Stop, Abandon>;

/// Reads the messages of one frame, one by one. Unknown and reserved codes are passed over.
class SEALINE_API ControlReader {
 public:
  /// `type` is control or stream_control.
  ControlReader(FrameType type, ByteView body) : type_(type), cursor_(body) {}

  /// The next message; nothing at the end, once nothing is left over. Errors: protocol_broken.
  [[nodiscard]] Result<std::optional<ControlMessage>> next();

 private:
  [[nodiscard]] Result<> begin();
  [[nodiscard]] Result<std::optional<ControlMessage>> message();

  FrameType type_;
  wire::Cursor cursor_;
  std::optional<std::uint32_t> left_;
};

/// Writes one frame's messages. Room is checked before each; what does not fit is left for the next
/// frame.
class SEALINE_API ControlWriter {
 public:
  explicit ControlWriter(MutableBytes out);

  /// False, with nothing written, if it does not fit.
  bool put(const ControlMessage& message);

  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

  /// The frame's body; empty without a message.
  [[nodiscard]] ByteView finish();

 private:
  MutableBytes out_;
  std::size_t used_;
  std::uint32_t count_ = 0;
};

/// The packet numbers of ACK.ranges. Errors: protocol_broken.
[[nodiscard]] SEALINE_API Result<> parse_ack_ranges(PacketNumber largest, ByteView bytes, Ack& out);
/// The reverse; `out` takes what is written, at most kMaxAckRangesBytes.
inline constexpr std::size_t kMaxAckRangesBytes = kMaxAckRanges * 20;
SEALINE_API void encode_ack_ranges(std::span<const PacketRange> ranges, Writer& out);

}  // namespace sealine::stt
