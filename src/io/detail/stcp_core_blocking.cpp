#include "io/detail/clock.hpp"
#include "io/detail/dialer.hpp"
#include "io/detail/stcp_core.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace sealine::io::stcp {

using detail::now;

namespace {

/// A receive that sleeps looks so often whether a deadline has passed.
constexpr std::chrono::seconds kReceiveTimeout{1};
/// How often an empty socket is looked at before a sleep, a few microseconds in all; how many
/// sleeps in a row may begin so after a look that found something; and how many may not, after
/// that.
constexpr int kLooks = 100;
constexpr int kMostLooksWorth = 8;
constexpr int kLookAgainAfter = 64;

/// Says for the length of a call that it may wait.
class BlockingCall {
 public:
  explicit BlockingCall(bool& flag) : flag_(flag) { flag_ = true; }

  BlockingCall(const BlockingCall&) = delete;
  BlockingCall& operator=(const BlockingCall&) = delete;

  ~BlockingCall() { flag_ = false; }

 private:
  bool& flag_;
};

int poll_timeout_ms(const std::optional<TimePoint>& deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, INT_MAX));
}

bool may_use(AddressFamily family, const net::ip::address& address) {
  return family == AddressFamily::any || (family == AddressFamily::ipv4) == address.is_v4();
}

/// Connects to one address, which needs no dialer and no context to run it.
error_code connect_one(StreamCore::Socket& socket, const net::ip::tcp::endpoint& endpoint,
                       Duration timeout) {
  const auto from_system = [](int error) {
    return error_code(error, net::error::get_system_category());
  };
  error_code ec;
  socket.open(endpoint.protocol(), ec);
  if (!ec) socket.native_non_blocking(true, ec);
  if (ec) return ec;
  const int handle = socket.native_handle();
  if (::connect(handle, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0) return {};
  if (errno != EINPROGRESS) return from_system(errno);

  std::optional<TimePoint> deadline;
  if (timeout > Duration{}) deadline = now() + timeout;
  ::pollfd entry{handle, POLLOUT, 0};
  int ready = 0;
  do {
    ready = ::poll(&entry, 1, poll_timeout_ms(deadline));
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return from_system(errno);
  if (ready == 0) return make_error_code(Errc::connect_timeout);
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(handle, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  return from_system(error);
}

}  // namespace

error_code StreamCore::wait_now(short events) {
  if (!socket_.is_open()) return net::error::bad_descriptor;
  connection_->run_ahead();
  if ((events & POLLIN) != 0) set_low_water();
  ::pollfd entry{socket_.native_handle(), events, 0};
  const int ready = ::poll(&entry, 1, poll_timeout_ms(connection_->poll_timeout()));
  if (ready < 0 && errno != EINTR) return {errno, net::error::get_system_category()};
  if (ready == 0) {
    if (phase_ == Phase::open && (events & POLLIN) != 0 && spill_.empty() && has_buffered()) {
      std::size_t delivered = 0;
      if (receive() == Received::some) (void)open_received({}, delivered);
    }
    connection_->handle_timeout(now());
    if (!has_failed()) pump_transmit();
  }
  return {};
}

bool StreamCore::may_sleep_in_receive() {
  if (phase_ != Phase::open || has_buffered() || !spill_.empty() || has_pending() ||
      gathered_bytes_ != 0) {
    return false;
  }
  const auto deadline = connection_->poll_timeout();
  if (deadline && *deadline < now() + 2 * kReceiveTimeout) return false;
  if (!sleeps_in_receive_) {
    const int flags = ::fcntl(socket_.native_handle(), F_GETFL);
    const ::timeval timeout{kReceiveTimeout.count(), 0};
    // Whatever must not wait says so with MSG_DONTWAIT.
    sleeps_in_receive_ =
        flags >= 0 && ::fcntl(socket_.native_handle(), F_SETFL, flags & ~O_NONBLOCK) == 0 &&
        ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) ==
            0;
  }
  return sleeps_in_receive_;
}

void StreamCore::receive_sleeping() {
  connection_->run_ahead();
  set_low_water();
  if (rx_.empty()) rx_ = detail::Buffer(detail::kSmallBufferBytes);
  rx_begin_ = rx_end_ = 0;
  ssize_t n = -1;
  errno = EAGAIN;
  // To wake a sleeper costs its peer more than a small message does: where messages follow one
  // another closely, look a few times before sleeping; where they do not, hardly ever.
  if (looks_worth_ > 0 || ++waits_since_look_ >= kLookAgainAfter) {
    waits_since_look_ = 0;
    for (int i = 0; i < kLooks && n < 0 && errno == EAGAIN; ++i) {
      n = ::recv(socket_.native_handle(), rx_.bytes().data(), rx_.capacity(), MSG_DONTWAIT);
    }
    looks_worth_ = n > 0 ? kMostLooksWorth : std::max(looks_worth_ - 1, 0);
  }
  if (n < 0 && errno == EAGAIN) {
    n = ::recv(socket_.native_handle(), rx_.bytes().data(), rx_.capacity(), 0);
  }
  if (n > 0) {
    rx_end_ = static_cast<std::size_t>(n);
    last_receive_was_short_ = rx_end_ < rx_.capacity();
  } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    connection_->handle_timeout(now());
  }
}

bool StreamCore::drain_pending_now() {
  for (;;) {
    if (flush_batch()) return true;
    if (send_error_ || has_failed()) return false;
    if (const error_code ec = wait_now(has_pending() ? POLLOUT : 0)) {
      if (!send_error_) send_error_ = ec;
      return false;
    }
  }
}

