#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stx/handshake.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/judge.hpp"
#include "tests/sim/stx/lane.hpp"
#include "tests/sim/stx/peer.hpp"
#include "tests/sim/stx/receiving.hpp"
#include "tests/sim/stx/sending.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sealine::sim {

using namespace std::chrono_literals;

/// Senders and one receiver with its disk, over lanes that break, in virtual time.
class StxWorld {
 public:
  StxWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner, const Keys& keys);
  RunResult run();

 private:
  static constexpr std::size_t kPeers = 3;  ///< whom the receiver knows
  static constexpr Duration kSettleTime = 60s;
  static constexpr Duration kRetry = 250ms;
  static constexpr Duration kLongestRetry = 4s;

  // --- what the seed decides

  void draw_rates(std::uint64_t seed);

  // --- events

  void step();
  std::size_t draw_count(std::size_t there);
  /// A sender comes, with files.
  void arrive();
  void tick();
  /// What comes of the time that has passed.
  void pass();

  [[nodiscard]] bool may_dial() const { return rates_.is_liveness || dialed_ < rates_.dials; }

  /// One block is written, or all of what was is made durable.
  void work();

  // --- connections

  void dial(StxPeer& peer);
  void serve(StxLane& lane);

  template <class Handshake>
  static void say(Handshake& handshake, Pipe& pipe) {
    ByteArray<512> out{};
    pipe.write(ByteView(out).first(handshake.poll_transmit(out)));
  }

  void to_server(StxPeer& peer, StxLane& lane, std::size_t count, bool is_always);
  void shake_server(StxPeer& peer, StxLane& lane);
  void join(StxPeer& peer, StxLane& lane);
  void to_client(StxPeer& peer, StxLane& lane, std::size_t count, bool is_always);
  void shake_client(StxPeer& peer, StxLane& lane);
  void close_server(StxLane& lane);
  void close_client(StxPeer& peer, StxLane& lane);
  void try_again(StxPeer& peer);
  StxSession* session_of(const StxLane& lane);
  /// A receiver's session is over: its connections are closed behind what was written.
  void end(StxSession& session);

  // --- what must hold

  void look_at(StxPeer& peer);
  void judge(StxSession& session);
  void judge_delivered(const StxPeer& peer, stx::ItemId item);
  void count(const StxPeer& peer);
  /// Takes away senders that are done.
  void collect();

  // --- faults

  StxLane* any_lane();
  void tamper();
  void stall();
  void cut();
  /// The receiver's process, or a sender's, is gone with all that it had in memory.
  void crash();
  /// A source is written to while it is sent.
  void change();
  /// Bits of a part rot, or the ledger is of another day.
  void rot();

  // --- liveness

  /// No more faults, and everything must arrive within kSettleTime.
  void settle();
  static void print(const StxPeer& peer);
  void note(std::uint64_t what, std::uint64_t detail);

  struct Counts {
    std::uint64_t events = 0;
    std::uint64_t sessions = 0;
    std::uint64_t lanes = 0;
    std::uint64_t delivered = 0;
    std::uint64_t given_up = 0;
    std::uint64_t blocks = 0;
    std::uint64_t proved = 0;
    std::uint64_t damaged = 0;
    std::uint64_t crashes = 0;
  };

  const Keys& keys_;
  Dice dice_;
  SourceMaker sources_{dice_};
  DiceRng rng_;
  KeyBook book_;
  WatchingEngine engine_;
  std::uint64_t events_;
  Rates rates_;
  stx::Limits limits_;
  TimePoint now_{std::chrono::hours(1)};
  std::shared_ptr<const stx::ServerHandshakeConfig> server_;
  stx::NonceMemory nonces_;
  StxDisk disk_;
  std::vector<std::unique_ptr<StxPeer>> peers_;
  std::vector<StxSession> sessions_;
  std::size_t dialed_ = 0;
  std::uint64_t arrived_ = 0;
  Trace trace_;
  Counts counts_;
};

}  // namespace sealine::sim
