#include "io/detail/scp_core.hpp"

#include "io/detail/clock.hpp"
#include "io/detail/core_guard.hpp"
#include "io/detail/dialer.hpp"
#include "io/detail/fork_guard.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace sealine::io::scp {

using detail::now;
using ::sealine::scp::ChannelEnd;

namespace {

/// Queued bytes that are sealed and sent without waiting for the end of the turn.
constexpr std::size_t kSendAtOnceBytes = std::size_t{128} << 10U;
constexpr std::size_t kSendAtOnceMessages = 256;
/// Buffers read in one turn; then others on the thread have theirs.
constexpr int kReceivesATurn = 4;

}  // namespace

ChannelCore::ChannelCore(net::any_io_executor executor,
                         std::shared_ptr<const ClientOptions> options)
    : executor_(std::move(executor)),
      socket_(executor_),
      timer_(executor_),
      client_(std::move(options)),
      generation_(detail::process_generation()) {}

ChannelCore::ChannelCore(std::shared_ptr<const ServerOptions> options, Established established)
    : executor_(established.socket.get_executor()),
      socket_(executor_),
      timer_(executor_),
      server_(std::move(options)),
      name_(std::move(established.client)),
      verdict_(std::move(established.verdict)),
      generation_(detail::process_generation()) {
  end_.emplace(ChannelEnd::accept(server_->protocol, std::move(established.opening),
                                  thread_engine(), system_rng(), now()));
  shown_key_ = end_->peer().key;
  adopt_socket(std::move(established.socket), established.early);
}

ChannelCore::~ChannelCore() {
  if (on_ended_) on_ended_();
}

bool ChannelCore::is_forked() const { return generation_ != detail::process_generation(); }

// --- calls
// ----------------------------------------------------------------------------------------

Error ChannelCore::ended_error() const {
  if (failed_) return *failed_;
  if (!end_) return {Errc::not_encrypted};
  const auto& outcome = end_->outcome();
  if (!outcome) return {Errc::already_closed};
  if (outcome->code == Code::normal) return {Errc::already_closed};
  if (outcome->error.code != Errc{}) return outcome->error;
  return {::sealine::scp::errc_of(outcome->code)};
}

Result<std::uint64_t> ChannelCore::try_send(ByteView message) {
  if (is_forked()) return fail(Errc::forked);
  if (!end_ || failed_ || end_->outcome()) return std::unexpected(ended_error());
  if (!queue_.empty()) return fail(Errc::window_full);
  auto number = end_->send(message);
  if (!number) {
    // What the machine says of a channel that is about to end is less than what will be known.
    return number;
  }
  bytes_out_ += message.size();
  queued_bytes_ += message.size();
  if (queued_bytes_ >= kSendAtOnceBytes || ++queued_messages_ >= kSendAtOnceMessages) transmit();
  touch();
  return number;
}

void ChannelCore::start_send(ByteView message, bool until_receipt, Ticket ticket, Waiter waiter) {
  auto number = try_send(message);
  if (!number && number.error().code == Errc::window_full) {
    queue_.push_back({ticket, message, until_receipt, std::move(waiter)});
    // The receipts that make room may have to be asked for by what is still unsent.
    return touch();
  }
  if (!number || !until_receipt) return finish_later(std::move(waiter), number);
  sends_.push_back({ticket, *number + 1, *number, std::move(waiter)});
}

void ChannelCore::start_receipts(std::uint64_t count, Ticket ticket, Waiter waiter) {
  if (end_ && end_->receipted() >= count) {
    return finish_later(std::move(waiter), end_->receipted());
  }
  if (!end_ || failed_ || end_->outcome()) {
    return finish_later(std::move(waiter), std::unexpected(ended_error()));
  }
  receipt_calls_.push_back({ticket, count, 0, std::move(waiter)});
}

std::optional<Result<std::uint64_t>> ChannelCore::look() const {
  if (is_forked()) return fail(Errc::forked);
  if (failed_ || !end_) return std::unexpected(ended_error());
  if (end_->front()) return 1;
  if (end_->at_end()) return 0;
  const auto& outcome = end_->outcome();
  if (!outcome) return std::nullopt;
  if (outcome->code == Code::normal) return 0;
  return std::unexpected(ended_error());
}

