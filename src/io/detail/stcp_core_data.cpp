#include "io/detail/clock.hpp"
#include "io/detail/stcp_core.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <variant>

namespace sealine::io::stcp {

using detail::Buffer;
using detail::kLargeBufferBytes;
using detail::kSmallBufferBytes;
using detail::now;

namespace {

/// Room for waiting handshake and control records beside the data.
constexpr std::size_t kControlBytes = 512;
/// One write takes no more at once, so that others on the thread have their turn.
constexpr std::size_t kMaxWriteBytes = std::size_t{1} << 20U;
/// While nobody reads, the input is looked at once in so many bytes sent.
constexpr std::size_t kServiceEveryBytes = std::size_t{4} << 20U;
/// Parts of a sequence smaller than this are copied together before sealing.
constexpr std::size_t kGatherBelowBytes = 16384;
/// Batching sends when the buffer has less room than this left. A batch that was smaller when it
/// was flushed gets a small buffer, and nothing is held back in that.
constexpr std::size_t kHoldBackRoomBytes = 16384;
/// A receive that got less than this has probably emptied the socket.
constexpr std::size_t kBulkBytes = 16384;
/// What a server holds of a client that has not finished its handshake.
constexpr std::size_t kHandshakeReadBytes = 512;

void copy(ByteView from, MutableBytes to) {
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

}  // namespace

// --- reading
// --------------------------------------------------------------------------------------

error_code StreamCore::read_status() const {
  if (aborted_here_) return net::error::operation_aborted;
  if (const auto error = connection_->fault()) return to_error_code(*error);
  if (phase_ == Phase::closed && connection_->can_receive()) return net::error::bad_descriptor;
  if (!connection_->can_receive()) return net::error::eof;
  return {};
}

bool StreamCore::try_read(MutableBytes out, std::size_t& n, error_code& ec) {
  n = 0;
  if (is_before_open()) {
    ec = make_error_code(Errc::not_encrypted);
    return true;
  }
  if (out.empty()) return true;
  for (;;) {
    if (!spill_.empty()) {
      const std::size_t taken = std::min(spill_.size(), out.size() - n);
      copy(spill_.first(taken), out.subspan(n));
      spill_ = spill_.subspan(taken);
      n += taken;
      if (n == out.size()) return true;
    }
    std::size_t delivered = 0;
    while (has_buffered() && spill_.empty() && n < out.size()) {
      const bool went_on = open_received(out.subspan(n), delivered);
      n += delivered;
      if (!went_on) break;
    }
    if (!spill_.empty() && n < out.size()) continue;
    if (n != 0) return true;
    if (phase_ != Phase::open) {
      if (!(ec = read_status())) ec = net::error::bad_descriptor;
      return true;
    }
    if ((ec = read_status())) return true;
    switch (receive()) {
      case Received::some:
        break;
      case Received::nothing_yet:
        return false;
      case Received::end:
        connection_->handle_end_of_stream(now());
        ec = read_status();
        return true;
    }
  }
}

bool StreamCore::open_received(MutableBytes out, std::size_t& delivered) {
  delivered = 0;
  const MutableBytes in = rx_.bytes().subspan(rx_begin_, rx_end_ - rx_begin_);
  const auto opened = connection_->handle_bytes(in, out, now());
  take_events();
  if (!opened) {
    rx_begin_ = rx_end_ = 0;
    return false;
  }
  rx_begin_ += opened->consumed;
  delivered = opened->delivered;
  spill_ = opened->spill;
  if (connection_->has_transmit()) [[unlikely]]
    pump_transmit();
  return opened->consumed != 0;
}

void StreamCore::make_room(std::size_t record_bytes) {
  if (!has_buffered()) rx_begin_ = rx_end_ = 0;
  const std::size_t held = rx_end_ - rx_begin_;
  const bool large = phase_ == Phase::open || phase_ == Phase::aborting;
  const std::size_t least = large ? kLargeBufferBytes : kSmallBufferBytes;
  std::size_t capacity = rx_.capacity();
  if (capacity < least) {
    capacity = least;
  } else if (held == capacity) {
    // A large record: the buffer grows with what has come, not with what is announced.
    capacity = std::clamp(record_bytes, held + 1, held * 2);
  }
  if (capacity != rx_.capacity()) {
    Buffer larger(capacity);
    copy(rx_.bytes().subspan(rx_begin_, held), larger.bytes());
    rx_ = std::move(larger);
  } else if (rx_begin_ != 0 && capacity - rx_begin_ < std::max(record_bytes, kBulkBytes)) {
    std::memmove(rx_.bytes().data(), rx_.bytes().data() + rx_begin_, held);
  } else {
    return;
  }
  rx_begin_ = 0;
  rx_end_ = held;
}

StreamCore::Received StreamCore::receive() {
  make_room(connection_->wanted_bytes());
  MutableBytes room = rx_.bytes().subspan(rx_end_);
  if (phase_ != Phase::open) room = room.first(std::min(room.size(), kHandshakeReadBytes));
  // Whole records of the usual size: what is left over of the last one would have to be moved.
  const std::size_t record =
      connection_->max_record_bytes() + ::sealine::stcp::kRecordOverheadBytes;
  if (const std::size_t held = rx_end_ - rx_begin_;
      held + room.size() > record && phase_ == Phase::open) {
    room = room.first((held + room.size()) / record * record - held);
  }
  ssize_t n = 0;
  do {
    n = ::recv(socket_.native_handle(), room.data(), room.size(), MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    rx_end_ += static_cast<std::size_t>(n);
    last_receive_was_short_ = static_cast<std::size_t>(n) < std::min(room.size(), kBulkBytes);
    return Received::some;
  }
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Received::nothing_yet;
  return Received::end;  // FIN; or a reset, which is the same without a CLOSE before it
}

void StreamCore::take_events() {
  while (const auto event = connection_->poll_event()) {
    if (const auto* shown = std::get_if<::sealine::stcp::PeerKeyShown>(&*event)) {
      judge(shown->key);
    } else if (const auto* next = std::get_if<::sealine::stcp::PinUpdated>(&*event)) {
      const auto& key = connection_->peer().key;
      if (key && client_ && client_->trust)
        client_->trust->next_key(introduction(*key), next->next_key);
    }
  }
}

void StreamCore::service_input() {
  sent_since_input_ = 0;
  if (phase_ != Phase::open || read_done_ || !spill_.empty() || read_status()) return;
  if (!has_buffered() && receive() != Received::some) return;
  std::size_t delivered = 0;
  while (has_buffered() && spill_.empty() && open_received({}, delivered)) {
  }
  connection_->pause_receiving();
  give_buffers_back();
}

// --- writing
// --------------------------------------------------------------------------------------

error_code StreamCore::write_status() const {
  if (aborted_here_) return net::error::operation_aborted;
  if (send_error_) return send_error_;
  if (const auto error = connection_->fault()) return to_error_code(*error);
  if (phase_ == Phase::closed) return net::error::bad_descriptor;
  if (phase_ != Phase::open) return make_error_code(Errc::not_encrypted);
  if (!connection_->can_send()) return make_error_code(Errc::already_closed);
  return {};
}

bool StreamCore::try_write(const Gather& source, std::size_t& n, error_code& ec) {
  n = 0;
  ec = connection_ ? write_status() : error_code(make_error_code(Errc::not_encrypted));
  if (ec) return true;
  if (source.total == 0) return true;
  const std::size_t full = connection_->max_record_bytes();

  if (batching_ && source.total < full) {
    if (gathered_bytes_ + source.total > full && !make_room()) {
      ec = send_error_;
      return static_cast<bool>(ec);
    }
    n = gather(source, full);
    if (gathered_bytes_ == full) (void)seal_gathered();
    return true;
  }
  if (!make_room()) {
    ec = send_error_;
    return static_cast<bool>(ec);
  }
  if (source.count > 1 && source.parts[0].size() < kGatherBelowBytes) {
    n = gather(source, full);
    (void)seal_gathered();
    // What the socket does not take now stays gathered: it is in the send buffer's stead.
  } else {
    for (std::size_t i = 0; i < source.count && n < kMaxWriteBytes; ++i) {
      const ByteView part =
          source.parts[i].first(std::min(source.parts[i].size(), kMaxWriteBytes - n));
      const std::size_t taken = seal_and_send(part);
      n += taken;
      if (taken < part.size()) break;
    }
  }
  sent_since_input_ += n;
  if (sent_since_input_ > kServiceEveryBytes) service_input();
  if (n == 0) ec = send_error_;
  return n != 0 || ec;
}

std::size_t StreamCore::gather(const Gather& source, std::size_t limit) {
  if (gathered_.empty()) gathered_ = Buffer(std::max(limit, kSmallBufferBytes));
  std::size_t taken = 0;
  for (std::size_t i = 0; i < source.count && gathered_bytes_ < limit; ++i) {
    const ByteView part =
        source.parts[i].first(std::min(source.parts[i].size(), limit - gathered_bytes_));
    copy(part, gathered_.bytes().subspan(gathered_bytes_));
    gathered_bytes_ += part.size();
    taken += part.size();
  }
  return taken;
}

bool StreamCore::seal_gathered() {
  if (gathered_bytes_ == 0) return true;
  const std::size_t taken = seal_and_send(gathered_.bytes().first(gathered_bytes_));
  if (taken < gathered_bytes_) {
    const MutableBytes rest = gathered_.bytes().subspan(taken, gathered_bytes_ - taken);
    std::memmove(gathered_.bytes().data(), rest.data(), rest.size());
    gathered_bytes_ = rest.size();
    return false;
  }
  gathered_bytes_ = 0;
  return true;
}

bool StreamCore::make_room() { return (held_back_ || send_pending()) && seal_gathered(); }

bool StreamCore::flush_batch() { return send_pending() && seal_gathered() && send_pending(); }

std::size_t StreamCore::seal_and_send(ByteView data) {
  std::size_t taken = 0;
  while (taken < data.size()) {
    if (has_pending() && !held_back_) break;
    if (!held_back_) {
      const bool more_may_come = batching_ && data.size() >= kHoldBackRoomBytes;
      provide_send_buffer(more_may_come ? kLargeBufferBytes : data.size() - taken);
    }
    const std::size_t begin = held_back_ ? tx_end_ : 0;
    const auto sealed = connection_->seal(data.subspan(taken), tx_.bytes().subspan(begin), now());
    if (!sealed) {
      if (!send_error_) send_error_ = to_error_code(sealed.error());
      break;
    }
    if (sealed->written == 0) {
      if (!held_back_) break;  // a constant rate: later
      if (!send_pending()) break;
      continue;
    }
    taken += sealed->taken;
    tx_begin_ = 0;
    tx_end_ = begin + sealed->written;
    // One send and one wake-up of the peer for a buffer full of records, not for each.
    held_back_ = batching_ && tx_.capacity() - tx_end_ >= kHoldBackRoomBytes;
    if (!held_back_ && !send_pending()) break;
  }
  return taken;
}

void StreamCore::provide_send_buffer(std::size_t data_bytes) {
  const std::size_t one = connection_->sealed_size(1);  // under padding it may be long
  const std::size_t all = connection_->sealed_size(std::min(data_bytes, kLargeBufferBytes));
  const std::size_t wanted = std::max(std::min(all, kLargeBufferBytes), one) + kControlBytes;
  if (wanted <= tx_.capacity() ||
      tx_.capacity() >= std::max(one + kControlBytes, kLargeBufferBytes))
    return;
  tx_ = Buffer(std::min(wanted, std::max(one + kControlBytes, kLargeBufferBytes)));
}

bool StreamCore::send_pending() {
  held_back_ = false;
  while (has_pending()) {
    const ByteView rest = tx_.bytes().subspan(tx_begin_, tx_end_ - tx_begin_);
    const ssize_t n =
        ::send(socket_.native_handle(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      tx_begin_ += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return false;
    } else if (errno != EINTR) {
      send_failed(errno);
      return false;
    }
  }
  tx_begin_ = tx_end_ = 0;
  return true;
}

void StreamCore::send_failed(int error) {
  if (!send_error_) send_error_ = error_code(error, net::error::get_system_category());
  tx_.reset();
  tx_begin_ = tx_end_ = 0;
  held_back_ = false;
  gathered_.reset();
  gathered_bytes_ = 0;
}

void StreamCore::pump_transmit() {
  while (connection_->has_transmit()) {
    if (!send_pending()) return;
    provide_send_buffer(1);
    const std::size_t n = connection_->poll_transmit(tx_.bytes(), now());
    if (n == 0) return;
    tx_begin_ = 0;
    tx_end_ = n;
    if (send_error_) {
      tx_begin_ = tx_end_ = 0;  // nobody hears it any more
    }
  }
  (void)send_pending();
}

void StreamCore::give_buffers_back() {
  if (!has_pending()) tx_.reset();
  if (gathered_bytes_ == 0) gathered_.reset();
  if (!spill_.empty()) return;
  const std::size_t held = rx_end_ - rx_begin_;
  if (held == 0) {
    rx_.reset();
    rx_begin_ = rx_end_ = 0;
  } else if (held < kSmallBufferBytes / 2 && rx_.capacity() > kSmallBufferBytes) {
    Buffer small(kSmallBufferBytes);
    copy(rx_.bytes().subspan(rx_begin_, held), small.bytes());
    rx_ = std::move(small);
    rx_begin_ = 0;
    rx_end_ = held;
  }
}

}  // namespace sealine::io::stcp
