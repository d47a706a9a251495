#pragma once

#include "sealine/stc/stc.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/stt/session.hpp"
#include "tests/sim/base/action.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/message_queue.hpp"
#include "tests/sim/base/toy_engine.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/stt/end.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>

namespace sealine::sim {

enum class What : std::uint8_t {
  deliver,    // the first message
  drop,       // it never comes
  duplicate,  // it comes twice
  reorder,    // the first two change places
  corrupt_head,
  corrupt_number,
  corrupt_body,
  corrupt_tail,
  cut,       // the connection ends behind what is on its way
  time_out,  // the earliest deadline comes
  open,
  write,
  read,
  finish,
  reset,
  stop,
  rotate,
  ping,
  close,
  count_,
};

constexpr const char* kNames[] = {"deliver",      "drop",           "duplicate",    "reorder",
                                  "corrupt_head", "corrupt_number", "corrupt_body", "corrupt_tail",
                                  "cut",          "time_out",       "open",         "write",
                                  "read",         "finish",         "reset",        "stop",
                                  "rotate",       "ping",           "close"};
static_assert(std::size(kNames) == static_cast<std::size_t>(What::count_));

constexpr std::size_t kStreams = 3;  // of one end

/// What all replays share.
struct SttSetting {
  SttSetting();

  ToyEngine toy;
  KeyBook book;
  WatchingEngine engine;
  stt::HandshakeConfig dials[2];
  stt::HandshakeConfig listens;
};

/// Both ends, from the start.
class SttPlay {
 public:
  /// Where a path begins: with forward secrecy or without, padded or not, large windows or small
  /// ones; before or behind the handshake.
  static constexpr std::size_t kRoots = 16;
  static constexpr std::size_t kActions = Action<What>::kCodes;

  static std::string name(std::uint8_t code) {
    return Action<What>::from(code).name(kNames, "initiator", "responder");
  }

  SttPlay(SttSetting& setting, std::size_t root);
  [[nodiscard]] bool is_possible(std::uint8_t code) const;
  void apply(std::uint8_t code);
  /// Without faults everything that was sent arrives, and both ends close cleanly.
  void finish_well();
  [[nodiscard]] std::uint64_t hash();
  void print() const;

 private:
  static constexpr UnixMillis kUnixMs = 1'700'000'000'000;
  static constexpr std::size_t kBuffer = 400;
  static constexpr TimePoint kStart{std::chrono::hours(1)};

  [[nodiscard]] const SttEnd* end_of(bool initiator) const;
  [[nodiscard]] bool is_open(bool initiator) const;
  /// A deadline, somebody's wish, or what came to the messages has ended it, or will.
  [[nodiscard]] bool is_hurt() const;

  // --- messages

  void deliver(bool to_initiator);
  [[nodiscard]] bool handle_at_initiator(MutableBytes message);
  [[nodiscard]] bool handle_at_responder(MutableBytes message);
  std::unique_ptr<SttEnd> make_end(stt::Established established, DiceRng& rng);
  void tamper(MessageQueue& queue, What what);
  /// Whether anything moved.
  bool deliver_all();

  // --- time and ends

  [[nodiscard]] std::optional<TimePoint> earliest() const;
  void time_out();
  void hang_up(bool by_initiator);
  /// What the ends have to say, and what they tell.
  void settle();
  SttSetting& setting_;
  DiceRng initiator_rng_;
  DiceRng responder_rng_;
  Dice dice_;
  stt::SessionConfig config_;
  TimePoint now_ = kStart;
  MessageQueue up_;
  MessageQueue down_;
  std::optional<stt::Initiator> initiator_;
  std::optional<stt::Responder> responder_;
  std::unique_ptr<SttEnd> client_;
  std::unique_ptr<SttEnd> server_;
  bool is_client_open_ = true;
  bool is_server_open_ = true;
  bool is_cut_ = false;
  bool is_rough_ = false;
  unsigned tampered_ = 0;
};

}  // namespace sealine::sim
