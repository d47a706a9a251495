#include "io/detail/stcp_core.hpp"

#include "io/detail/clock.hpp"
#include "io/detail/core_guard.hpp"
#include "io/detail/dialer.hpp"

#include <algorithm>
#include <array>
#include <sys/socket.h>
#include <utility>

namespace sealine::io::stcp {

using detail::now;

namespace {

/// Below this a wake-up too many costs less than a system call to prevent it.
constexpr std::size_t kLowWaterFromBytes = 4096;
constexpr std::size_t kMaxLowWaterBytes = std::size_t{256} << 10U;

}  // namespace

StreamCore::StreamCore(Socket socket, std::shared_ptr<const ClientOptions> client,
                       std::shared_ptr<const ServerOptions> server, std::string name)
    : executor_(socket.get_executor()),
      socket_(std::move(socket)),
      timer_(executor_),
      client_(std::move(client)),
      server_(std::move(server)),
      name_(std::move(name)) {}

StreamCore::~StreamCore() {
  if (on_closed_) on_closed_();
}

// --- operations
// -----------------------------------------------------------------------------------

std::uint64_t StreamCore::take_ticket(Slot slot) noexcept {
  std::uint64_t& ticket = slot == Slot::read    ? read_ticket_
                          : slot == Slot::write ? write_ticket_
                                                : other_ticket_;
  return ticket = ++tickets_;
}

void StreamCore::finish_later(Done done, const error_code& ec) {
  net::post(executor_, [self = shared_from_this(), done = std::move(done), ec]() mutable {
    detail::complete(std::move(done), ec);
    self->after_handler();
  });
}

void StreamCore::finish_later(Moved done, const error_code& ec, std::size_t n) {
  net::post(executor_, [self = shared_from_this(), done = std::move(done), ec, n]() mutable {
    detail::complete(std::move(done), ec, n);
    self->after_handler();
  });
}

void StreamCore::start_read(MutableBytes target, Moved done) {
  if (read_done_)
    return finish_later(std::move(done), make_error_code(Errc::operation_in_progress), 0);
  if (is_forked()) return finish_later(std::move(done), make_error_code(Errc::forked), 0);
  std::size_t n = 0;
  error_code ec;
  // A socket that was just emptied is asked again by the wait itself.
  const bool ask_first = !last_receive_was_short_ || has_buffered() || !spill_.empty() ||
                         phase_ != Phase::open || target.empty();
  if (ask_first && try_read(target, n, ec)) {
    if (has_failed() || phase_ != Phase::open) drive();
    return finish_later(std::move(done), ec, n);
  }
  if (!ask_first && (ec = read_status())) return finish_later(std::move(done), ec, 0);
  last_receive_was_short_ = false;
  read_done_ = std::move(done);
  read_target_ = target;
  arm_waits();
}

void StreamCore::start_write(const Gather& source, Moved done) {
  if (write_done_ || waiting_ == Waiting::flush || waiting_ == Waiting::shutdown) {
    return finish_later(std::move(done), make_error_code(Errc::operation_in_progress), 0);
  }
  if (is_forked()) return finish_later(std::move(done), make_error_code(Errc::forked), 0);
  std::size_t n = 0;
  error_code ec;
  if (try_write(source, n, ec)) {
    finish_later(std::move(done), ec, n);
    if (gathered_bytes_ != 0 || held_back_) post_turn_flush();
    if (has_pending() && !held_back_) arm_waits();
    if (!has_pending()) tx_.reset();
    return;
  }
  write_done_ = std::move(done);
  write_source_ = std::make_unique<Gather>(source);
  arm_waits();
}

void StreamCore::start_flush(Done done) {
  if (write_done_ || waiting_ != Waiting::none) {
    return finish_later(std::move(done), make_error_code(Errc::operation_in_progress));
  }
  if (is_forked()) return finish_later(std::move(done), make_error_code(Errc::forked));
  if (is_before_open()) return finish_later(std::move(done), make_error_code(Errc::not_encrypted));
  waiting_ = Waiting::flush;
  other_done_ = std::move(done);
  net::post(executor_,
            [guard = detail::CoreGuard(shared_from_this())]() mutable { guard.take()->drive(); });
}

void StreamCore::start_shutdown(Done done) {
  if (write_done_ || waiting_ != Waiting::none) {
    return finish_later(std::move(done), make_error_code(Errc::operation_in_progress));
  }
  if (is_forked()) return finish_later(std::move(done), make_error_code(Errc::forked));
  if (is_before_open()) return finish_later(std::move(done), make_error_code(Errc::not_encrypted));
  waiting_ = Waiting::shutdown;
  other_done_ = std::move(done);
  net::post(executor_,
            [guard = detail::CoreGuard(shared_from_this())]() mutable { guard.take()->drive(); });
}

void StreamCore::start_abort(std::uint8_t reason, Done done) {
  if (is_forked()) return finish_later(std::move(done), make_error_code(Errc::forked));
  cancel_operations();
  aborted_here_ = true;
  if (phase_ != Phase::open || connection_->state() != State::encrypted) {
    close_socket();
    return finish_later(std::move(done), {});
  }
  spill_ = {};
  connection_->abort(reason == 0 ? 1 : reason, now());
  phase_ = Phase::aborting;
  waiting_ = Waiting::abort;
  other_done_ = std::move(done);
  net::post(executor_,
            [guard = detail::CoreGuard(shared_from_this())]() mutable { guard.take()->drive(); });
}

void StreamCore::start_handshake(Done done) {
  if (waiting_ != Waiting::none) {
    return finish_later(std::move(done), make_error_code(Errc::operation_in_progress));
  }
  if (phase_ != Phase::fresh)
    return finish_later(std::move(done), make_error_code(Errc::wrong_state));
  if (const auto made = make_connection(); !made) {
    return finish_later(std::move(done), to_error_code(made.error()));
  }
  waiting_ = Waiting::handshake;
  other_done_ = std::move(done);
  net::post(executor_,
            [guard = detail::CoreGuard(shared_from_this())]() mutable { guard.take()->drive(); });
}

void StreamCore::start_connect(const std::string& host, std::uint16_t port, Done done) {
  if (waiting_ != Waiting::none) {
    return finish_later(std::move(done), make_error_code(Errc::operation_in_progress));
  }
  if (phase_ != Phase::fresh || !client_) {
    return finish_later(std::move(done), make_error_code(Errc::wrong_state));
  }
  auto name = peer_name(host, port);
  if (!name) return finish_later(std::move(done), to_error_code(name.error()));
  name_ = std::move(*name);
  phase_ = Phase::connecting;
  waiting_ = Waiting::handshake;
  other_done_ = std::move(done);
  const auto dialer = std::make_shared<detail::Dialer>(
      executor_, detail::Dialer::Timing{client_->attempt_delay, client_->connect_timeout},
      [guard = detail::CoreGuard(shared_from_this())](const error_code& ec, Socket socket) mutable {
        guard.take()->dialled(ec, std::move(socket));
      });
  dialer_ = dialer;
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  dialer->start(bracketed ? host.substr(1, host.size() - 2) : host, port, client_->family);
}

void StreamCore::dialled(const error_code& ec, Socket socket) {
  if (phase_ != Phase::connecting) return;
  error_code result = ec;
  if (!result) {
    socket_ = std::move(socket);
    if (const auto made = make_connection(); !made) result = to_error_code(made.error());
  }
  if (!result) return drive();
  close_socket();
  waiting_ = Waiting::none;
  finish_later(std::move(other_done_), result);
}

// --- the one place where everything goes on
// -------------------------------------------------------

void StreamCore::drive() {
  const Core self = shared_from_this();

  struct {
    Moved read, write;
    Done other;
    std::size_t read_bytes = 0, write_bytes = 0;
    error_code read_ec, write_ec, other_ec;
  } over;

  if (waiting_ == Waiting::handshake && !is_before_open()) waiting_ = Waiting::none;
  while (waiting_ == Waiting::handshake && connection_ && !has_failed() && is_before_open() &&
         step_handshake()) {
  }
  if (waiting_ == Waiting::handshake && connection_) {
    if (phase_ == Phase::open || has_failed()) {
      waiting_ = Waiting::none;
      over.other = std::move(other_done_);
      if (has_failed()) over.other_ec = read_status();
    }
  }
  if (connection_ && !is_before_open() && phase_ != Phase::closed) {
    (void)flush_batch();
    if (read_done_ && try_read(read_target_, over.read_bytes, over.read_ec)) {
      over.read = std::move(read_done_);
    }
    if (write_done_ && try_write(*write_source_, over.write_bytes, over.write_ec)) {
      over.write = std::move(write_done_);
      write_source_.reset();
    }
    if (connection_->has_transmit() && !has_failed()) pump_transmit();
  }
  if ((waiting_ == Waiting::flush || waiting_ == Waiting::shutdown) && connection_) {
    bool done = false;
    const bool all_sealed = flush_batch();
    if (waiting_ == Waiting::shutdown && all_sealed && connection_->can_send()) {
      connection_->close(now());
      pump_transmit();
    }
    if (aborted_here_ || send_error_ || has_failed()) {
      over.other_ec = aborted_here_ ? error_code(net::error::operation_aborted)
                      : send_error_ ? send_error_
                                    : read_status();
      done = true;
    } else if (all_sealed && !has_pending() &&
               (waiting_ == Waiting::flush || !connection_->has_transmit())) {
      if (waiting_ == Waiting::shutdown && !fin_sent_) {
        fin_sent_ = true;
        error_code ignored;
        socket_.shutdown(Socket::shutdown_send, ignored);
      }
      done = true;
    }
    if (done) {
      waiting_ = Waiting::none;
      over.other = std::move(other_done_);
    }
  }
  if (phase_ == Phase::aborting) {
    std::size_t delivered = 0;
    pump_transmit();
    while (connection_->state() == State::encrypted) {
      if (has_buffered() && open_received({}, delivered)) continue;
      const Received got = receive();
      if (got == Received::nothing_yet) break;
      if (got == Received::end) connection_->handle_end_of_stream(now());
    }
    if (connection_->state() != State::encrypted || send_error_) {
      (void)send_pending();
      close_socket();
      waiting_ = Waiting::none;
      over.other = std::move(other_done_);
    }
  }
  if (has_failed() && (phase_ == Phase::open || is_before_open())) enter_linger();

  // The end of a batch may have come with this write: its handler need not write again.
  if (over.write && (held_back_ || (gathered_bytes_ != 0 && !has_pending()))) post_turn_flush();
  arm_waits();
  if (over.read) detail::complete(std::move(over.read), over.read_ec, over.read_bytes);
  if (over.write) detail::complete(std::move(over.write), over.write_ec, over.write_bytes);
  if (over.other) detail::complete(std::move(over.other), over.other_ec);
  after_handler();
}

// --- waits
// ----------------------------------------------------------------------------------------

bool StreamCore::wants_read() const noexcept {
  switch (phase_) {
    case Phase::handshaking:
    case Phase::aborting:
    case Phase::lingering:
    case Phase::resisting:
      return true;
    case Phase::open:
      return static_cast<bool>(read_done_);
    case Phase::fresh:
    case Phase::connecting:
    case Phase::judging:
    case Phase::closed:
      break;
  }
  return false;
}

bool StreamCore::has_operation() const noexcept {
  return read_done_ || write_done_ || waiting_ != Waiting::none || has_pending() ||
         phase_ == Phase::lingering || phase_ == Phase::resisting;
}

void StreamCore::arm_waits() {
  if (!connection_ || phase_ == Phase::closed) return;
  if (phase_ == Phase::open && (read_done_ || write_done_)) connection_->run_ahead();
  if (wants_read()) {
    if (spill_.empty()) give_buffers_back();
    arm_read();
  }
  if (has_pending() && !held_back_) arm_write();
  arm_timer();
}

void StreamCore::set_low_water() {
  const std::size_t held = rx_end_ - rx_begin_;
  const std::size_t wanted =
      phase_ == Phase::open && connection_->can_receive() ? connection_->wanted_bytes() : 0;
  // Less than what is missing of the record that has begun can bring nothing; more could be a small
  // record that would then wait for a neighbour.
  int level = 1;
  if (wanted > held + kLowWaterFromBytes) {
    level = static_cast<int>(std::min(wanted - held, kMaxLowWaterBytes));
  }
  if (level == low_water_) return;
  if (::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVLOWAT, &level, sizeof level) == 0) {
    low_water_ = level;
  }
}

