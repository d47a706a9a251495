// Seeded simulation of SCP channels over connections that are cut, stalled and tampered with, in
// virtual time, on the real machines with real cryptography: messages come once and in order, also
// across reconnects and crashes. Every answer of a machine is held against the invariants of
// scp/end.hpp. A failure prints the one line that repeats it.
#include "sealine/scp/channel.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/scp/world.hpp"

int main(int argc, char** argv) {
  using namespace sealine::sim;
  return run_simulation<Keys, ScpWorld>("sim_scp", {.seeds = 400, .seeds_full = 4000}, argc, argv);
}
