// Every order of a few events of two STCP ends, on the real machines with toy algorithms; see
// explorer.hpp. Each state is held against the invariants of stcp/end.hpp.
#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/explorer.hpp"
#include "tests/sim/stcp/play.hpp"

int main(int argc, char** argv) {
  using namespace sealine::sim;
  return explore<StcpSetting, StcpPlay>("sim_stcp_explorer", argc, argv);
}
