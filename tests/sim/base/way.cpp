#include "tests/sim/base/way.hpp"

namespace sealine::sim {

void stall(Way& up, Way& down, TimePoint until, Dice& dice) {
  for (Way* way : {&up, &down}) {
    if (dice.chance(60)) way->stalled_until = until;
  }
}

void cut(Way& up, Way& down, unsigned spared_percent, Dice& dice) {
  const bool is_reset = dice.chance(50);
  for (Way* way : {&up, &down}) {
    if (dice.chance(spared_percent)) continue;
    if (is_reset) way->drop_all();
    way->is_ended = true;
    way->is_deaf = true;
  }
}

}  // namespace sealine::sim
