// Seeded simulation of STT sessions over UDP, in virtual time, on the real machines with real
// cryptography: streams of all modes both ways, rotations, padding, moves to other addresses, while
// datagrams are lost, copied, changed, held back, replayed, or vanish for seconds; then everything
// must come to a good end. A failure prints the one line that repeats it.
#include "sealine/stt/session.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/stt_udp/world.hpp"

int main(int argc, char** argv) {
  using namespace sealine::sim;
  return run_simulation<NoKeys, SttUdpWorld>(
      "sim_stt_udp", {.seeds = 2000, .seeds_full = 20'000, .events = 1500}, argc, argv);
}