void ChannelCore::start_wait(Ticket ticket, Waiter waiter) {
  if (wait_call_.waiter) {
    return finish_later(std::move(waiter), fail(Errc::operation_in_progress));
  }
  if (const auto ready = look()) return finish_later(std::move(waiter), *ready);
  wait_call_ = {ticket, 0, 0, std::move(waiter)};
}

void ChannelCore::start_closed(Ticket ticket, Waiter waiter) {
  if (failed_ || !end_ || end_->outcome()) return finish_later(std::move(waiter), 0);
  closed_calls_.push_back({ticket, 0, 0, std::move(waiter)});
}

void ChannelCore::pop() {
  bytes_in_ += end_->front()->size();
  ++taken_;
  end_->pop();
  if (end_->has_receipt_due()) touch();
}

Message ChannelCore::take_message() {
  const auto view = end_->front();
  if (!view) return {};
  Message message(taken_, std::string(as_text(*view)));
  pop();
  return message;
}

void ChannelCore::end() {
  if (!end_) return;
  end_->end(now());
  touch();
}

void ChannelCore::close() {
  if (!end_ || end_->outcome()) return;
  end_->close(now());
  touch();
}

void ChannelCore::abort(Code code) {
  if (!end_ || end_->outcome()) return;
  end_->abort(::sealine::scp::is_wire_code(code) ? code : Code::internal, now());
  touch();
}

void ChannelCore::pad(std::size_t bytes) {
  if (!end_) return;
  end_->pad(bytes);
  touch();
}

void ChannelCore::rotate() {
  if (!end_) return;
  end_->rotate();
  touch();
}

void ChannelCore::drop() {
  if (!end_) return;
  end_->forbid_resume();
  end_->handle_disconnected(now());
  close_socket();
  touch();
}

void ChannelCore::forbid_resume() {
  if (!end_) return;
  end_->forbid_resume();
  touch();
}

void ChannelCore::abandon() {
  abandoned_ = true;
  observer_ = nullptr;
  cancel();
  if (!opened_ && !server_) return drop();
  close();
}

void ChannelCore::abandon_blocking() {
  abandoned_ = true;
  observer_ = nullptr;
  if (end_ && !end_->outcome()) {
    end_->close(now());
    transmit();
  }
  error_code ignored;
  if (socket_.is_open()) socket_.shutdown(Socket::shutdown_send, ignored);
  drop();
  drop_operations();
}

void ChannelCore::cancel_call(Ticket ticket) {
  const auto end_one = [&](auto& calls) {
    const auto call = std::ranges::find_if(
        calls, [&](const auto& entry) { return entry.ticket == ticket && entry.waiter; });
    if (call == calls.end()) return false;
    finish_later(std::move(call->waiter), fail(Errc::cancelled));
    calls.erase(call);
    return true;
  };
  if (wait_call_.waiter && wait_call_.ticket == ticket) {
    finish_later(std::move(wait_call_.waiter), fail(Errc::cancelled));
  } else if (connect_call_.waiter && connect_call_.ticket == ticket) {
    finish_later(std::move(connect_call_.waiter), fail(Errc::cancelled));
    if (const auto dialer = dialer_.lock()) dialer->cancel();
    drop();
  } else {
    (void)(end_one(queue_) || end_one(sends_) || end_one(receipt_calls_) || end_one(closed_calls_));
  }
}

void ChannelCore::cancel() {
  const auto end_all = [this](auto& calls) {
    for (auto& call : calls) finish_later(std::move(call.waiter), fail(Errc::cancelled));
    calls.clear();
  };
  if (wait_call_.waiter) finish_later(std::move(wait_call_.waiter), fail(Errc::cancelled));
  if (connect_call_.waiter) cancel_call(connect_call_.ticket);
  end_all(queue_);
  end_all(sends_);
  end_all(receipt_calls_);
  end_all(closed_calls_);
}

