// Every order of a few events of an STT initiator and a responder over an in-order transport, on
// the real machines with toy algorithms; see explorer.hpp. Each state is held against the
// invariants of both ends, and without faults all must arrive and both must close.
#include "sealine/stt/session.hpp"
#include "tests/sim/base/explorer.hpp"
#include "tests/sim/stt/play.hpp"

int main(int argc, char** argv) {
  using namespace sealine::sim;
  return explore<SttSetting, SttPlay>("sim_stt_explorer", argc, argv);
}
