#pragma once

#include "sealine/base/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sealine::scp {

/// Every limit of a channel, in one place. spec: scp.md#limits. Defaults are those of the
/// specification.
struct Limits {
  std::uint32_t max_message_bytes = 16U << 20U;  ///< the largest we take; at least 65,536
  std::uint32_t window_messages = 1024;          ///< without receipt, in each direction
  std::uint32_t window_bytes = 1U << 20U;
  std::uint64_t rotate_bytes =
      std::uint64_t{1} << 30U;  ///< the client rotates; a server ends the channel at twice that
  Duration rotate_after = std::chrono::hours(1);  ///< likewise
  Duration handshake_timeout = std::chrono::seconds(10);
  Duration keep_alive_after = std::chrono::seconds(10);  ///< of our own silence; zero: never
  Duration silence_timeout = std::chrono::seconds(30);
  Duration close_receipts_timeout = std::chrono::seconds(10);
  Duration close_drain_timeout = std::chrono::seconds(5);
  Duration reconnect_timeout = std::chrono::minutes(5);
  std::uint32_t max_messages_per_second =
      0;  ///< zero: no limit; a burst of two seconds is let through
  std::uint64_t max_bytes_per_second = 0;  ///< likewise
};

inline constexpr std::size_t kHeadBytes = 14;
inline constexpr std::size_t kMacBytes = 32;
inline constexpr std::size_t kPartBytes = 65536;     ///< data of a part that more follow
inline constexpr std::size_t kMinPayloadBytes = 16;  ///< an empty plaintext and its tag
inline constexpr std::size_t kMaxPayloadBytes = kPartBytes + 17;  ///< kind, data and tag
inline constexpr std::size_t kMaxWireMessageBytes = kHeadBytes + kMaxPayloadBytes + kMacBytes;
inline constexpr std::uint32_t kSmallestMaxMessage = 65536;
inline constexpr std::uint64_t kMaxSequence = std::uint64_t{1} << 48U;

}  // namespace sealine::scp
