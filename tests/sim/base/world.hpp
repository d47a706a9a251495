#pragma once

#include "sealine/base/time.hpp"
#include "sealine/crypto/engine.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/rates.hpp"
#include "tests/sim/base/run_result.hpp"
#include "tests/sim/base/stage.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/base/way.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <vector>

namespace sealine::sim {

/// A world of nodes with connections between them: one event after another is drawn, each a fault,
/// a new node, time that passes, or the turn of a node. With Rates::is_liveness there are no more
/// faults in the end, and everything must be over within a minute.
class World : public Stage {
 public:
  /// Throws a Violation.
  RunResult run();

 protected:
  using Counts = std::vector<RunResult::Count>;

  World(std::uint64_t seed, std::uint64_t salt, std::uint64_t events, crypto::Engine& inner,
        std::size_t one_time_aad = WatchingEngine::kNone)
      : Stage(seed, salt, inner, one_time_aad), most_events_(events) {}

  // --- events

  /// Somebody new: whether it is time, and who.
  [[nodiscard]] virtual bool is_time_to_open() = 0;
  virtual void open() = 0;
  /// Something that a node does, or that comes to it.
  virtual void take_turn() = 0;
  /// What comes of the time that has passed.
  virtual void pass() = 0;
  /// Takes away what is over, having looked at it.
  virtual void collect() = 0;
  [[nodiscard]] virtual bool is_empty() const = 0;

  // --- faults

  /// A connection that a fault hits. What it does to it is remembered where somebody asks for it.
  struct Target {
    Way* up;
    Way* down;
    bool* was_cut = nullptr;
    bool* was_stalled = nullptr;  ///< for kLongStall or more
  };

  [[nodiscard]] virtual std::optional<Target> draw_target() = 0;
  virtual void tamper() = 0;

  /// A process is gone with all that it had in memory.
  virtual void crash() {}

  /// A fault of the protocol's own; false: none.
  virtual bool other_fault(Roll& /*roll*/) { return false; }

  /// Nothing has moved for kLongStall or more.
  virtual void disturb_all() {}

  // --- the end

  /// Faults are over; what they have left behind too.
  virtual void calm() = 0;
  /// Everybody does all that is to be done.
  virtual void settle_turn() = 0;
  /// Looks at what is left when the events are over.
  virtual void finish_all() = 0;
  /// A line for each, for a person who looks at a failure.
  virtual void print() const = 0;
  [[nodiscard]] virtual Counts counts() const = 0;

  [[nodiscard]] bool is_settling() const { return is_settling_; }

  // --- what worlds draw

  void tick();

  /// As much of what is there as arrives at once: all of it, or up to one of these.
  std::size_t draw_piece(std::size_t there, std::initializer_list<std::size_t> most);

  /// For the trace: what happens, and something about it.
  void note(std::uint64_t what, std::uint64_t detail);

  /// Takes away what is over, having looked at it.
  template <class Node, class IsOver, class Finish>
  static void take_away(std::vector<std::unique_ptr<Node>>& nodes, IsOver is_over, Finish finish) {
    for (std::size_t i = 0; i < nodes.size();) {
      if (is_over(*nodes[i])) {
        finish(*nodes[i]);
        nodes.erase(nodes.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
  }

  static constexpr Duration kLongStall = std::chrono::seconds(2);

  Rates rates_;

 private:
  static constexpr Duration kSettleTime = std::chrono::seconds(60);
  static constexpr Duration kSettleStep = std::chrono::milliseconds(10);
  static constexpr std::uint64_t kTick = 101;  // of note()
  static constexpr std::uint64_t kStall = 102;
  static constexpr std::uint64_t kCut = 103;
  static constexpr std::uint64_t kTamper = 104;
  static constexpr std::uint64_t kCrash = 105;
  static constexpr std::uint64_t kOpen = 106;

  void step();
  void stall_one();
  void cut_one();
  void settle();

  std::uint64_t most_events_;
  bool is_settling_ = false;
};

}  // namespace sealine::sim
