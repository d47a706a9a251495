#include "sealine/base/timer_table.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>

namespace sealine {
namespace {

using namespace std::chrono_literals;

enum class Timer : std::uint8_t { handshake, idle, ping, count_ };

constexpr TimePoint at(Duration since_zero) { return TimePoint(since_zero); }

TEST(TimerTable, starts_with_all_timers_off) {
  const TimerTable<Timer> timers;
  EXPECT_FALSE(timers.earliest());
  EXPECT_FALSE(timers.deadline(Timer::idle));
}

TEST(TimerTable, tells_the_earliest_deadline) {
  TimerTable<Timer> timers;
  timers.set(Timer::idle, at(30s));
  timers.set(Timer::handshake, at(10s));
  EXPECT_EQ(timers.earliest(), at(10s));
  timers.set(Timer::handshake, at(40s));
  EXPECT_EQ(timers.earliest(), at(30s));
  timers.cancel(Timer::idle);
  EXPECT_EQ(timers.earliest(), at(40s));
  EXPECT_EQ(timers.deadline(Timer::handshake), at(40s));
  timers.cancel_all();
  EXPECT_FALSE(timers.earliest());
}

TEST(TimerTable, a_timer_is_due_once_from_its_deadline_on) {
  TimerTable<Timer> timers;
  timers.set(Timer::ping, at(5s));
  EXPECT_FALSE(timers.take_due(Timer::ping, at(5s) - 1ns));
  EXPECT_FALSE(timers.take_due(Timer::idle, at(1h)));
  EXPECT_TRUE(timers.take_due(Timer::ping, at(5s)));
  EXPECT_FALSE(timers.take_due(Timer::ping, at(6s)));
  timers.set(Timer::ping, at(7s));
  EXPECT_TRUE(timers.take_due(Timer::ping, at(1h)));
}

TEST(TimerTable, knows_times_before_its_zero) {
  TimerTable<Timer> timers;
  timers.set(Timer::ping, at(-5s));
  EXPECT_EQ(timers.earliest(), at(-5s));
  EXPECT_TRUE(timers.take_due(Timer::ping, at(0s)));
}

template <class Clock>
concept CanTellTheTime = requires { Clock::now(); };
static_assert(!CanTellTheTime<MachineClock>);

}  // namespace
}  // namespace sealine