void StreamCore::arm_read() {
  set_low_water();
  if (read_armed_) return;
  read_armed_ = true;
  socket_.async_wait(Socket::wait_read,
                     [guard = detail::CoreGuard(shared_from_this())](const error_code&) mutable {
                       guard.take()->readable();
                     });
}

void StreamCore::arm_write() {
  if (write_armed_) return;
  write_armed_ = true;
  socket_.async_wait(Socket::wait_write,
                     [guard = detail::CoreGuard(shared_from_this())](const error_code&) mutable {
                       guard.take()->writable();
                     });
}

void StreamCore::readable() {
  read_armed_ = false;
  if (phase_ == Phase::lingering || phase_ == Phase::resisting) return linger();
  drive();
}

void StreamCore::writable() {
  write_armed_ = false;
  drive();
}

void StreamCore::arm_timer() {
  if (!has_operation() || phase_ == Phase::lingering || phase_ == Phase::resisting) return;
  const auto deadline = connection_->poll_timeout();
  if (!deadline || armed_until_ <= *deadline) return;
  armed_until_ = *deadline;
  timer_.expires_at(detail::to_steady(*deadline));
  timer_.async_wait([guard = detail::CoreGuard(shared_from_this()),
                     number = ++timer_number_](const error_code& ec) mutable {
    const Core self = guard.take();
    if (!ec && number == self->timer_number_) self->timer_expired();
  });
}