void StreamCore::linger_now() {
  if (phase_ == Phase::closed || phase_ == Phase::lingering) return;
  phase_ = Phase::lingering;
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  std::array<std::uint8_t, 4096> discarded{};
  const TimePoint until = now() + kDrainTime;
  std::size_t total = 0;
  while (total <= kDrainBytes) {
    const ssize_t n =
        ::recv(socket_.native_handle(), discarded.data(), discarded.size(), MSG_DONTWAIT);
    if (n > 0) {
      total += static_cast<std::size_t>(n);
      continue;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) break;
    ::pollfd entry{socket_.native_handle(), POLLIN, 0};
    if (::poll(&entry, 1, poll_timeout_ms(until)) == 0) break;
  }
  close_socket();
}

error_code StreamCore::connect_now(const std::string& host, std::uint16_t port) {
  if (phase_ != Phase::fresh || !client_) return make_error_code(Errc::wrong_state);
  auto name = peer_name(host, port);
  if (!name) return to_error_code(name.error());
  name_ = std::move(*name);

  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string target = bracketed ? host.substr(1, host.size() - 2) : host;
  error_code result;
  const net::ip::address literal = net::ip::make_address(target, result);
  if (!result && may_use(client_->family, literal)) {
    if ((result = connect_one(socket_, {literal, port}, client_->connect_timeout))) {
      close_socket();
      return result;
    }
    return handshake_now();
  }

  // A context of its own, so that the one of the stream need not run.
  net::io_context context;
  result = net::error::operation_aborted;
  const auto dialer = std::make_shared<detail::Dialer>(
      context.get_executor(),
      detail::Dialer::Timing{client_->attempt_delay, client_->connect_timeout},
      [&](const error_code& ec, Socket socket) {
        result = ec;
        if (result) return;
        const auto protocol = socket.local_endpoint(result).protocol();
        if (result) return;
        const auto handle = socket.release(result);
        if (!result) socket_.assign(protocol, handle, result);
      });
  dialer->start(target, port, client_->family);
  context.run();
  if (result) {
    close_socket();
    return result;
  }
  return handshake_now();
}

error_code StreamCore::handshake_now() {
  if (phase_ != Phase::fresh) return make_error_code(Errc::wrong_state);
  const BlockingCall call(blocking_);
  if (const auto made = make_connection(); !made) return to_error_code(made.error());
  while (is_before_open() && !has_failed()) {
    if (step_handshake()) continue;
    if (const error_code ec = wait_now(has_pending() ? POLLIN | POLLOUT : POLLIN)) return ec;
  }
  if (!has_failed()) return {};
  const error_code ec = read_status();
  linger_now();
  return ec;
}

std::size_t StreamCore::read_now(MutableBytes target, error_code& ec) {
  ec = {};
  if (is_forked()) {
    ec = make_error_code(Errc::forked);
    return 0;
  }
  const BlockingCall call(blocking_);
  std::size_t n = 0;
  bool ask_first = !last_receive_was_short_ || has_buffered() || !spill_.empty() ||
                   phase_ != Phase::open || target.empty();
  while (!ask_first || !try_read(target, n, ec)) {
    const bool few_bytes_at_a_time = !ask_first;
    ask_first = true;
    last_receive_was_short_ = false;
    if ((ec = read_status())) break;
    if (gathered_bytes_ != 0 || held_back_) (void)flush_batch();
    if (few_bytes_at_a_time && may_sleep_in_receive()) {
      receive_sleeping();
      continue;
    }
    if (spill_.empty()) give_buffers_back();
    if ((ec = wait_now(has_pending() ? POLLIN | POLLOUT : POLLIN))) break;
    if (has_pending()) (void)send_pending();
  }
  if (connection_ && !is_before_open()) {
    if (has_failed() && n == 0) linger_now();
    if (has_buffered()) connection_->pause_receiving();
    if (!has_buffered() && spill_.empty()) give_buffers_back();
  }
  return n;
}

std::size_t StreamCore::write_now(const Gather& source, error_code& ec) {
  ec = {};
  if (is_forked()) {
    ec = make_error_code(Errc::forked);
    return 0;
  }
  const BlockingCall call(blocking_);
  std::size_t n = 0;
  while (!try_write(source, n, ec)) {
    if ((ec = wait_now(has_pending() ? POLLOUT : 0))) return 0;
  }
  if ((has_pending() && !held_back_) || (!batching_ && gathered_bytes_ != 0)) {
    (void)drain_pending_now();
  }
  if (!has_pending()) tx_.reset();
  return n;
}

error_code StreamCore::flush_now() {
  if (is_forked()) return make_error_code(Errc::forked);
  if (!connection_ || is_before_open()) return make_error_code(Errc::not_encrypted);
  const BlockingCall call(blocking_);
  if (drain_pending_now()) return {};
  return send_error_ ? send_error_ : read_status();
}

error_code StreamCore::shutdown_now() {
  if (const error_code ec = flush_now()) return ec;
  const BlockingCall call(blocking_);
  if (connection_->can_send()) connection_->close(now());
  do {
    pump_transmit();
    if (!drain_pending_now()) return send_error_ ? send_error_ : read_status();
    if (connection_->has_transmit()) {
      if (const error_code ec = wait_now(0)) return ec;
    }
  } while (connection_->has_transmit());
  if (!fin_sent_) {
    fin_sent_ = true;
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
  return {};
}

}  // namespace sealine::io::stcp
