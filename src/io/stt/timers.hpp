#pragma once

#include "io/stt/timer_wheel.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/asio.hpp"

#include <memory>

namespace sealine::io::stt {

/// The timers of all sessions on one executor: a wheel, and one timer of Asio's that turns it.
///
/// That one is moved only for a deadline earlier than what it is armed for, and then to the
/// nanosecond, so that pacing is as fine as the system's timers are. Runs on its executor.
class Timers : public std::enable_shared_from_this<Timers> {
 public:
  /// Whom a deadline belongs to. `timers` outlives it.
  class Timer : private TimerWheel::Entry {
   public:
    explicit Timer(Timers& timers) : timers_(timers) {}

    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    virtual ~Timer() { disarm(); }

    /// For `when`, or earlier: one that is armed for an earlier time is left to come then.
    void arm(TimePoint when) { timers_.arm(*this, when); }

    void disarm() { timers_.disarm(*this); }

   protected:
    /// Its time has come, and it is armed no more. May destroy it.
    virtual void expired() = 0;

   private:
    friend class Timers;

    Timers& timers_;
  };

  explicit Timers(const net::any_io_executor& executor);

 private:
  struct Turning;

  void arm(Timer& timer, TimePoint when);
  void disarm(Timer& timer);
  void wake_at(TimePoint when);
  void turn();

  TimerWheel wheel_;
  net::steady_timer timer_;
  TimePoint armed_until_ = TimePoint::max();
  bool is_turning_ = false;
};

}  // namespace sealine::io::stt
