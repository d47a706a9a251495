#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stx/handshake.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/keys.hpp"
#include "tests/sim/base/world.hpp"
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
#include <optional>
#include <vector>

namespace sealine::sim {

using namespace std::chrono_literals;

/// Senders and one receiver with its disk, over lanes that break, in virtual time.
class StxWorld final : public World {
 public:
  StxWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner, const Keys& keys);

 private:
  static constexpr std::size_t kPeers = 3;  ///< whom the receiver knows
  static constexpr Duration kRetry = 250ms;
  static constexpr Duration kLongestRetry = 4s;

  void draw_rates(std::uint64_t seed);

  // --- events

  [[nodiscard]] bool is_time_to_open() override;
  /// A sender comes, with files.
  void open() override;
  void take_turn() override;
  /// One block is written, or all of what was is made durable.
  void work();
  void pass() override;
  void collect() override;
  [[nodiscard]] bool is_over(const StxPeer& peer) const;

  [[nodiscard]] bool is_empty() const override { return peers_.empty(); }

  // --- connections

  [[nodiscard]] bool may_dial() const { return rates_.is_liveness || dialed_ < rates_.dials; }

  void dial(StxPeer& peer);
  void serve(StxLane& lane);
  void to_server(StxPeer& peer, StxLane& lane, std::size_t count, bool is_always);
  void opened_at_server(StxPeer& peer, StxLane& lane);
  void join(StxPeer& peer, StxLane& lane);
  void to_client(StxPeer& peer, StxLane& lane, std::size_t count, bool is_always);
  void opened_at_client(StxPeer& peer, StxLane& lane);
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

  // --- faults

  StxLane* any_lane();
  [[nodiscard]] std::optional<Target> draw_target() override;
  void tamper() override;
  /// The receiver's process, or a sender's, is gone with all that it had in memory.
  void crash() override;
  [[nodiscard]] bool other_fault(Roll& roll) override;
  /// A source is written to while it is sent.
  void change();
  /// Bits of a part rot, or the ledger is of another day.
  void rot();

  // --- the end

  void calm() override;
  void settle_turn() override;
  void finish_all() override;
  void print() const override;
  [[nodiscard]] Counts counts() const override;

  struct Sums {
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
  SourceMaker sources_{dice_};
  unsigned change_permille_ = 0;
  unsigned rot_permille_ = 0;
  std::size_t lanes_ = 1;  ///< of a sender
  stx::Limits limits_;
  std::shared_ptr<const stx::ServerHandshakeConfig> server_;
  stx::NonceMemory nonces_;
  StxDisk disk_;
  std::vector<std::unique_ptr<StxPeer>> peers_;
  std::vector<StxSession> sessions_;
  std::size_t dialed_ = 0;
  std::uint64_t arrived_ = 0;
  Sums sums_;
};

}  // namespace sealine::sim
