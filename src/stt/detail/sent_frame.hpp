#pragma once

#include "sealine/stt/frame.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::stt::detail {

/// Control messages that a frame took along, as bits.
namespace carried {
inline constexpr std::uint16_t kAck = 0x001;
inline constexpr std::uint16_t kPing = 0x002;
inline constexpr std::uint16_t kSessionCredit = 0x004;
inline constexpr std::uint16_t kRotate = 0x008;
inline constexpr std::uint16_t kRotated = 0x010;
inline constexpr std::uint16_t kCredit = 0x020;
inline constexpr std::uint16_t kReset = 0x040;
inline constexpr std::uint16_t kStop = 0x080;
inline constexpr std::uint16_t kAbandon = 0x100;
inline constexpr std::uint16_t kMtuProbe = 0x200;
inline constexpr std::uint16_t kAckFrequency = 0x400;
}  // namespace carried

/// What a frame that was sent had in it, for the day that it is acknowledged or lost: never its
/// bytes, which are made anew from the stream.                       spec: stt.md#retransmission
struct SentFrame {
  StreamId stream = 0;  ///< 0: CONTROL
  bool is_data = false;
  bool has_init = false;
  bool fin = false;
  bool message_end = false;
  std::uint16_t carried = 0;     ///< of control frames: bits of `carried`
  std::uint32_t bytes = 0;       ///< of data; kMtuProbe: of the datagram
  std::uint64_t message = 0;     ///< modes 1 to 3
  std::uint64_t offset = 0;      ///< of the stream or the message
  PacketNumber ack_largest = 0;  ///< kAck: what was reported
};

}  // namespace sealine::stt::detail
