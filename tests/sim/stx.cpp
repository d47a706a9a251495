// Seeded simulation of STX transfers in virtual time, on the real machines with real cryptography:
// lanes are cut, stalled, damaged and come back, the receiver's disk loses what was not synced,
// sources change while they are sent. What is delivered equals what was read, or is reported. A
// failure prints the one line that repeats it.
#include "sealine/stx/sender.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/stx/world.hpp"

int main(int argc, char** argv) {
  using namespace sealine::sim;
  return run_simulation<Keys, StxWorld>("sim_stx", {.seeds = 400, .seeds_full = 4000}, argc, argv);
}
