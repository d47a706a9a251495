#include "io/detail/clock.hpp"
#include "io/detail/scp_core.hpp"
#include "io/detail/scp_linger.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/scp/limits.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <utility>

namespace sealine::io::scp {

using detail::Buffer;
using detail::kLargeBufferBytes;
using detail::kSmallBufferBytes;
using detail::now;
using ::sealine::scp::kHeadBytes;
using ::sealine::scp::kMacBytes;
using ::sealine::scp::kMaxPayloadBytes;
using ::sealine::scp::kMaxWireMessageBytes;

namespace {

/// Below this a wake-up too many costs less than a system call to prevent it.
constexpr std::size_t kLowWaterFromBytes = 4096;
static_assert(kLargeBufferBytes >= 3 * kMaxWireMessageBytes);

}  // namespace

// --- reading
// --------------------------------------------------------------------------------------

bool ChannelCore::take_input() {
  if (!end_ || judging_) return false;
  if (has_buffered()) open_received();
  if (!socket_.is_open() || judging_) return false;
  switch (receive()) {
    case Received::nothing_yet:
      input_may_wait_ = false;
      if (!send_failed_) return false;
      [[fallthrough]];
    case Received::end:
      input_may_wait_ = false;
      saw_end_ = true;
      end_->handle_disconnected(now());
      return true;
    case Received::some:
      break;
  }
  open_received();
  return true;
}

ChannelCore::Received ChannelCore::receive() {
  make_room();
  const MutableBytes room = rx_.bytes().subspan(rx_end_);
  ssize_t n = 0;
  do {
    n = ::recv(socket_.native_handle(), room.data(), room.size(), MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    rx_end_ += static_cast<std::size_t>(n);
    // Less than there was room for: the socket is empty, and the wait will say when it is not.
    if (static_cast<std::size_t>(n) < room.size()) input_may_wait_ = false;
    return Received::some;
  }
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Received::nothing_yet;
  return Received::end;
}

void ChannelCore::open_received() {
  while (has_buffered() && end_) {
    const MutableBytes in = rx_.bytes().subspan(rx_begin_, rx_end_ - rx_begin_);
    const std::size_t used = end_->handle_bytes(in, now());
    rx_begin_ += used;
    if (!opened_ || used == 0) take_events();
    if (used == 0 || judging_) return;
    // What is left may be more than one turn of the machine takes: receipts go out in between.
    if (has_buffered() && end_->has_receipt_due()) transmit();
  }
}

void ChannelCore::make_room() {
  if (!has_buffered()) rx_begin_ = rx_end_ = 0;
  const std::size_t held = rx_end_ - rx_begin_;
  if (rx_.capacity() < kLargeBufferBytes) {
    // A handshake's messages are small, and so is what a stranger may make us hold.
    const std::size_t wanted =
        opened_ || held == kSmallBufferBytes ? kLargeBufferBytes : kSmallBufferBytes;
    if (rx_.capacity() < wanted) {
      Buffer larger(wanted);
      if (held != 0) std::memcpy(larger.bytes().data(), rx_.bytes().data() + rx_begin_, held);
      rx_ = std::move(larger);
      rx_begin_ = 0;
      rx_end_ = held;
      return;
    }
  }
  if (rx_begin_ == 0) return;
  // Whole messages leave little behind; what there is moves to the front.
  if (rx_.capacity() - rx_end_ < kMaxWireMessageBytes || held < kSmallBufferBytes) {
    std::memmove(rx_.bytes().data(), rx_.bytes().data() + rx_begin_, held);
    rx_begin_ = 0;
    rx_end_ = held;
  }
}

std::size_t ChannelCore::missing_bytes() const {
  const std::size_t held = rx_end_ - rx_begin_;
  if (held < kHeadBytes || !opened_) return 0;
  Reader reader(ByteView(rx_.bytes()).subspan(rx_begin_ + 10, 4));
  const std::size_t payload = reader.be<std::uint32_t>().value_or(0);
  const std::size_t whole = kHeadBytes + std::min(payload, kMaxPayloadBytes) + kMacBytes;
  return whole > held ? whole - held : 0;
}

void ChannelCore::set_low_water() {
  // Less than what is missing of the message that has begun can bring nothing; more could be a
  // small message that would then wait for a neighbour.
  const std::size_t missing = missing_bytes();
  const int level = missing > kLowWaterFromBytes ? static_cast<int>(missing) : 1;
  if (level == low_water_) return;
  if (::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVLOWAT, &level, sizeof level) == 0) {
    low_water_ = level;
  }
}

// --- writing
// --------------------------------------------------------------------------------------

void ChannelCore::transmit() {
  queued_bytes_ = queued_messages_ = 0;
  if (!end_ || !socket_.is_open() || send_failed_ || !send_pending()) return;
  for (;;) {
    if (tx_.capacity() < kLargeBufferBytes) tx_ = Buffer(kLargeBufferBytes);
    const std::size_t n = end_->poll_transmit(tx_.bytes(), now());
    if (n == 0) break;
    tx_begin_ = 0;
    tx_end_ = n;
    if (!send_pending()) return;
  }
  // Behind our CLOSE nothing comes. Where both ends have written theirs, each waits for this.
  if (end_->state() == State::draining && !fin_sent_) {
    fin_sent_ = true;
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
}

bool ChannelCore::send_pending() {
  while (has_pending()) {
    const ByteView rest = ByteView(tx_.bytes()).subspan(tx_begin_, tx_end_ - tx_begin_);
    const ssize_t n =
        ::send(socket_.native_handle(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      tx_begin_ += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return false;
    } else if (errno != EINTR) {
      // The other end's last words may still wait to be read: the end of the input says when the
      // connection is over.
      tx_begin_ = tx_end_ = 0;
      send_failed_ = true;
      input_may_wait_ = true;
      again_ = true;
      return false;
    }
  }
  tx_begin_ = tx_end_ = 0;
  return true;
}

void ChannelCore::give_buffers_back() {
  if (!has_pending()) tx_.reset();
  const std::size_t held = rx_end_ - rx_begin_;
  if (held == 0) {
    rx_.reset();
    rx_begin_ = rx_end_ = 0;
  } else if (held < kSmallBufferBytes && rx_.capacity() > kSmallBufferBytes) {
    Buffer small(kSmallBufferBytes);
    std::memcpy(small.bytes().data(), rx_.bytes().data() + rx_begin_, held);
    rx_ = std::move(small);
    rx_begin_ = 0;
    rx_end_ = held;
  }
}

// --- the connection
// -------------------------------------------------------------------------------

void ChannelCore::adopt_socket(Socket socket, ByteView early) {
  close_socket();
  socket_ = std::move(socket);
  was_connected_ = true;
  error_code ignored;
  socket_.set_option(net::ip::tcp::no_delay(true), ignored);
  socket_.set_option(net::socket_base::keep_alive(true), ignored);
  if (!early.empty()) {
    rx_ = Buffer(std::max(early.size(), kSmallBufferBytes));
    std::memcpy(rx_.bytes().data(), early.data(), early.size());
    rx_begin_ = 0;
    rx_end_ = early.size();
  }
  input_may_wait_ = true;
}

void ChannelCore::close_socket() {
  if (!socket_.is_open()) return;
  ++socket_number_;
  read_armed_ = write_armed_ = false;
  // What the machine wrote last, a CLOSE or its answer, is worth an attempt.
  (void)send_pending();
  error_code ignored;
  if (saw_end_ || (end_ && end_->state() == State::lost)) {
    socket_.close(ignored);
  } else {
    socket_.cancel(ignored);
    linger(std::move(socket_));
    socket_ = Socket(executor_);
  }
  saw_end_ = send_failed_ = fin_sent_ = false;
  input_may_wait_ = false;
  judging_ = false;
  low_water_ = 1;
  tx_.reset();
  tx_begin_ = tx_end_ = 0;
  rx_.reset();
  rx_begin_ = rx_end_ = 0;
}

}  // namespace sealine::io::scp
