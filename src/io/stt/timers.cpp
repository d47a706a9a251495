#include "io/stt/timers.hpp"

#include "io/detail/clock.hpp"

namespace sealine::io::stt {

/// Ends also by an exception, of an observer: the next that is armed turns the wheel again.
struct Timers::Turning {
  explicit Turning(Timers& owner) : timers(owner) { timers.is_turning_ = true; }

  Turning(const Turning&) = delete;
  Turning& operator=(const Turning&) = delete;

  ~Turning() { timers.is_turning_ = false; }

  Timers& timers;
};

Timers::Timers(const net::any_io_executor& executor) : wheel_(detail::now()), timer_(executor) {}

void Timers::arm(Timer& timer, TimePoint when) {
  wheel_.arm(timer, when);
  // While it turns, what is armed is seen at the end.
  if (!is_turning_ && when < armed_until_) wake_at(when);
}

void Timers::disarm(Timer& timer) {
  if (!timer.is_armed()) return;
  timer.TimerWheel::Entry::disarm();
  // What nobody waits for any more must not keep the context at work.
  if (is_turning_ || !wheel_.is_empty()) return;
  armed_until_ = TimePoint::max();
  timer_.cancel();
}

void Timers::wake_at(TimePoint when) {
  armed_until_ = when;
  timer_.expires_at(detail::to_steady(when));
  timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
    if (const auto self = weak.lock(); self && !ec) self->turn();
  });
}

void Timers::turn() {
  armed_until_ = TimePoint::max();
  {
    const Turning turning(*this);
    wheel_.advance(detail::now());
    while (TimerWheel::Entry* const entry = wheel_.poll_expired()) {
      static_cast<Timer*>(entry)->expired();
    }
  }
  if (const auto next = wheel_.next_deadline()) wake_at(*next);
}

}  // namespace sealine::io::stt
