#include "io/stt/session_core.hpp"

#include "io/detail/clock.hpp"
#include "io/detail/core_guard.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <utility>

namespace sealine::io::stt {

namespace {

/// Bytes of one connection before the others have their turn.
constexpr std::size_t kTurnBytes = std::size_t{2} << 20U;

}  // namespace

SessionCore::SessionCore(std::shared_ptr<EndpointCore> endpoint)
    : endpoint_(std::move(endpoint)),
      socket_(endpoint_->executor()),
      timer_(endpoint_->executor()) {}

// --- the loop
// -------------------------------------------------------------------------------------

void SessionCore::drive() {
  // What ends an operation may call us again from within.
  if (driving_) {
    drive_again_ = true;
    return;
  }
  driving_ = true;
  do {
    drive_again_ = false;
    bool moved = true;
    while (moved && phase_ != Phase::closed) {
      moved = take_events();
      moved = transmit() || moved;
    }
  } while (drive_again_);
  driving_ = false;
  if (phase_ != Phase::closed) arm();
}

void SessionCore::arm() {
  arm_read();
  arm_write();
  arm_timer();
}

void SessionCore::arm_read() {
  if (read_armed_ || !socket_.is_open() || phase_ <= Phase::connecting) return;
  read_armed_ = true;
  socket_.async_wait(Socket::wait_read,
                     [guard = detail::CoreGuard(shared_from_this())](const error_code& ec) mutable {
                       const auto self = guard.take();
                       self->read_armed_ = false;
                       if (!ec) self->readable();
                     });
}

void SessionCore::arm_write() {
  if (write_armed_ || pending_.empty() || !socket_.is_open()) return;
  write_armed_ = true;
  socket_.async_wait(Socket::wait_write,
                     [guard = detail::CoreGuard(shared_from_this())](const error_code& ec) mutable {
                       const auto self = guard.take();
                       self->write_armed_ = false;
                       if (!ec) self->drive();
                     });
}

TimePoint SessionCore::next_deadline() const {
  TimePoint next = TimePoint::max();
  const auto sooner = [&next](const std::optional<TimePoint>& when) {
    if (when) next = std::min(next, *when);
  };
  if (phase_ < Phase::open) next = handshake_deadline_;
  if (websocket_) sooner(websocket_->poll_timeout());
  if (session_) sooner(session_->poll_timeout());
  sooner(linger_until_);
  return next;
}

void SessionCore::arm_timer() {
  const TimePoint next = next_deadline();
  if (next == armed_until_) return;
  armed_until_ = next;
  if (next == TimePoint::max()) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(detail::to_steady(next));
  timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
    if (const auto self = weak.lock(); self && !ec) self->timer_expired();
  });
}

void SessionCore::timer_expired() {
  armed_until_ = TimePoint::max();
  const TimePoint now = detail::now();
  if (linger_until_ && now >= *linger_until_) return close_socket();
  if (phase_ < Phase::open && now >= handshake_deadline_) {
    // Our first message proved that we know the seed: silence is its refusal.
    const bool proved = phase_ == Phase::handshaking && initiator_.has_value();
    return fail({proved ? Errc::peer_fell_silent : Errc::handshake_timeout, 0});
  }
  if (session_) session_->handle_timeout(now);
  if (websocket_) {
    if (const auto closed = websocket_->handle_timeout(now)) return take_closed(*closed);
  }
  drive();
}

void SessionCore::readable() {
  std::size_t taken = 0;
  const MutableBytes scratch = endpoint_->receive_scratch();
  while (socket_.is_open() && taken < kTurnBytes) {
    error_code ec;
    const std::size_t n = socket_.read_some(net::buffer(scratch.data(), scratch.size()), ec);
    if (ec == net::error::would_block || ec == net::error::try_again) break;
    if (ec) {
      end_of_stream();
      return;
    }
    taken += n;
    take(scratch.first(n));
    if (n < scratch.size()) break;
  }
  drive();
}

// --- ending
// ---------------------------------------------------------------------------------------

/// Before a session stands: the dial has failed.
void SessionCore::fail(const Error& error) {
  if (phase_ >= Phase::open) return;
  if (websocket_ && !websocket_->is_closing()) {
    websocket_->close(websocket::close_code::kPolicy, {}, detail::now());
    transmit();
  }
  if (given_) {
    net::post(executor(), [done = std::move(given_), error]() mutable {
      detail::complete(std::move(done), to_error_code(error), Session());
    });
  }
  const auto number = std::exchange(number_, std::nullopt);
  if (phase_ != Phase::answering) close_socket();
  if (number) endpoint_->handshake_over(*number, error);
}

void SessionCore::close_socket() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::closed;
  linger_until_.reset();
  error_code ignored;
  socket_.shutdown(Socket::shutdown_both, ignored);
  socket_.close(ignored);
  timer_.cancel();
  give_session_up();
}

void SessionCore::drop_operations() {
  phase_ = Phase::closed;  // what goes with them may call, and finds nothing to do
  const Given given = std::move(given_);
  const Accepted accept = std::move(accept_);
  const Done drain = std::move(drain_);
  const auto streams = std::exchange(streams_, {});
}

void SessionCore::after_call() {
  if (phase_ != Phase::closed) drive();
}

void SessionCore::close(std::uint16_t code, std::string_view reason) {
  if (session_) session_->close(code, reason, detail::now());
  after_call();
}

void SessionCore::rotate() {
  if (session_) session_->rotate(detail::now());
  after_call();
}

void SessionCore::abandon() {
  cancel_accept();
  opened_.clear();
  if (phase_ == Phase::open && session_) {
    session_->close(0, {}, detail::now());
    drive();
  }
}

SessionStatistics SessionCore::statistics() const {
  return session_ ? session_->statistics() : SessionStatistics{};
}

}  // namespace sealine::io::stt
