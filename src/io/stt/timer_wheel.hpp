#pragma once

#include "sealine/base/time.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sealine::io::stt {

/// The deadlines of many sessions: four levels of 256 slots, the first of a millisecond each, every
/// further one of a whole turn of the one before.                    spec: stt.md#transports
///
/// An entry stands in the object that it belongs to, so that arming allocates nothing; it costs the
/// same for one session as for all of them. Deadlines are kept to the nanosecond: a slot only sorts
/// them coarsely. After advance() take what is due by poll_expired() until it gives nothing, then
/// next_deadline() says when to come again. Entries may be armed and disarmed at any time, also
/// while what is due is taken: what is armed then waits for the next advance(), whatever its
/// deadline. Time never goes backwards. One thread; entries may outlive the wheel, unarmed.
class TimerWheel {
 public:
  static constexpr std::chrono::milliseconds kTick{1};
  static constexpr std::size_t kSlots = 256;
  static constexpr std::size_t kLevels = 4;

  /// One deadline. Destruction disarms it.
  class Entry {
   public:
    Entry() = default;
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    ~Entry() { disarm(); }

    [[nodiscard]] bool is_armed() const noexcept { return wheel_ != nullptr; }

    /// Meaningful while it is armed.
    [[nodiscard]] TimePoint deadline() const noexcept { return deadline_; }

    void disarm() noexcept {
      if (wheel_ != nullptr) wheel_->take_out(*this);
    }

   private:
    friend class TimerWheel;

    TimerWheel* wheel_ = nullptr;  ///< nothing: not armed
    Entry** link_ = nullptr;       ///< what points to it
    Entry* next_ = nullptr;
    TimePoint deadline_{};
  };

  explicit TimerWheel(TimePoint now);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();

  /// Time has come to `now`: what is due waits for poll_expired.
  void advance(TimePoint now);

  /// An entry that is armed for an earlier time stays there, comes too early, and is armed anew by
  /// whom it belongs to: moving it whenever its deadline moves away would cost more. To move it
  /// back, disarm it first.
  void arm(Entry& entry, TimePoint when);

  /// The next one that is due, disarmed; nothing: there is none. In no order.
  [[nodiscard]] Entry* poll_expired() noexcept;
  /// When to advance() again: the earliest deadline, where it is in the turn of the first level
  /// that goes on; else a time before it, at which the wheel sorts anew. In the past where
  /// something is due.
  [[nodiscard]] std::optional<TimePoint> next_deadline() const;

  [[nodiscard]] bool is_empty() const noexcept { return size_ == 0; }

 private:
  using Tick = std::uint64_t;

  struct Level {
    std::array<Entry*, kSlots> slots{};
    std::array<std::uint64_t, kSlots / 64> used{};  ///< a used slot may have become empty since
  };

  void place(Entry& entry);
  void put(Entry*& list, Entry& entry);
  void take_out(Entry& entry) noexcept;
  void expire_all(Entry*& list);
  void expire_slots(Level& level, std::size_t from, std::size_t to);
  void place_again(Entry*& list);
  [[nodiscard]] std::size_t position(std::size_t level) const noexcept;

  std::array<Level, kLevels> levels_{};
  Entry* beyond_ = nullptr;   ///< of a later turn of the last level
  Entry* expired_ = nullptr;  ///< wait for poll_expired
  Tick tick_;                 ///< where the wheel stands
  std::size_t size_ = 0;
};

}  // namespace sealine::io::stt
