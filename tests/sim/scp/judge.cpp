#include "tests/sim/scp/judge.hpp"

#include "sealine/scp/channel.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/scp/end.hpp"
#include "tests/sim/scp/talk.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace sealine::sim {

void judge(const ScpTalk& talk, const ScpEnd& end, const ScpEnd* other, const scp::Limits& limits,
           TimePoint now) {
  const auto& outcome = end.channel().outcome();
  if (!outcome || talk.is_attack) return;
  const Duration age = now - talk.opened;
  const bool has_crashed = talk.client_crashed || talk.server_crashed;
  const bool is_harmed = talk.is_disturbed || has_crashed;
  const bool peer_over = other == nullptr || other->is_over();
  const bool is_told = end.was_aborted() || (other != nullptr && other->was_aborted());
  bool is_right = false;
  switch (outcome->code) {
    case scp::Code::normal:
      is_right = end.close_asked() || end.peer_ended() ||
                 (outcome->by_peer && other != nullptr && other->close_asked()) || has_crashed;
      break;
    case scp::Code::truncated:
      is_right = is_harmed || peer_over || end.forbade();
      break;
    case scp::Code::authentication:
      is_right = is_harmed || (end.refused_key() && talk.expectation == Expectation::wrong_server);
      break;
    case scp::Code::protocol:
      is_right = is_harmed || age >= 2 * limits.rotate_after;
      break;
    case scp::Code::decrypt:
    case scp::Code::sequence:
    case scp::Code::version:
    case scp::Code::too_large:
      is_right = talk.is_disturbed;
      break;
    case scp::Code::timeout:
      is_right = age >= std::min(limits.silence_timeout, limits.handshake_timeout);
      break;
    case scp::Code::rate_limited:
      is_right = limits.max_messages_per_second != 0;
      break;
    case scp::Code::unknown_channel:
      is_right = is_harmed || peer_over || (other != nullptr && other->forbade());
      break;
    case scp::Code::going_away:
    case scp::Code::internal:
      is_right = is_told || has_crashed;
      break;
  }
  if (!is_right) {
    end.print();
    if (other != nullptr) other->print();
    throw Violation("false alarm: " + std::string(scp::to_string(outcome->code)));
  }
}

void require_completed(const ScpTalk& talk) {
  if (!talk.client || !talk.channel || talk.is_attack) return;
  const auto is_left_alone = [](const ScpEnd& end) {
    return !end.was_aborted() && !end.close_asked() && !end.forbade();
  };
  if (!is_left_alone(*talk.client) || !is_left_alone(*talk.channel)) return;
  if (talk.server_crashed) return;
  if (talk.is_disturbed && !talk.client->channel().can_reconnect()) return;
  // A channel that was disturbed before both knew of it is not resumed.
  if (!talk.client->was_opened()) return;
  for (const auto& [end, other] : {std::pair(talk.client.get(), talk.channel.get()),
                                   std::pair(talk.channel.get(), talk.client.get())}) {
    // A CLOSE that was lost on its way leaves the other end without its last receipts.
    const scp::Code code = end->channel().outcome()->code;
    const bool is_well =
        code == scp::Code::normal ||
        (talk.is_disturbed && other->channel().outcome()->code == scp::Code::normal);
    const bool is_whole = is_well && end->taken() == other->messages_sent();
    if (!is_whole) {
      end->print();
      other->print();
    }
    require(is_whole, "all messages arrive");
  }
}

}  // namespace sealine::sim
