#include "io/stt/timer_wheel.hpp"

#include "sealine/base/assert.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace sealine::io::stt {

namespace {

constexpr unsigned kSlotBits = 8;
constexpr unsigned kTurnBits = kSlotBits * TimerWheel::kLevels;

std::uint64_t tick_of(TimePoint when) {
  const auto ticks = std::chrono::floor<std::chrono::milliseconds>(when.time_since_epoch()).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(ticks, 0));
}

TimePoint time_of(std::uint64_t tick) {
  return TimePoint(std::chrono::milliseconds(static_cast<std::int64_t>(tick)));
}

using UsedSlots = std::array<std::uint64_t, TimerWheel::kSlots / 64>;

/// The first used slot from `from` on; kSlots: none.
std::size_t first_used(const UsedSlots& used, std::size_t from) {
  if (from >= TimerWheel::kSlots) return TimerWheel::kSlots;
  std::uint64_t word = used[from / 64] & (~std::uint64_t{0} << (from % 64));
  for (std::size_t i = from / 64;;) {
    if (word != 0) return (i * 64) + static_cast<std::size_t>(std::countr_zero(word));
    if (++i == used.size()) return TimerWheel::kSlots;
    word = used[i];
  }
}

void set_used(UsedSlots& used, std::size_t slot) {
  used[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void set_unused(UsedSlots& used, std::size_t slot) {
  used[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
}

}  // namespace

TimerWheel::TimerWheel(TimePoint now) : tick_(tick_of(now)) {}

TimerWheel::~TimerWheel() {
  for (Level& level : levels_) {
    for (Entry*& slot : level.slots) {
      while (slot != nullptr) take_out(*slot);
    }
  }
  while (beyond_ != nullptr) take_out(*beyond_);
  while (expired_ != nullptr) take_out(*expired_);
}

// --- lists
// ----------------------------------------------------------------------------------------

void TimerWheel::put(Entry*& list, Entry& entry) {
  entry.next_ = list;
  entry.link_ = &list;
  if (list != nullptr) list->link_ = &entry.next_;
  list = &entry;
}

void TimerWheel::take_out(Entry& entry) noexcept {
  *entry.link_ = entry.next_;
  if (entry.next_ != nullptr) entry.next_->link_ = entry.link_;
  entry.next_ = nullptr;
  entry.link_ = nullptr;
  entry.wheel_ = nullptr;
  --size_;
}

// --- arming
// ---------------------------------------------------------------------------------------

void TimerWheel::arm(Entry& entry, TimePoint when) {
  if (entry.is_armed()) {
    SEALINE_ASSERT(entry.wheel_ == this);
    if (when >= entry.deadline_) return;
    take_out(entry);
  }
  entry.deadline_ = when;
  entry.wheel_ = this;
  ++size_;
  place(entry);
}

std::size_t TimerWheel::position(std::size_t level) const noexcept {
  return (tick_ >> (kSlotBits * level)) % kSlots;
}

// The level of the highest digit (of base 256) in which its tick differs from the wheel's: there it
// stands ahead of the wheel in the same turn, so that slots are looked through from here to the
// end and never around.
void TimerWheel::place(Entry& entry) {
  const Tick tick = std::max(tick_of(entry.deadline_), tick_);
  const Tick apart = tick ^ tick_;
  if ((apart >> kTurnBits) != 0) return put(beyond_, entry);
  std::size_t level = 0;
  while ((apart >> (kSlotBits * (level + 1))) != 0) ++level;
  const std::size_t slot = (tick >> (kSlotBits * level)) % kSlots;
  put(levels_[level].slots[slot], entry);
  set_used(levels_[level].used, slot);
}

void TimerWheel::place_again(Entry*& list) {
  // Some come back to the same list: it is emptied first.
  Entry* rest = std::exchange(list, nullptr);
  while (rest != nullptr) {
    Entry& entry = *rest;
    rest = entry.next_;
    place(entry);
  }
}

// --- time
// -----------------------------------------------------------------------------------------

void TimerWheel::expire_all(Entry*& list) {
  Entry* rest = std::exchange(list, nullptr);
  while (rest != nullptr) {
    Entry& entry = *rest;
    rest = entry.next_;
    put(expired_, entry);
  }
}

void TimerWheel::expire_slots(Level& level, std::size_t from, std::size_t to) {
  for (std::size_t slot = first_used(level.used, from); slot < to;
       slot = first_used(level.used, slot + 1)) {
    expire_all(level.slots[slot]);
    set_unused(level.used, slot);
  }
}

void TimerWheel::advance(TimePoint now) {
  const Tick target = tick_of(now);
  if (target > tick_) {
    const Tick apart = target ^ tick_;
    std::size_t level = 0;
    while (level < kLevels && (apart >> (kSlotBits * (level + 1))) != 0) {
      expire_slots(levels_[level++], 0, kSlots);  // the turn of this level is over
    }
    if (level < kLevels) {
      const std::size_t from = position(level);
      const std::size_t to = (target >> (kSlotBits * level)) % kSlots;
      expire_slots(levels_[level], from, to);
      tick_ = target;
      set_unused(levels_[level].used, to);
      place_again(levels_[level].slots[to]);
    } else {
      tick_ = target;
      place_again(beyond_);
    }
  }
  Entry* next = nullptr;
  for (Entry* entry = levels_[0].slots[position(0)]; entry != nullptr; entry = next) {
    next = entry->next_;
    if (entry->deadline_ > now) continue;
    *entry->link_ = next;
    if (next != nullptr) next->link_ = entry->link_;
    put(expired_, *entry);
  }
}

TimerWheel::Entry* TimerWheel::poll_expired() noexcept {
  Entry* const entry = expired_;
  if (entry != nullptr) take_out(*entry);
  return entry;
}

std::optional<TimePoint> TimerWheel::next_deadline() const {
  if (expired_ != nullptr) return time_of(tick_);
  for (std::size_t level = 0; level < kLevels; ++level) {
    const Level& here = levels_[level];
    for (std::size_t slot = first_used(here.used, position(level)); slot < kSlots;
         slot = first_used(here.used, slot + 1)) {
      const Entry* const first = here.slots[slot];
      if (first == nullptr) continue;
      if (level > 0) {
        const Tick turn = tick_ >> (kSlotBits * (level + 1));
        return time_of(((turn << kSlotBits) | slot) << (kSlotBits * level));
      }
      TimePoint earliest = first->deadline_;
      for (const Entry* entry = first; entry != nullptr; entry = entry->next_) {
        earliest = std::min(earliest, entry->deadline_);
      }
      return earliest;
    }
  }
  if (beyond_ != nullptr) return time_of(((tick_ >> kTurnBits) + 1) << kTurnBits);
  return std::nullopt;
}

}  // namespace sealine::io::stt
