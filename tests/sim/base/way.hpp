#pragma once

#include "sealine/base/time.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/wire.hpp"

#include <cstddef>

namespace sealine::sim {

/// One direction of a connection: it takes its time, pushes back, and breaks.
class Way : public Wire {
 public:
  void end() override { is_ended = true; }

  /// What is on its way never comes.
  virtual void drop_all() = 0;

  std::size_t capacity = ~std::size_t{0};  ///< bytes that it holds before it pushes back
  TimePoint stalled_until{};
  bool is_ended = false;  ///< nothing comes behind what is on its way
  bool is_deaf = false;   ///< nobody reads: what is written is gone
};

/// Both directions of a connection.
template <class OneWay>
struct Ways {
  OneWay up;    ///< to who was dialled
  OneWay down;  ///< to who dialled

  void set_capacity(std::size_t bytes) { up.capacity = down.capacity = bytes; }

  /// Stalls are over.
  void go_on(TimePoint now) { up.stalled_until = down.stalled_until = now; }

  /// One end closes: the other hears of it behind what is on its way to it; what is on its way back
  /// goes nowhere.
  void close(bool by_dialler) {
    (by_dialler ? up : down).is_ended = true;
    stop_reading(by_dialler);
  }

  void stop_reading(bool of_dialler) {
    OneWay& in = of_dialler ? down : up;
    in.is_deaf = true;
    in.drop_all();
  }
};

/// Nothing comes through until then; in one direction, mostly in both, or in none.
void stall(Way& up, Way& down, TimePoint until, Dice& dice);

/// The connection breaks, with what it carried or behind it; each direction may be spared.
void cut(Way& up, Way& down, unsigned spared_percent, Dice& dice);

}  // namespace sealine::sim
