#pragma once

#include "sealine/base/timer_table.hpp"
#include "sealine/stx/limits.hpp"

#include <cstdint>

namespace sealine::stx::detail {

enum class LaneTimer : std::uint8_t {
  silence,      ///< nothing came: dead
  keep_alive,   ///< nothing went
  acknowledge,  ///< receiver: frames wait for their ACK
  count_
};

using LaneTimers = TimerTable<LaneTimer>;

}  // namespace sealine::stx::detail
