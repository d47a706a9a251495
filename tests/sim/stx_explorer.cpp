// Every order of a few events of an STX sender and a receiver, on the real machines with toy
// algorithms; see explorer.hpp. Each state is held against the invariants of stx/judge.hpp and of
// both ends, and from some of them all must arrive in the end.
#include "sealine/stx/sender.hpp"
#include "tests/sim/base/explorer.hpp"
#include "tests/sim/stx/play.hpp"

int main(int argc, char** argv) {
  using namespace sealine::sim;
  return explore<StxSetting, StxPlay>("sim_stx_explorer", argc, argv);
}
