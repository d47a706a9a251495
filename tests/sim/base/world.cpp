#include "tests/sim/base/world.hpp"

#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/violation.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace sealine::sim {

using namespace std::chrono_literals;

RunResult World::run() {
  for (std::uint64_t i = 0; i < most_events_; ++i) step();
  if (rates_.is_liveness) settle();
  finish_all();
  return {.trace = trace_.value(), .events = most_events_, .counts = counts()};
}

void World::step() {
  Roll roll(dice_);
  if (roll.hits(rates_.tamper_permille)) {
    note(kTamper, 0);
    return tamper();
  }
  if (roll.hits(rates_.cut_permille)) return cut_one();
  if (roll.hits(rates_.stall_permille)) return stall_one();
  if (roll.hits(rates_.crash_permille)) {
    note(kCrash, 0);
    return crash();
  }
  if (other_fault(roll)) return;
  if (is_time_to_open()) {
    note(kOpen, 0);
    return open();
  }
  if (dice_.chance(rates_.tick_percent) || is_empty()) return tick();
  take_turn();
}

void World::tick() {
  note(kTick, 0);
  Duration by = std::chrono::microseconds(dice_.between(1, 3000));
  if (dice_.chance(rates_.pause_percent)) by = std::chrono::milliseconds(dice_.between(1, 400));
  if (dice_.chance(1) && !rates_.is_liveness) by = std::chrono::seconds(dice_.between(1, 40));
  if (by >= kLongStall) disturb_all();
  now_ += by;
  if (is_empty()) now_ += 1s;  // where nothing more can be opened, time is all there is
  pass();
  collect();
}

void World::stall_one() {
  note(kStall, 0);
  const auto target = draw_target();
  if (!target) return;
  const std::size_t longest = rates_.longest_stall_ms;
  const bool is_long = dice_.chance(10) && longest != 0;
  const Duration length =
      std::chrono::milliseconds(is_long ? dice_.between(1000, longest) : dice_.between(1, 900));
  if (length >= kLongStall && target->was_stalled != nullptr) *target->was_stalled = true;
  stall(*target->up, *target->down, now_ + length, dice_);
}

void World::cut_one() {
  note(kCut, 0);
  const auto target = draw_target();
  if (!target) return;
  if (target->was_cut != nullptr) *target->was_cut = true;
  cut(*target->up, *target->down, rates_.spared_percent, dice_);
}

void World::settle() {
  is_settling_ = true;
  calm();
  const TimePoint limit = now_ + kSettleTime;
  while (!is_empty()) {
    if (now_ > limit) {
      print();
      throw Violation("all is done a minute after the last fault");
    }
    settle_turn();
    now_ += kSettleStep;
    pass();
    collect();
  }
}

std::size_t World::draw_piece(std::size_t there, std::initializer_list<std::size_t> most) {
  const std::size_t which = dice_.below(6);
  if (which >= most.size()) return there;
  const std::size_t bound = most.begin()[which];
  return std::min(there, dice_.between(1, bound));
}

void World::note(std::uint64_t what, std::uint64_t detail) {
  trace_.add(what << 56U ^ detail << 32U ^
             static_cast<std::uint64_t>(now_.time_since_epoch().count()));
}

}  // namespace sealine::sim
