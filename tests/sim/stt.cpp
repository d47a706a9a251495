// Seeded simulation of STT sessions over an in-order transport (the WebSocket form) in virtual
// time, on the real machines with real cryptography: handshakes, streams of all modes, credits,
// rotations, resets and closes, over connections that are cut, stalled and tampered with. A failure
// prints the one line that repeats it.
#include "sealine/stt/session.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/stt/world.hpp"

int main(int argc, char** argv) {
  using namespace sealine::sim;
  return run_simulation<SttKeys, SttWorld>("sim_stt", {.seeds = 400, .seeds_full = 4000}, argc,
                                           argv);
}