void ChannelCore::drop_operations() {
  read_armed_ = write_armed_ = turn_posted_ = false;
  // Each may hold the last reference to this object but one: they go when all are out of it.
  const Core self = weak_from_this().lock();
  const Call connecting = std::move(connect_call_);
  const Call waiting = std::move(wait_call_);
  const auto queue = std::move(queue_);
  const auto sends = std::move(sends_);
  const auto receipts = std::move(receipt_calls_);
  const auto closed = std::move(closed_calls_);
  queue_.clear();
  sends_.clear();
  receipt_calls_.clear();
  closed_calls_.clear();
}

void ChannelCore::finish_later(Waiter waiter, Result<std::uint64_t> result) {
  net::post(executor_, [waiter = std::move(waiter), result]() mutable {
    detail::complete(std::move(waiter), result);
  });
}

// --- the one place where everything goes on
// -------------------------------------------------------

void ChannelCore::touch() {
  if (driving_) {
    again_ = true;
  } else {
    post_turn();
  }
}

void ChannelCore::post_turn() {
  if (turn_posted_) return;
  turn_posted_ = true;
  net::post(executor_, [guard = detail::CoreGuard(shared_from_this())]() mutable {
    const Core self = guard.take();
    self->turn_posted_ = false;
    self->drive();
  });
}

void ChannelCore::drive() {
  const Core self = shared_from_this();
  if (driving_) {
    again_ = true;
    return;
  }
  driving_ = true;
  int receives = 0;
  do {
    again_ = false;
    if (input_may_wait_ && receives++ < kReceivesATurn && take_input()) again_ = true;
    take_events();
    if (settle()) again_ = true;
    transmit();
    take_events();
  } while (again_);
  driving_ = false;
  arm_waits();
  if (send_failed_ && input_may_wait_) post_turn();
}

void ChannelCore::take_events() {
  if (!end_) return;
  while (const auto event = end_->poll_event()) handle_event(*event);
  const State state = end_->state();
  const bool is_over = state == State::closed || state == State::lost;
  if (is_over && socket_.is_open()) close_socket();
}

void ChannelCore::handle_event(const ::sealine::scp::Event& event) {
  std::visit(
      [this](const auto& what) {
        using What = std::decay_t<decltype(what)>;
        if constexpr (std::is_same_v<What, ::sealine::scp::KeyShown>) {
          judge(what.key);
        } else if constexpr (std::is_same_v<What, ::sealine::scp::ReconnectDue>) {
          dial_again();
        } else if constexpr (std::is_same_v<What, ::sealine::scp::MessageReady>) {
          // settle() looks for it
        } else {
          if constexpr (std::is_same_v<What, Rotated>) ++rotations_;
          if constexpr (std::is_same_v<What, Opened>) {
            ++connections_;
            if (!std::exchange(opened_, true)) return;
          }
          tell(what);
        }
      },
      event);
}

void ChannelCore::tell(const Event& event) {
  if (!observer_) return;
  const EventObserver observer = observer_;  // it may replace itself
  observer(event);
}

void ChannelCore::let_go(Waiter waiter, Result<std::uint64_t> result) {
  detail::complete(std::move(waiter), result);
}

bool ChannelCore::settle() {
  if (!end_) return false;
  if (connect_call_.waiter && opened_) {
    let_go(std::move(connect_call_.waiter), 0);
    again_ = true;
  }
  if (!sends_.empty() || !receipt_calls_.empty()) settle_receipts();
  if (!queue_.empty()) settle_queue();
  bool went_on = false;
  while (wait_call_.waiter) {
    const auto ready = look();
    if (!ready) break;
    went_on = true;
    let_go(std::move(wait_call_.waiter), *ready);
  }
  if (end_->outcome()) settle_end();
  return went_on;
}

void ChannelCore::settle_queue() {
  while (!queue_.empty() && !end_->outcome()) {
    auto number = end_->send(queue_.front().message);
    if (!number && number.error().code == Errc::window_full) return;
    QueuedMessage entry = std::move(queue_.front());
    queue_.pop_front();
    if (number) bytes_out_ += entry.message.size();
    if (number && entry.until_receipt) {
      sends_.push_back({entry.ticket, *number + 1, *number, std::move(entry.waiter)});
    } else {
      let_go(std::move(entry.waiter), number);
    }
  }
}

