#pragma once

#include "sealine/base/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sealine::stt {

/// What decides how much may be on its way.                      spec: stt.md#congestion
enum class CongestionControl : std::uint8_t {
  new_reno,  ///< RFC 9002: plain, for comparison
  cubic,     ///< RFC 9438 with HyStart++ (RFC 9406)
  bbr,       ///< BBRv3
};

/// How a session on UDP recovers from loss.                      spec: stt.md#recovery
struct RecoveryOptions {
  CongestionControl congestion = CongestionControl::cubic;
  Duration initial_rtt = std::chrono::milliseconds(333);
  std::size_t datagram_bytes = 1200;  ///< the path's largest, until probes find more
};

}  // namespace sealine::stt
