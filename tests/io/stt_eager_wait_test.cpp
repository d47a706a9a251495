// Looking before sleeping: where it was worth it again, where it was not more and more rarely.
#include "io/stt/eager_wait.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace sealine::io::stt {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{5s};

// A wait in which nothing comes. True: it looked before it slept.
bool waits_in_vain(EagerWait& wait) {
  bool looked = false;
  TimePoint now = kStart;
  for (; wait.handle_nothing(now); now += 1us) looked = true;
  EXPECT_EQ(now - kStart, looked ? EagerWait::kLookTime : Duration{});
  EXPECT_FALSE(wait.handle_nothing(now + 1s)) << "it sleeps, whatever wakes it for nothing";
  wait.handle_something();
  return looked;
}

TEST(SttEagerWait, LooksAsLongAsItIsWorthIt) {
  EagerWait wait;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(wait.handle_nothing(kStart));
    EXPECT_TRUE(wait.handle_nothing(kStart + EagerWait::kLookTime - 1ns));
    wait.handle_something();
  }
}

TEST(SttEagerWait, SleepsTwiceAsOftenEachTimeItWasInVain) {
  EagerWait wait;
  for (unsigned pause = 1; pause <= EagerWait::kMaxPause; pause = (2 * pause) + 1) {
    EXPECT_TRUE(waits_in_vain(wait)) << pause;
    for (unsigned i = 0; i < pause; ++i) EXPECT_FALSE(waits_in_vain(wait)) << pause;
  }
  EXPECT_TRUE(waits_in_vain(wait));
  for (unsigned i = 0; i < EagerWait::kMaxPause; ++i) EXPECT_FALSE(waits_in_vain(wait));
}

TEST(SttEagerWait, OneThatFoundSomethingMakesUpForAll) {
  EagerWait wait;
  EXPECT_TRUE(waits_in_vain(wait));
  EXPECT_FALSE(waits_in_vain(wait));
  EXPECT_TRUE(wait.handle_nothing(kStart));
  wait.handle_something();
  EXPECT_TRUE(waits_in_vain(wait));
  EXPECT_FALSE(waits_in_vain(wait));
  EXPECT_TRUE(waits_in_vain(wait)) << "one sleep again, not three";
}

}  // namespace
}  // namespace sealine::io::stt