void ChannelCore::settle_receipts() {
  const std::uint64_t receipted = end_->receipted();
  while (!sends_.empty() && sends_.front().target <= receipted) {
    Call call = std::move(sends_.front());
    sends_.pop_front();
    let_go(std::move(call.waiter), call.number);
  }
  for (std::size_t i = 0; i < receipt_calls_.size();) {
    if (receipt_calls_[i].target > receipted) {
      ++i;
      continue;
    }
    Call call = std::move(receipt_calls_[i]);
    receipt_calls_.erase(receipt_calls_.begin() + static_cast<std::ptrdiff_t>(i));
    let_go(std::move(call.waiter), receipted);
  }
}

void ChannelCore::settle_end() {
  const Error error = ended_error();
  if (connect_call_.waiter) {
    failed_ = end_->outcome()->error.code == Errc{} ? error : end_->outcome()->error;
    let_go(std::move(connect_call_.waiter), std::unexpected(*failed_));
  }
  while (!queue_.empty()) {
    Waiter waiter = std::move(queue_.front().waiter);
    queue_.pop_front();
    let_go(std::move(waiter), std::unexpected(error));
  }
  while (!sends_.empty()) {
    Waiter waiter = std::move(sends_.front().waiter);
    sends_.pop_front();
    let_go(std::move(waiter), std::unexpected(error));
  }
  while (!receipt_calls_.empty()) {
    Waiter waiter = std::move(receipt_calls_.back().waiter);
    receipt_calls_.pop_back();
    let_go(std::move(waiter), std::unexpected(error));
  }
  while (!closed_calls_.empty()) {
    Waiter waiter = std::move(closed_calls_.back().waiter);
    closed_calls_.pop_back();
    let_go(std::move(waiter), 0);
  }
  if (const auto ended = std::exchange(on_ended_, nullptr)) ended();
}

// --- waits
// ----------------------------------------------------------------------------------------

void ChannelCore::arm_waits() {
  give_buffers_back();
  if (end_ && socket_.is_open()) {
    // A verdict is waited for with the input unread.
    if (!judging_ && !saw_end_) arm_read();
    if (has_pending()) arm_write();
  }
  arm_timer();
}

void ChannelCore::arm_read() {
  set_low_water();
  if (read_armed_) return;
  read_armed_ = true;
  socket_.async_wait(Socket::wait_read, [guard = detail::CoreGuard(shared_from_this()),
                                         number = socket_number_](const error_code&) mutable {
    const Core self = guard.take();
    if (number != self->socket_number_) return;
    self->read_armed_ = false;
    self->input_may_wait_ = true;
    self->drive();
  });
}

void ChannelCore::arm_write() {
  if (write_armed_) return;
  write_armed_ = true;
  socket_.async_wait(Socket::wait_write, [guard = detail::CoreGuard(shared_from_this()),
                                          number = socket_number_](const error_code&) mutable {
    const Core self = guard.take();
    if (number != self->socket_number_) return;
    self->write_armed_ = false;
    self->drive();
  });
}

void ChannelCore::arm_timer() {
  if (!end_) return;
  const auto deadline = end_->poll_timeout();
  if (!deadline) {
    if (armed_until_ != TimePoint::max()) {
      armed_until_ = TimePoint::max();
      ++timer_number_;
      timer_.cancel();
    }
    return;
  }
  if (armed_until_ <= *deadline) return;
  armed_until_ = *deadline;
  timer_.expires_at(detail::to_steady(*deadline));
  timer_.async_wait([guard = detail::CoreGuard(shared_from_this()),
                     number = ++timer_number_](const error_code& ec) mutable {
    const Core self = guard.take();
    if (ec || number != self->timer_number_) return;
    self->armed_until_ = TimePoint::max();
    if (self->end_) self->end_->handle_timeout(now());
    self->drive();
  });
}

}  // namespace sealine::io::scp
