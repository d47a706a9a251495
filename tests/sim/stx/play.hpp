#pragma once

#include "sealine/stx/handshake.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/judge.hpp"
#include "tests/sim/stx/lane.hpp"
#include "tests/sim/stx/receiving.hpp"
#include "tests/sim/stx/sending.hpp"
#include "tests/sim/stx/transfers.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sealine::sim {

/// On a lane, to the sender or the receiver.
enum class What : std::uint8_t {
  deliver,       // what was written first, whole
  deliver_part,  // its first half
  drop,          // it never comes
  duplicate,     // it comes twice
  reorder,       // the first two change places
  corrupt_head,
  corrupt_body,
  corrupt_tail,  // the CRC, or a proof
  cut,           // the connection is gone, with what it carried
  open,          // another connection
  time_out,      // the earliest deadline comes
  write,         // a block is written
  commit,        // what was written is durable
  change,        // the first source is written to, and its time shows it
  change_silently,
  crash,  // of the receiver
  count_,
};

constexpr const char* kNames[] = {
    "deliver",      "deliver_part", "drop",         "duplicate", "reorder",
    "corrupt_head", "corrupt_body", "corrupt_tail", "cut",       "open",
    "time_out",     "write",        "commit",       "change",    "change_silently",
    "crash"};
static_assert(std::size(kNames) == static_cast<std::size_t>(What::count_));

/// What happens, on which lane, and at the sender (to it, for frames) or the receiver.
struct LaneAction {
  What what;
  std::uint8_t lane;
  bool at_sender;

  static LaneAction from(std::uint8_t code) {
    return {static_cast<What>(code / 4), static_cast<std::uint8_t>(code / 2 % 2), code % 2 == 1};
  }
};

constexpr unsigned kCuts = 2;
constexpr std::size_t kLanes = 2;

/// A sender and a receiver, from the start.
class StxPlay {
 public:
  /// Where a path begins: one of these transfers, before or behind the first handshake.
  static constexpr std::size_t kTransfers = StxSetting::kTransfers;
  static constexpr std::size_t kRoots = 2 * kTransfers;
  static constexpr std::size_t kActions = static_cast<std::size_t>(What::count_) * 4;

  static std::string name(std::uint8_t code);
  StxPlay(StxSetting& setting, std::size_t root);
  [[nodiscard]] bool is_possible(std::uint8_t code) const;
  void apply(std::uint8_t code);
  /// Whatever happened: all that is there arrives when nothing more does.
  void finish_well();
  [[nodiscard]] std::uint64_t hash();
  void print() const;

 private:
  void change_content();
  [[nodiscard]] StxLane* find(std::uint8_t number) const;

  // --- connections

  void dial(std::uint8_t number);

  void deliver(StxLane& lane, bool at_sender);
  static void put_back(Pipe& pipe, const std::vector<Octets>& pieces);
  void hand_over(StxLane& lane, bool at_sender, ByteView bytes);
  void read_client(StxLane& lane);
  /// Whether the connection stays open.
  [[nodiscard]] bool opened_at_client(StxLane& lane);
  void read_server(StxLane& lane);
  [[nodiscard]] bool opened_at_server(StxLane& lane);
  void close(StxLane& lane, bool at_sender);
  void cut(StxLane& lane);
  void crash();
  void end_receiving(std::optional<stx::Code> code);

  // --- time, and what an attacker does

  [[nodiscard]] std::optional<TimePoint> earliest() const;
  void time_out();
  void tamper(Pipe& pipe, What what);

  // --- what follows, and what must hold

  void settle();
  /// Forgets connections that are over at both ends.
  void sweep();
  void end_sending();

  static constexpr TimePoint kStart{std::chrono::hours(1)};
  static constexpr std::size_t kCapacity = 100;  ///< some frames of control, or one of data

  StxSetting& setting_;
  DiceRng client_rng_;
  DiceRng server_rng_;
  TimePoint now_ = kStart;
  stx::NonceMemory nonces_;
  StxDisk disk_;
  std::vector<std::unique_ptr<StxLane>> lanes_;
  std::unique_ptr<StxSending> sending_;
  std::unique_ptr<StxReceiving> receiving_;
  stx::TransferId transfer_{};
  stx::TransferId receiving_of_{};
  unsigned tampered_ = 0;
  unsigned cuts_ = 0;
  unsigned crashes_ = 0;
  std::size_t dialed_ = 0;
};

}  // namespace sealine::sim
