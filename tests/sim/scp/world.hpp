#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/scp/channel.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/scp/end.hpp"
#include "tests/sim/scp/talk.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sealine::sim {

using namespace std::chrono_literals;
using scp::Code;
using scp::Mode;

/// Servers and clients with SCP channels between them, over connections that break, in virtual
/// time.
class ScpWorld {
 public:
  ScpWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner, const Keys& keys);
  RunResult run();

 private:
  static constexpr Duration kSettleTime = 60s;
  static constexpr Duration kLongStall = 2s;

  // --- what the seed decides

  void draw_rates(std::uint64_t seed);
  /// The windows are both ends', as the specification has it.
  void draw_limits();
  void draw_servers();

  // --- events

  void step();
  void tick();
  /// What comes of the time that has passed.
  void pass();
  void fire(ScpEnd* end);
  void deliver(ScpTalk& talk, bool to_client);
  std::size_t draw_count(std::size_t there);
  void to_end(ScpEnd& end, Pipe& pipe, std::size_t count);
  void to_server(ScpTalk& talk, ScpConnection& connection, std::size_t count);
  /// A server's handshake goes on with what is there.
  void serve(ScpTalk& talk, ScpConnection& connection);
  void established(ScpTalk& talk, ScpConnection& connection, scp::Opening opening);
  /// A new channel; false: it is one that nobody waits for any more.
  bool begin_channel(ScpTalk& talk, ScpConnection& connection, scp::Opening opening);
  /// The server looks the channel up among all that it has.
  bool resume(ScpTalk& talk, ScpConnection& connection, scp::Opening& opening);
  /// The server's channel drops its connection unread.
  void leave(ScpTalk& talk);
  /// A server closes a connection that belongs to no channel.
  void hang_up(ScpConnection& connection);
  void write(ScpTalk& talk, bool by_client);
  void control(ScpTalk& talk, bool by_client);

  // --- faults

  /// A talk with a connection, or none.
  ScpTalk* any_connected();
  void disturb_all();
  void stall();
  void cut();
  void tamper();
  /// The attacker's node: a connection of its own, fed with what was captured.
  void attack(const ScpTalk& source);
  /// All that a process had in memory is gone.
  void crash();

  // --- connections

  std::unique_ptr<ScpEnd> make_client(const scp::ClientConfig& config, const ScpEnd::Setup& setup);
  ScpConnection& add_connection(ScpTalk& talk);
  /// The client's next connection.
  void dial(ScpTalk& talk);
  Letters draw_letters();
  std::uint64_t draw_offer();
  void open();
  /// What must hold for a talk at any time, and what its ends do with their connections.
  void look_at(ScpTalk& talk);
  void tend_client(ScpTalk& talk);
  /// Connections at the front that nobody needs any more.
  static std::ptrdiff_t forgettable(const ScpTalk& talk);
  /// Its connection is closed by the client; whether the server ever hears of that is drawn.
  void end_of_client(ScpTalk& talk);
  /// Takes away what is over at both ends.
  void collect();
  static bool is_over(const ScpTalk& talk);
  void note_counts(const ScpEnd& end);
  void finish(ScpTalk& talk);
  /// No false alarms: a channel that does not end well has a cause.
  void judge(const ScpTalk& talk, const ScpEnd& end, const ScpEnd* other) const;

  // --- liveness

  /// No more faults, and everything must come to its end within kSettleTime.
  void settle();
  void settle_talk(ScpTalk& talk);
  static void require_completed(const ScpTalk& talk);
  void note(std::uint64_t what, std::uint64_t detail);

  struct Counts {
    std::uint64_t events = 0;
    std::uint64_t opened = 0;
    std::uint64_t resumed = 0;
    std::uint64_t clean = 0;
    std::uint64_t faults = 0;
    std::uint64_t rotations = 0;
    std::uint64_t messages = 0;
  };

  const Keys& keys_;
  Dice dice_;
  DiceRng rng_;
  KeyBook book_;
  WatchingEngine engine_;
  std::uint64_t events_;
  Rates rates_;
  scp::Limits limits_;
  bool has_large_ = false;
  TimePoint now_{std::chrono::hours(1)};
  std::vector<std::unique_ptr<scp::ServerConfig>> servers_;
  std::vector<std::unique_ptr<scp::ClientConfig>> clients_;
  std::vector<std::unique_ptr<ScpTalk>> talks_;
  std::size_t dialed_ = 0;
  std::uint64_t streams_ = 0;
  Trace trace_;
  Counts counts_;
};

}  // namespace sealine::sim
