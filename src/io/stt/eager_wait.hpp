#pragma once

#include "sealine/base/time.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace sealine::io::stt {

/// Whether a wait begins with some looks before it sleeps.
///
/// To wake a sleeper costs its peer more than many datagrams do, so where they follow one another
/// closely it is worth to look. Where it was in vain the next waits sleep at once, twice as many
/// each time.
class EagerWait {
 public:
  static constexpr Duration kLookTime = std::chrono::microseconds(60);
  static constexpr unsigned kMaxPause = 63;  ///< waits

  /// There was nothing. True: look again; false: sleep.
  [[nodiscard]] bool handle_nothing(TimePoint now) noexcept {
    if (state_ == State::busy && sleeps_left_ == 0) {
      state_ = State::looking;
      look_until_ = now + kLookTime;
      return true;
    }
    if (state_ == State::looking && now < look_until_) return true;
    if (state_ == State::busy) --sleeps_left_;
    if (state_ == State::looking) {
      pause_ = std::min((2 * pause_) + 1, kMaxPause);
      sleeps_left_ = pause_;
    }
    state_ = State::sleeping;
    return false;
  }

  void handle_something() noexcept {
    if (state_ == State::looking) pause_ = 0;
    state_ = State::busy;
  }

 private:
  enum class State : std::uint8_t { busy, looking, sleeping };

  State state_ = State::busy;
  TimePoint look_until_{};
  unsigned pause_ = 0;
  unsigned sleeps_left_ = 0;
};

}  // namespace sealine::io::stt
