#pragma once

#include "sealine/base/time.hpp"
#include "tests/sim/base/violation.hpp"

#include <optional>

namespace sealine::sim {

/// Fires what is due at an end with deadline() and timeout(now). Returns whether anything was.
template <class End>
bool fire(End& end, TimePoint now) {
  const auto is_due = [&] {
    const std::optional<TimePoint> deadline = end.deadline();
    return deadline && *deadline <= now;
  };
  if (!is_due()) return false;
  // Each call may leave another deadline that has passed as well, but no endless row of them.
  for (int i = 0; i < 8 && is_due(); ++i) end.timeout(now);
  require(!is_due(), "a timer that fired is over");
  return true;
}

/// The first of several deadlines.
class Earliest {
 public:
  void consider(std::optional<TimePoint> when) {
    if (when && (!first_ || *when < *first_)) first_ = when;
  }

  [[nodiscard]] std::optional<TimePoint> value() const { return first_; }

 private:
  std::optional<TimePoint> first_;
};

}  // namespace sealine::sim
