#pragma once

#include "sealine/base/time.hpp"

#include <chrono>
#include <cstddef>

namespace sealine::sim {

/// How likely what is, in one seed. Protocols have more of their own.
struct Rates {
  bool is_liveness = false;  ///< faults stop, and then everything must end well
  unsigned tamper_permille = 0;
  unsigned cut_permille = 0;
  unsigned spared_percent = 30;  ///< of the two directions of what is cut, each
  unsigned stall_permille = 0;
  unsigned crash_permille = 0;
  std::size_t longest_stall_ms = 120'000;  ///< 0: none of those that last
  unsigned control_percent = 3;            ///< what is no data: rekeying, aborting, padding
  unsigned abort_percent = 0;              ///< of control
  unsigned slow_percent = 0;               ///< an application takes little or nothing
  unsigned tick_percent = 8;               ///< time passes
  unsigned pause_percent = 10;             ///< of ticks: as much as a person notices
  std::size_t nodes = 4;                   ///< that dial, at a time
  std::size_t dials = 24;                  ///< connections at most, as they are the dear part
  std::size_t capacity = 16384;            ///< what a connection holds before it pushes back
};

}  // namespace sealine::sim
