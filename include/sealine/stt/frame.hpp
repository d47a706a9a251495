#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::stt {

using SessionId = ByteArray<8>;
/// 0: the session itself. Odd: opened by the initiator, even: by the responder.
using StreamId = std::uint16_t;
using PacketNumber = std::uint64_t;
using Epoch = std::uint32_t;

enum class Role : std::uint8_t { initiator, responder };

[[nodiscard]] constexpr Role other(Role role) noexcept {
  return role == Role::initiator ? Role::responder : Role::initiator;
}

enum class FrameType : std::uint8_t {
  handshake = 1,
  data = 2,
  control = 3,
  stream_control = 4,
  auth = 5,
};

/// Bits of a frame's flags.
namespace flag {
inline constexpr std::uint8_t kReliable = 0x01;  ///< must be acknowledged (UDP)
inline constexpr std::uint8_t kInit = 0x02;      ///< the stream's parameters come first
inline constexpr std::uint8_t kFin = 0x04;
inline constexpr std::uint8_t kMessageEnd = 0x08;
inline constexpr std::uint8_t kAckNow = 0x10;
inline constexpr std::uint8_t kPadded = 0x20;
inline constexpr std::uint8_t kReserved = 0xC0;
}  // namespace flag

inline constexpr std::size_t kMinPayloadBytes = 16;  ///< a tag
inline constexpr std::size_t kMaxPayloadBytes = 131072;
inline constexpr PacketNumber kMaxPacketNumber = (PacketNumber{1} << 62U) - 1;
inline constexpr std::size_t kMaxHandshakePayloadBytes = 4096 + 20;
/// Magic, type, session id, stream id, sequence, flags, payload length.
inline constexpr std::size_t kMaxHeaderBytes = 2 + 1 + 8 + 3 + 9 + 1 + 3;
/// Behind the payload: length and epoch.
inline constexpr std::size_t kMaxMetaBytes = 1 + 5;
inline constexpr std::size_t kMaxFrameOverheadBytes =
    kMaxHeaderBytes + kMinPayloadBytes + kMaxMetaBytes;

/// The head of every frame.                                            spec: stt.md#frames
///
///   Magic 2 | Type 1 | SessionID 8 | StreamID varint | Sequence varint | Flags 1 | PayLen varint |
///   Payload | MetaLen varint | Meta
struct FrameHead {
  FrameType type{};
  SessionId session_id{};
  StreamId stream = 0;
  PacketNumber number = 0;  ///< Sequence
  std::uint8_t flags = 0;
  std::uint32_t payload_bytes = 0;
  Epoch epoch = 0;  ///< Meta of a session frame; a frame of the handshake has none

  [[nodiscard]] bool is_handshake() const noexcept {
    return type == FrameType::handshake || type == FrameType::auth;
  }
};

/// One frame of a datagram, found but not opened.
struct FrameView {
  FrameHead head;
  ByteView header;       ///< Magic .. PayLen, as sent
  MutableBytes payload;  ///< ciphertext and tag
  ByteView meta;
  std::size_t frame_bytes = 0;
};

/// Reads the frame at the front of `datagram`. Every rule of the head that can be checked without a
/// key is: magic, type, ids, reserved flags, lengths, shortest varints. Errors: input_too_short,
/// bad_encoding, bad_record_head, bad_length.
[[nodiscard]] SEALINE_API Result<FrameView> parse_frame(MutableBytes datagram);

/// Writes Magic .. PayLen; returns its length. `out` takes kMaxHeaderBytes.
[[nodiscard]] SEALINE_API std::size_t encode_header(const FrameHead& head, MutableBytes out);

/// Writes MetaLen and Meta; returns its length. `out` takes kMaxMetaBytes.
[[nodiscard]] SEALINE_API std::size_t encode_meta(const FrameHead& head, MutableBytes out);

[[nodiscard]] SEALINE_API std::size_t header_bytes(const FrameHead& head) noexcept;
[[nodiscard]] SEALINE_API std::size_t meta_bytes(const FrameHead& head) noexcept;

}  // namespace sealine::stt
