#pragma once

#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/action.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/message_queue.hpp"
#include "tests/sim/base/toy_engine.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/stcp/end.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

namespace sealine::sim {

using namespace std::chrono_literals;
using stcp::Mode;

enum class What : std::uint8_t {
  deliver,         // the first message, whole
  deliver_part,    // its first half
  drop,            // the first message never comes
  duplicate,       // it comes twice
  reorder,         // the first two change places
  corrupt_length,  // a bit of the head
  corrupt_iv,
  corrupt_body,
  corrupt_tag,
  cut,       // the stream ends behind what is on its way
  time_out,  // the earliest deadline comes
  send,
  close,
  abort,
  rekey,
  ping,
  run_ahead,
  count_,
};

constexpr const char* kNames[] = {
    "deliver",    "deliver_part", "drop",        "duplicate", "reorder",  "corrupt_length",
    "corrupt_iv", "corrupt_body", "corrupt_tag", "cut",       "time_out", "send",
    "close",      "abort",        "rekey",       "ping",      "run_ahead"};
static_assert(std::size(kNames) == static_cast<std::size_t>(What::count_));

constexpr std::size_t kSendBytes = 9;

/// What all replays share.
struct StcpSetting {
  StcpSetting();

  ToyEngine toy;
  KeyBook book;
  WatchingEngine engine;
  stcp::ServerConfig server;
  std::vector<stcp::ClientConfig> clients;
};

/// Both ends, from the start.
class StcpPlay {
 public:
  /// Where a path begins: a mode, before or behind the handshake.
  static constexpr std::size_t kRoots = 8;
  static constexpr std::size_t kActions = Action<What>::kCodes;

  static std::string name(std::uint8_t code) { return Action<What>::from(code).name(kNames); }

  StcpPlay(StcpSetting& setting, std::size_t root);
  [[nodiscard]] bool is_possible(std::uint8_t code) const;
  void apply(std::uint8_t code);
  /// Without further faults everything that was sent arrives, and both ends close cleanly.
  void finish_well();
  [[nodiscard]] std::uint64_t hash() const;
  void print() const;

 private:
  [[nodiscard]] std::size_t in_flight() const;
  [[nodiscard]] std::optional<TimePoint> earliest() const;
  void time_out();
  void tamper(MessageQueue& queue, What what);
  void hand_over(StcpEnd& end, ByteView bytes);
  void deliver(MessageQueue& queue, StcpEnd& end);
  void deliver_all();
  void check();

  DiceRng client_rng_;
  DiceRng server_rng_;
  TimePoint now_{std::chrono::hours(1)};
  MessageQueue up_;
  MessageQueue down_;
  std::optional<StcpEnd> client_;
  std::optional<StcpEnd> server_;
  unsigned tampered_ = 0;
  bool was_aborted_ = false;
};

}  // namespace sealine::sim
