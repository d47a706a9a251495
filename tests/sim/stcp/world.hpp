#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/stcp/end.hpp"
#include "tests/sim/stcp/link.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sealine::sim {

using namespace std::chrono_literals;
using stcp::Mode;

/// Nodes with STCP connections between them, over bad streams, in virtual time.
class StcpWorld {
 public:
  StcpWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner, const Keys& keys);
  RunResult run();

 private:
  static constexpr Duration kSettleTime = 60s;
  static constexpr Duration kHandshakeTime = 10s;
  static constexpr std::size_t kUnprovedBytes = 8192;  ///< of memory for a peer that proved nothing

  // --- what the seed decides

  void draw_rates(std::uint64_t seed) {
    rates_.is_liveness = seed % 4 == 0;
    rates_.links = dice_.between(1, 7);
    rates_.stall_permille = static_cast<unsigned>(dice_.pick({0, 0, 1, 5}));
    rates_.control_percent = static_cast<unsigned>(dice_.pick({0, 2, 5, 20}));
    rates_.tick_percent = static_cast<unsigned>(dice_.pick({2, 8, 20}));
    rates_.slow_percent = static_cast<unsigned>(dice_.pick({0, 0, 10, 80}));
    rates_.window_bytes = static_cast<std::size_t>(dice_.pick({1000, 16384, 65536}));
    rates_.abort_percent = static_cast<unsigned>(dice_.pick({0, 0, 2, 10}));
    if (!rates_.is_liveness) {
      rates_.tamper_permille = static_cast<unsigned>(dice_.pick({0, 2, 8, 20}));
      rates_.cut_permille = static_cast<unsigned>(dice_.pick({0, 1, 4}));
    }
  }

  stcp::Limits draw_limits();
  stcp::Padding draw_padding();
  void draw_servers();

  // --- events

  void step();
  void tick();
  void fire_timers();
  void deliver(StcpLink& link, bool to_client);
  void hand_over(StcpLink& link, Pipe& pipe, StcpEnd& end, std::size_t count, bool is_slow);
  void write(StcpLink& link, bool by_client);
  void control(StcpLink& link, bool by_client);

  // --- faults

  void stall();
  void cut();
  void tamper();
  /// The attacker's node: a connection of its own, fed with what was captured.
  void attack();

  // --- connections

  std::unique_ptr<StcpEnd> make_client(const stcp::ClientConfig& config, Wire& wire,
                                       StcpEnd::Setup setup);
  std::unique_ptr<StcpEnd> make_server(const stcp::ServerConfig& config, Wire& wire,
                                       StcpEnd::Setup setup);
  std::unique_ptr<StcpEnd> start(StcpEnd::Machine machine, const StcpEnd::Setup& setup, Wire& wire);
  std::uint64_t draw_offer();
  void open();
  /// What must hold for a link at any time, and what the network does when an end is over.
  void look_at(StcpLink& link);
  void end_stream_of(StcpEnd* end, Pipe& pipe);
  /// Takes away what is over at both ends.
  void collect();
  void finish(StcpLink& link);
  /// No false alarms: a fault needs a cause.
  void judge(const StcpLink& link, const StcpEnd& end, const StcpEnd* other) const;
  /// Liveness: no more faults, and everything must come to its end within kSettleTime.
  void settle();
  static void require_completed(const StcpLink& link);
  void note(std::uint64_t what, std::uint64_t detail);
  const Keys& keys_;
  Dice dice_;
  DiceRng rng_;
  KeyBook book_;
  WatchingEngine engine_;
  std::uint64_t events_;
  Rates rates_;
  TimePoint now_{std::chrono::hours(1)};
  std::vector<std::unique_ptr<stcp::ServerConfig>> servers_;
  std::vector<std::unique_ptr<stcp::ClientConfig>> clients_;
  std::vector<std::unique_ptr<StcpLink>> links_;
  std::size_t opened_ = 0;
  std::uint64_t streams_ = 0;
  Trace trace_;

  struct Counts {
    std::uint64_t events = 0;
    std::uint64_t established = 0;
    std::uint64_t faults = 0;
    std::uint64_t clean = 0;
    std::uint64_t rekeys = 0;
    std::uint64_t idle = 0;  ///< events without any connection
  };

  Counts result_;
};

}  // namespace sealine::sim
