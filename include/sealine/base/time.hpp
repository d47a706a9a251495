#pragma once

#include <chrono>
#include <cstdint>

namespace sealine {

/// The clock of the protocol machines: monotonic nanoseconds that someone else reads.
///
/// It has no now(), so that asking the time inside a machine does not compile. Drivers and tests
/// make time points from their own clock; the zero point is theirs to choose.
struct MachineClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MachineClock>;
  static constexpr bool is_steady = true;
};

using TimePoint = MachineClock::time_point;
using Duration = MachineClock::duration;

/// Milliseconds since 1970-01-01 UTC, for the few formats that carry a date.
using UnixMillis = std::uint64_t;

}  // namespace sealine
