#pragma once

#include "sealine/base/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sealine::stcp {

/// Every limit of a connection, in one place. spec: stcp.md#limits. Defaults are those of the
/// specification.
struct Limits {
  /// M = 2^this bounds data and padding of a record; both ends' smaller one counts. 12 to 24.
  std::uint8_t max_record_log2 = 16;
  Duration handshake_timeout =
      std::chrono::seconds(10);  ///< in all, from the connected socket to ENCRYPTED
  Duration idle_timeout =
      std::chrono::seconds(300);  ///< without a record sent or received; zero: never
  Duration ping_interval{0};      ///< PING after so much of our own silence; zero: never
  Duration abort_answer_timeout = std::chrono::seconds(1);
  /// While a record is partly received, at least this much must come in each window.
  std::uint32_t min_progress_bytes = 256U * 30U;
  Duration min_progress_window = std::chrono::seconds(30);
  std::uint64_t rekey_bytes = std::uint64_t{1}
                              << 30U;  ///< client starts a rekey; a server asks at twice that
  Duration rekey_after = std::chrono::hours(1);  ///< likewise
  std::uint64_t max_sequence = std::uint64_t{1} << 48U;
};

inline constexpr std::size_t kRecordHeadBytes = 24;
inline constexpr std::size_t kRecordTrailerBytes = 4;  ///< type, BE24 pad
inline constexpr std::size_t kRecordTagBytes = 16;
/// What a record without padding takes beside its data.
inline constexpr std::size_t kRecordOverheadBytes =
    kRecordHeadBytes + kRecordTrailerBytes + kRecordTagBytes;
inline constexpr std::size_t kMaxHandshakeBytes = 4096;  ///< N of any step, in any suite
inline constexpr std::size_t kMaxUnconfirmedBytes =
    8192;  ///< a server buffers no more before FINISH

}  // namespace sealine::stcp
