#pragma once

#include "sealine/scp/channel.hpp"
#include "tests/sim/scp/end.hpp"
#include "tests/sim/scp/talk.hpp"

namespace sealine::sim {

/// No false alarms: a channel that does not end well has a cause.
void judge(const ScpTalk& talk, const ScpEnd& end, const ScpEnd* other, const scp::Limits& limits,
           TimePoint now);

/// All that was sent has come, unless something took that from them.
void require_completed(const ScpTalk& talk);

}  // namespace sealine::sim
