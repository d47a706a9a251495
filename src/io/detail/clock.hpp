#pragma once

#include "sealine/base/time.hpp"

#include <chrono>

namespace sealine::io::detail {

/// The steady clock as the machines count it.
inline TimePoint now() {
  return TimePoint(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

inline std::chrono::steady_clock::time_point to_steady(TimePoint when) {
  return std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(when.time_since_epoch()));
}

}  // namespace sealine::io::detail