void StreamCore::timer_expired() {
  armed_until_ = TimePoint::max();
  if (phase_ == Phase::lingering || phase_ == Phase::resisting) return close_socket();
  if (!connection_ || phase_ == Phase::closed) return;
  // Bytes of a large record may have come below the low-water mark: they are progress.
  if (phase_ == Phase::open && read_done_ && spill_.empty() && has_buffered() &&
      receive() == Received::some) {
    drive();
  }
  connection_->handle_timeout(now());
  drive();
}

void StreamCore::rest_if_idle() {
  if (has_operation() || turn_posted_) return;
  if (armed_until_ != TimePoint::max()) {
    armed_until_ = TimePoint::max();
    ++timer_number_;
    timer_.cancel();
  }
  if (connection_) {
    if (has_buffered()) connection_->pause_receiving();
    give_buffers_back();
  }
}

void StreamCore::after_handler() { rest_if_idle(); }

void StreamCore::post_turn_flush() {
  if (turn_posted_) return;
  turn_posted_ = true;
  net::post(executor_, [guard = detail::CoreGuard(shared_from_this())]() mutable {
    const Core self = guard.take();
    self->turn_posted_ = false;
    if (self->phase_ == Phase::open) self->drive();
  });
}

void StreamCore::nudge() {
  if (phase_ != Phase::open || is_forked()) return;
  pump_transmit();
  if (has_pending() && !blocking_) arm_write();
}

