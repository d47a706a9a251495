#pragma once

#include "sealine/base/time.hpp"
#include "sealine/crypto/engine.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/trace.hpp"
#include "tests/sim/base/watching_engine.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sealine::sim {

/// What a world of one seed has: chance, virtual time, an engine that is watched, and the trace of
/// all that happened.
class Stage {
 public:
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  virtual ~Stage() = default;

 protected:
  /// `salt` tells the random bytes of one simulation from another's; `one_time_aad` see
  /// WatchingEngine.
  Stage(std::uint64_t seed, std::uint64_t salt, crypto::Engine& inner,
        std::size_t one_time_aad = WatchingEngine::kNone)
      : dice_(seed), rng_(mix(seed) ^ salt), engine_(inner, book_, one_time_aad) {}

  Dice dice_;
  DiceRng rng_;
  KeyBook book_;
  WatchingEngine engine_;
  TimePoint now_{std::chrono::hours(1)};
  Trace trace_;
};

}  // namespace sealine::sim
