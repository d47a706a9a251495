// Every order of a few events of two SCP ends, on the real machines with toy algorithms; see
// explorer.hpp. Each state is held against the invariants of scp/end.hpp.
#include "sealine/scp/channel.hpp"
#include "tests/sim/base/explorer.hpp"
#include "tests/sim/scp/play.hpp"

int main(int argc, char** argv) {
  using namespace sealine::sim;
  return explore<ScpSetting, ScpPlay>("sim_scp_explorer", argc, argv);
}
