// Seeded simulation of STCP connections over bad streams, in virtual time, on the real machines
// with real cryptography. One seed draws the nodes, modes, sizes, settings and fault rates; then
// one event after another is drawn, and every answer of a machine is held against the invariants of
// stcp/end.hpp. A failure prints the one line that repeats it.
#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/stcp/world.hpp"

int main(int argc, char** argv) {
  using namespace sealine::sim;
  return run_simulation<Keys, StcpWorld>("sim_stcp", {.seeds = 800, .seeds_full = 8000}, argc,
                                         argv);
}