// --- ends
// -----------------------------------------------------------------------------------------

void StreamCore::enter_linger() {
  lingered_bytes_ = 0;
  rx_.reset();
  rx_begin_ = rx_end_ = 0;
  tx_.reset();
  tx_begin_ = tx_end_ = 0;
  gathered_.reset();
  gathered_bytes_ = 0;
  held_back_ = false;
  error_code ignored;
  ++timer_number_;
  if (resists()) {
    phase_ = Phase::resisting;
    armed_until_ = TimePoint::max();
    const auto deadline = handshake_deadline_;
    timer_.expires_at(detail::to_steady(deadline));
  } else {
    phase_ = Phase::lingering;
    socket_.shutdown(Socket::shutdown_send, ignored);
    timer_.expires_after(kDrainTime);
  }
  low_water_ = 0;  // unknown: set again
  set_low_water();
  armed_until_ = TimePoint::min();
  timer_.async_wait([guard = detail::CoreGuard(shared_from_this()),
                     number = timer_number_](const error_code& ec) mutable {
    const Core self = guard.take();
    if (!ec && number == self->timer_number_) self->timer_expired();
  });
}

void StreamCore::linger() {
  std::array<std::uint8_t, 4096> discarded{};
  for (;;) {
    const ssize_t n =
        ::recv(socket_.native_handle(), discarded.data(), discarded.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return arm_read();
    lingered_bytes_ += n > 0 ? static_cast<std::size_t>(n) : 0;
    if (n <= 0) return close_socket();
    if (phase_ == Phase::lingering && lingered_bytes_ > kDrainBytes) return close_socket();
  }
}

void StreamCore::close_socket() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::closed;
  ++timer_number_;
  armed_until_ = TimePoint::max();
  timer_.cancel();
  error_code ignored;
  socket_.close(ignored);
  spill_ = {};
  rx_.reset();
  rx_begin_ = rx_end_ = 0;
  tx_.reset();
  tx_begin_ = tx_end_ = 0;
  gathered_.reset();
  gathered_bytes_ = 0;
  held_back_ = false;
  if (const auto callback = std::exchange(on_closed_, nullptr)) callback();
}

