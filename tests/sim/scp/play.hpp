#pragma once

#include "sealine/scp/channel.hpp"
#include "tests/sim/base/action.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/inbox.hpp"
#include "tests/sim/base/message_queue.hpp"
#include "tests/sim/base/toy_engine.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/scp/answering.hpp"
#include "tests/sim/scp/end.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

namespace sealine::sim {

enum class What : std::uint8_t {
  deliver,       // what was written first, whole
  deliver_part,  // its first half
  drop,          // it never comes
  duplicate,     // it comes twice
  reorder,       // the first two change places
  corrupt_type,  // a bit of the head
  corrupt_number,
  corrupt_length,
  corrupt_body,
  corrupt_mac,
  cut,       // the connection is gone; what is on its way too
  time_out,  // the earliest deadline comes
  send,
  take,
  end,
  close,
  abort,
  rotate,
  pad,
  count_,
};

constexpr const char* kNames[] = {
    "deliver",      "deliver_part",   "drop",           "duplicate",    "reorder",
    "corrupt_type", "corrupt_number", "corrupt_length", "corrupt_body", "corrupt_mac",
    "cut",          "time_out",       "send",           "take",         "end",
    "close",        "abort",          "rotate",         "pad"};
static_assert(std::size(kNames) == static_cast<std::size_t>(What::count_));

constexpr unsigned kCuts = 2;

/// What all replays share.
struct ScpSetting {
  static constexpr std::array kModes = {scp::Mode::anonymous, scp::Mode::pinned, scp::Mode::mutual,
                                        scp::Mode::psk, scp::Mode::pinned_psk};

  ScpSetting();

  ToyEngine toy;
  KeyBook book;
  WatchingEngine engine;
  scp::ServerConfig server;
  std::vector<scp::ClientConfig> clients;
};

/// Both ends of a channel, from the start.
class ScpPlay {
 public:
  /// Where a path begins: a mode, with reconnecting or without, before or behind the handshake; or
  /// the client dials again, since the connection was lost with a message of each end.
  static constexpr std::size_t kRoots = 25;
  static constexpr std::size_t kActions = Action<What>::kCodes;

  static std::string name(std::uint8_t code) { return Action<What>::from(code).name(kNames); }

  ScpPlay(ScpSetting& setting, std::size_t root);
  [[nodiscard]] bool is_possible(std::uint8_t code) const;
  void apply(std::uint8_t code);
  /// Without further faults everything that was sent arrives, once, and both ends close cleanly.
  void finish_well();
  [[nodiscard]] std::uint64_t hash() const;
  void print() const;

 private:
  static ScpEnd::Setup setup(bool is_client, std::uint64_t stream);
  [[nodiscard]] const ScpEnd& end_of(Action<What> action) const;

  ScpEnd& end_of(Action<What> action) { return action.at_client ? *client_ : *server_; }

  [[nodiscard]] std::size_t in_flight() const;
  /// Somebody ended the channel before its time, or a deadline did.
  [[nodiscard]] bool is_hurt() const;
  void dial();
  void deliver(bool at_client);
  void hand_over(bool at_client, ByteView bytes);
  void serve();
  void established(scp::Opening opening, std::uint64_t consumed);
  void disconnect();
  [[nodiscard]] std::optional<TimePoint> earliest() const;
  void time_out();
  void tamper(MessageQueue& queue, What what);
  void deliver_all();
  /// What must hold at any time, and what the ends do with their connections.
  void check();
  /// No false alarms: a channel that does not end well has a cause.
  void check_outcome(const ScpEnd& end, const ScpEnd* other) const;

  static constexpr Duration kStart = std::chrono::hours(1);

  ScpSetting& setting_;
  DiceRng client_rng_;
  DiceRng server_rng_;
  const scp::ClientConfig& config_;
  TimePoint now_{kStart};
  TimePoint start_{kStart};  ///< of the path
  MessageQueue up_;
  MessageQueue down_;
  std::optional<ScpEnd> client_;
  std::optional<ScpAnswering> answering_;
  std::optional<ScpEnd> server_;
  Inbox inbox_;  ///< of the handshake
  TimePoint dialed_{};
  bool is_connected_ = false;
  unsigned tampered_ = 0;
  unsigned cuts_ = 0;
};

}  // namespace sealine::sim
