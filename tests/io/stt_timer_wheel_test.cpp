// The wheel that STT's deadlines stand in, by a clock that the test moves. spec: stt.md#transports
#include "io/stt/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

namespace sealine::io::stt {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Not at the beginning of a turn of any level.
constexpr TimePoint kStart{milliseconds(0x01'FE'FD'FC)};

class SttTimerWheel : public testing::Test {
 protected:
  // What is due at `now`.
  std::set<TimerWheel::Entry*> due(TimePoint now) {
    wheel.advance(now);
    std::set<TimerWheel::Entry*> out;
    while (TimerWheel::Entry* const entry = wheel.poll_expired()) {
      EXPECT_FALSE(entry->is_armed());
      EXPECT_LE(entry->deadline(), now);
      EXPECT_TRUE(out.insert(entry).second);
    }
    return out;
  }

  TimerWheel wheel{kStart};
};

TEST_F(SttTimerWheel, AnEmptyWheelWaitsForNothing) {
  EXPECT_TRUE(wheel.is_empty());
  EXPECT_FALSE(wheel.next_deadline());
  wheel.advance(kStart + hours(1));
  EXPECT_EQ(wheel.poll_expired(), nullptr);
  EXPECT_FALSE(wheel.next_deadline());
}

TEST_F(SttTimerWheel, DeadlinesBelowATickAreExact) {
  TimerWheel::Entry first;
  TimerWheel::Entry second;
  wheel.arm(first, kStart + microseconds(700));
  wheel.arm(second, kStart + microseconds(300));
  EXPECT_EQ(wheel.next_deadline(), kStart + microseconds(300));
  EXPECT_TRUE(due(kStart + microseconds(300) - nanoseconds(1)).empty());
  EXPECT_EQ(due(kStart + microseconds(300)), std::set{&second});
  EXPECT_EQ(wheel.next_deadline(), kStart + microseconds(700));
  EXPECT_EQ(due(kStart + microseconds(900)), std::set{&first});
  EXPECT_TRUE(wheel.is_empty());
}

TEST_F(SttTimerWheel, ADeadlineIsNeitherEarlyNorMissedWhateverItsDistance) {
  // On both sides of every turn of every level, and past the last of them.
  std::vector<TimePoint> deadlines;
  for (unsigned bits = 0; bits <= 34; ++bits) {
    for (const int off : {-1, 0, 1}) {
      deadlines.push_back(kStart + milliseconds((std::int64_t{1} << bits) + off));
      const auto turn =
          milliseconds((((kStart.time_since_epoch() / milliseconds(1)) >> bits) + 1) << bits);
      deadlines.push_back(TimePoint(turn) + milliseconds(off));
    }
  }
  for (const TimePoint when : deadlines) {
    TimerWheel fresh(kStart);
    TimerWheel::Entry entry;
    fresh.arm(entry, when);
    int wakes = 0;
    for (;;) {
      const auto next = fresh.next_deadline();
      ASSERT_TRUE(next);
      ASSERT_LE(*next, std::max(when, kStart));
      fresh.advance(*next);
      ASSERT_LE(++wakes, 12) << "it is to sleep, not to count";
      if (fresh.poll_expired() == nullptr) continue;
      EXPECT_GE(*next, when);
      break;
    }
    EXPECT_TRUE(fresh.is_empty());
  }
}

TEST_F(SttTimerWheel, AnEarlierDeadlineMovesAndALaterOneDoesNot) {
  TimerWheel::Entry entry;
  wheel.arm(entry, kStart + milliseconds(500));
  wheel.arm(entry, kStart + milliseconds(20));
  EXPECT_LE(*wheel.next_deadline(), kStart + milliseconds(20));
  wheel.arm(entry, kStart + milliseconds(900));
  EXPECT_EQ(entry.deadline(), kStart + milliseconds(20));
  EXPECT_TRUE(due(kStart + milliseconds(20) - nanoseconds(1)).empty());
  EXPECT_EQ(due(kStart + milliseconds(20)), std::set{&entry});
  // Its owner finds it too early, and arms it anew.
  wheel.arm(entry, kStart + milliseconds(900));
  EXPECT_TRUE(due(kStart + milliseconds(899)).empty());
  EXPECT_EQ(due(kStart + milliseconds(900)), std::set{&entry});
}

TEST_F(SttTimerWheel, WhatIsDisarmedOrGoneNeverComes) {
  TimerWheel::Entry kept;
  TimerWheel::Entry disarmed;
  auto gone = std::make_unique<TimerWheel::Entry>();
  for (TimerWheel::Entry* entry : {gone.get(), &kept, &disarmed}) {
    wheel.arm(*entry, kStart + milliseconds(3));
  }
  disarmed.disarm();
  disarmed.disarm();
  gone.reset();
  EXPECT_EQ(due(kStart + milliseconds(3)), std::set{&kept});
  EXPECT_TRUE(wheel.is_empty());
  EXPECT_FALSE(wheel.next_deadline());
}

TEST_F(SttTimerWheel, WhatIsDueMayBeDisarmedByWhoeverIsDueBefore) {
  TimerWheel::Entry a;
  TimerWheel::Entry b;
  wheel.arm(a, kStart);
  wheel.arm(b, kStart);
  wheel.advance(kStart + milliseconds(1));
  TimerWheel::Entry* const first = wheel.poll_expired();
  (first == &a ? b : a).disarm();
  EXPECT_EQ(wheel.poll_expired(), nullptr);
  EXPECT_TRUE(wheel.is_empty());
}

TEST_F(SttTimerWheel, WhatIsArmedWhileOthersAreDueWaitsForTheNextTurn) {
  TimerWheel::Entry entry;
  wheel.arm(entry, kStart);
  wheel.advance(kStart + milliseconds(5));
  ASSERT_EQ(wheel.poll_expired(), &entry);
  wheel.arm(entry, kStart + milliseconds(2));  // over already
  EXPECT_EQ(wheel.poll_expired(), nullptr);
  EXPECT_LE(*wheel.next_deadline(), kStart + milliseconds(5));
  EXPECT_EQ(due(kStart + milliseconds(5)), std::set{&entry});
}

TEST_F(SttTimerWheel, AJumpAheadFindsAllThatIsDueAndNothingElse) {
  std::map<int, std::unique_ptr<TimerWheel::Entry>> entries;
  for (int i = 0; i < 3000; i += 7) {
    wheel.arm(*(entries[i] = std::make_unique<TimerWheel::Entry>()), kStart + milliseconds(i * i));
  }
  const TimePoint now = kStart + milliseconds(1234 * 1234);
  const auto found = due(now);
  for (const auto& [i, entry] : entries) EXPECT_EQ(found.contains(entry.get()), i <= 1234) << i;
}

TEST_F(SttTimerWheel, AnIdleSessionWakesItsWheelAFewTimesAtMost) {
  TimerWheel::Entry idle;
  wheel.arm(idle, kStart + milliseconds(30000));
  int wakes = 0;
  while (!wheel.is_empty()) {
    ++wakes;
    due(*wheel.next_deadline());
  }
  EXPECT_LE(wakes, 3);
}

TEST_F(SttTimerWheel, EntriesMayOutliveTheWheel) {
  TimerWheel::Entry near;
  TimerWheel::Entry far;
  TimerWheel::Entry over;
  {
    TimerWheel shortlived(kStart);
    shortlived.arm(near, kStart + milliseconds(3));
    shortlived.arm(far, kStart + hours(24 * 365));
    shortlived.arm(over, kStart);
    shortlived.advance(kStart);
  }
  EXPECT_FALSE(near.is_armed());
  EXPECT_FALSE(far.is_armed());
  EXPECT_FALSE(over.is_armed());
}

// Against a plain list of the same deadlines.
TEST_F(SttTimerWheel, AgreesWithAListInEveryOrderOfCalls) {
  std::mt19937 random(42);  // NOLINT(bugprone-random-generator-seed): the same in every run
  std::vector<TimerWheel::Entry> entries(50);
  std::map<TimerWheel::Entry*, TimePoint> list;
  TimePoint now = kStart;
  const auto span = [&random] {
    return nanoseconds(static_cast<std::int64_t>(random()) << (random() % 18U));
  };
  for (int step = 0; step < 20000; ++step) {
    TimerWheel::Entry& entry = entries[random() % entries.size()];
    if (random() % 4 == 0) {
      entry.disarm();
      list.erase(&entry);
    } else if (random() % 4 == 0) {
      now += span() / 4;
      std::set<TimerWheel::Entry*> expected;
      for (const auto& [one, when] : list) {
        if (when <= now) expected.insert(one);
      }
      ASSERT_EQ(due(now), expected);
      for (TimerWheel::Entry* one : expected) list.erase(one);
    } else {
      const TimePoint when = now + span() - milliseconds(1);
      wheel.arm(entry, when);
      const auto [place, is_new] = list.emplace(&entry, when);
      place->second = std::min(place->second, when);
    }
    const auto next = wheel.next_deadline();
    ASSERT_EQ(next.has_value(), !list.empty());
    for (const auto& [one, when] : list) ASSERT_LE(*next, std::max(when, now));
  }
}

}  // namespace
}  // namespace sealine::io::stt