Result<Stream::Underlying> StreamCore::take_over() {
  if (!connection_ || phase_ != Phase::open) return fail(Errc::not_encrypted);
  if (has_operation() || has_pending() || connection_->has_transmit()) {
    return fail(Errc::operation_in_progress);
  }
  const MutableBytes rest = rx_.bytes().subspan(rx_begin_, rx_end_ - rx_begin_);
  std::vector<std::uint8_t> received(rest.begin(), rest.end());
  // A wait that is armed holds on to the old object; the descriptor moves to one without waits.
  error_code ec;
  const auto protocol = socket_.local_endpoint(ec).protocol();
  if (ec) return std::unexpected(to_error(ec));
  Socket socket(executor_);
  socket.assign(protocol, socket_.release(), ec);
  if (ec) return std::unexpected(to_error(ec));
  close_socket();
  return Stream::Underlying{std::move(socket), std::move(received)};
}

void StreamCore::cancel_operations() {
  const error_code aborted = net::error::operation_aborted;
  if (const auto dialer = dialer_.lock(); dialer && phase_ == Phase::connecting) {
    phase_ = Phase::closed;
    dialer->cancel();
  }
  if (read_done_) finish_later(std::move(read_done_), aborted, 0);
  if (write_done_) finish_later(std::move(write_done_), aborted, 0);
  write_source_.reset();
  if (other_done_) finish_later(std::move(other_done_), aborted);
  waiting_ = Waiting::none;
}

void StreamCore::cancel() {
  const bool handshake = waiting_ == Waiting::handshake;
  cancel_operations();
  // A handshake has no second half that could be done later.
  if (handshake || phase_ == Phase::aborting) return close_socket();
  if (phase_ != Phase::closed && (read_armed_ || write_armed_)) {
    error_code ignored;
    socket_.cancel(ignored);
  }
  rest_if_idle();
}

void StreamCore::cancel_operation(Slot slot, std::uint64_t ticket) {
  const error_code aborted = net::error::operation_aborted;
  if (slot == Slot::read && read_done_ && ticket == read_ticket_) {
    finish_later(std::move(read_done_), aborted, 0);
  } else if (slot == Slot::write && write_done_ && ticket == write_ticket_) {
    finish_later(std::move(write_done_), aborted, 0);
    write_source_.reset();
  } else if (slot == Slot::other && other_done_ && ticket == other_ticket_) {
    if (waiting_ == Waiting::handshake || waiting_ == Waiting::abort) return cancel();
    finish_later(std::move(other_done_), aborted);
    waiting_ = Waiting::none;
  } else {
    return;
  }
  error_code ignored;
  if (phase_ != Phase::closed) socket_.cancel(ignored);
}

void StreamCore::close() {
  cancel_operations();
  close_socket();
}

void StreamCore::abandon() {
  cancel_operations();
  // After a fault the linger goes on by itself: a reset would tell faults apart.
  if (phase_ != Phase::lingering && phase_ != Phase::resisting) close_socket();
}

void StreamCore::drop_operations() {
  read_armed_ = write_armed_ = turn_posted_ = false;
  const Moved read = std::move(read_done_);
  const Moved write = std::move(write_done_);
  const Done other = std::move(other_done_);
  waiting_ = Waiting::none;
}

}  // namespace sealine::io::stcp
