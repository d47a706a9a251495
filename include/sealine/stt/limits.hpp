#pragma once

#include "sealine/base/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sealine::stt {

inline constexpr std::uint16_t kMaxStreamsOfPeer = 1024;  ///< open at once
inline constexpr std::size_t kMaxMessageBytes = 131072;   ///< modes 1 to 3
inline constexpr std::uint64_t kMessageIdWindow = 16384;
inline constexpr std::size_t kMaxGaps = 1024;               ///< of a stream's received data
inline constexpr std::size_t kDatagramQueueBytes = 262144;  ///< modes 2 and 3: oldest dropped
inline constexpr std::uint64_t kMessageCreditBytes = 16;  ///< what a message costs beside its bytes

/// Every limit of a session, in one place. spec: stt.md#limits
struct Limits {
  std::uint64_t stream_window_bytes = 262144;
  std::uint64_t session_window_bytes = 1048576;
  std::uint64_t max_stream_window_bytes = std::uint64_t{16} << 20U;  ///< auto-tuning stops here
  std::uint64_t max_session_window_bytes = std::uint64_t{64} << 20U;
  std::size_t send_buffer_bytes = 262144;  ///< of a stream: what `write` takes before it is sent
  /// Rotation, whichever first; begun at half, needed at the whole, DATA stops at twice.
  std::uint64_t rotate_bytes = 1000000000;
  Duration rotate_after = std::chrono::hours(1);
  std::uint64_t rotate_frames = 100000;
  Duration rotation_timeout = std::chrono::seconds(30);  ///< of a stopped sender
  Duration idle_timeout = std::chrono::seconds(60);
  Duration ping_after = {};         ///< of silence; zero: never
  std::size_t frame_bytes = 65536;  ///< plaintext of a DATA frame at most (WebSocket)
};

}  // namespace sealine::stt
