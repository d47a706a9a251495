#pragma once

#include "sealine/base/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sealine::stx {

/// Every limit of STX/1 in one place. spec: stx.md#limits
inline constexpr std::uint8_t kMinBlockLog2 = 14;
inline constexpr std::uint8_t kMaxBlockLog2 = 20;
inline constexpr std::uint8_t kDefaultBlockLog2 = 18;
inline constexpr std::uint32_t kMaxBlocks = 0xFFFFFF00U - 1U;  ///< of an item
inline constexpr std::size_t kMaxPackEntries = 4096;
inline constexpr std::size_t kMaxPackBytes = std::size_t{1} << 20U;
inline constexpr std::size_t kMaxNameBytes = 4095;
inline constexpr std::size_t kMaxTargetBytes = 4095;                  ///< of a symlink
inline constexpr std::size_t kMaxFrameBytes = std::size_t{1} << 20U;  ///< ciphertext without tag
inline constexpr std::size_t kMaxRuns = 16384;                        ///< roots of one RESUME
inline constexpr std::size_t kMaxPiecesBehind = 16384;  ///< behind an item's first missing block
inline constexpr std::uint64_t kMaxFrames = std::uint64_t{1} << 48U;  ///< a direction of a lane
inline constexpr std::size_t kMaxLanes = 16;
inline constexpr std::size_t kMaxOpenItems = 64;  ///< between META and DONE
inline constexpr std::size_t kMaxOpenMetaBytes = std::size_t{4} << 20U;
inline constexpr std::uint64_t kWindowBytes = std::uint64_t{64} << 20U;
inline constexpr std::uint64_t kWindowFrameBytes = std::uint64_t{16}
                                                   << 10U;  ///< a frame counts so much at least
inline constexpr std::uint64_t kAckBytes = std::uint64_t{8} << 20U;
inline constexpr unsigned kMaxNaksOfBlock = 3;      ///< counted by the client
inline constexpr unsigned kMaxNaksOfSession = 100;  ///< counted by the server

inline constexpr std::size_t kMaxRememberedNonces = 65536;  ///< of clients whose proof verified
inline constexpr Duration kNonceMemoryTime = std::chrono::seconds(600);
inline constexpr Duration kClockTolerance = std::chrono::seconds(300);  ///< where a clock is asked

/// What may be set otherwise, by tests above all.
struct Limits {
  Duration handshake_timeout = std::chrono::seconds(10);
  Duration ack_after = std::chrono::milliseconds(10);
  Duration keep_alive_after = std::chrono::seconds(10);  ///< of our own silence
  Duration silence_timeout = std::chrono::seconds(30);   ///< without a frame: dead
  std::uint64_t window_bytes = kWindowBytes;
};

}  // namespace sealine::stx
