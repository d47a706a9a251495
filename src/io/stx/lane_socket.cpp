#include "io/stx/lane_socket.hpp"

#include "io/detail/clock.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <sys/socket.h>
#include <utility>

namespace sealine::io::stx {
namespace {

constexpr std::size_t kMaxParts = 64;  ///< of one sendmsg
constexpr std::size_t kLowWaterFromBytes = 4096;
constexpr std::size_t kMaxLowWaterBytes = std::size_t{256} << 10U;
constexpr std::chrono::milliseconds kRatePause{20};
constexpr std::chrono::milliseconds kLingerTime{1000};

}  // namespace

LaneSocket::LaneSocket(Socket socket, std::shared_ptr<RateLimit> rate,
                       std::shared_ptr<SlabShelf> shelf)
    : socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      rate_(std::move(rate)),
      shelf_(std::move(shelf)) {
  error_code ignored;
  socket_.set_option(net::ip::tcp::no_delay(true), ignored);
  socket_.set_option(net::socket_base::keep_alive(true), ignored);
  socket_.native_non_blocking(true, ignored);
}

// --- out

void LaneSocket::enqueue(std::shared_ptr<OutBatch> batch) { queue_.push_back(std::move(batch)); }

void LaneSocket::flush() {
  if (write_armed_ || rate_armed_ || flushing_ || !socket_.is_open()) return;
  flushing_ = true;
  const auto self = shared_from_this();
  while (!queue_.empty() && queue_.front()->is_ready) {
    OutBatch& batch = *queue_.front();
    std::array<::iovec, kMaxParts> parts;
    std::size_t count = 0;
    std::size_t wanted = 0;
    for (std::size_t i = part_; i < batch.parts.size() && count < kMaxParts; ++i) {
      ::iovec part = batch.parts[i];
      if (i == part_) {
        part.iov_base = static_cast<std::uint8_t*>(part.iov_base) + part_offset_;
        part.iov_len -= part_offset_;
      }
      if (rate_ && rate_->is_on()) {
        const std::size_t allowed = rate_->allowance(detail::now(), wanted + part.iov_len);
        part.iov_len = std::min(part.iov_len, allowed - std::min(allowed, wanted));
        if (part.iov_len == 0) break;
      }
      wanted += part.iov_len;
      parts[count++] = part;
    }
    if (count == 0 && part_ < batch.parts.size()) {
      wait_for_rate();
      break;
    }
    ssize_t sent = 0;
    if (count != 0) {
      ::msghdr message{};
      message.msg_iov = parts.data();
      message.msg_iovlen = count;
      sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
          arm_write();
        } else {
          flushing_ = false;
          return failed(errno);
        }
        break;
      }
    }
    if (rate_) rate_->spend(static_cast<std::size_t>(sent));
    sent_bytes_ += static_cast<std::uint64_t>(sent);
    auto left = static_cast<std::size_t>(sent);
    while (part_ < batch.parts.size() && left >= batch.parts[part_].iov_len - part_offset_) {
      left -= batch.parts[part_].iov_len - part_offset_;
      part_offset_ = 0;
      ++part_;
    }
    part_offset_ += left;
    if (part_ < batch.parts.size()) continue;
    part_ = part_offset_ = 0;
    shelf_->give(std::move(batch.slab));
    queue_.pop_front();
    if (const auto hook = hooks_.sent) hook();  // a copy: it may end in close()
    if (!socket_.is_open()) break;
  }
  flushing_ = false;
  if (finishing_) step_finish();
}

void LaneSocket::arm_write() {
  if (write_armed_) return;
  write_armed_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const error_code&) {
    self->write_armed_ = false;
    self->flush();
  });
}

void LaneSocket::wait_for_rate() {
  rate_armed_ = true;
  timer_.expires_after(kRatePause);
  timer_.async_wait([self = shared_from_this()](const error_code&) {
    self->rate_armed_ = false;
    self->flush();
  });
}

void LaneSocket::failed(int error_number) {
  const auto self = shared_from_this();
  const auto hook = std::exchange(hooks_.failed, nullptr);
  close();
  if (hook) hook(Error{Errc::connection_lost, static_cast<std::uint32_t>(error_number)});
}

// --- in

LaneSocket::Received LaneSocket::receive(MutableBytes out, std::size_t& count) {
  count = 0;
  if (!socket_.is_open()) return Received::end;
  for (;;) {
    const ssize_t n = ::recv(socket_.native_handle(), out.data(), out.size(), MSG_DONTWAIT);
    if (n > 0) {
      count = static_cast<std::size_t>(n);
      received_bytes_ += count;
      return Received::some;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Received::nothing_yet;
    return Received::end;
  }
}

void LaneSocket::want_read(std::size_t low_water) {
  if (!is_open()) return;
  int level = 1;
  if (low_water > kLowWaterFromBytes) {
    level = static_cast<int>(std::min(low_water, kMaxLowWaterBytes));
  }
  if (level != low_water_ &&
      ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVLOWAT, &level, sizeof level) == 0) {
    low_water_ = level;
  }
  if (read_armed_) return;
  read_armed_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code&) {
    self->read_armed_ = false;
    if (self->finishing_) return self->discard_input();
    const auto hook = self->hooks_.readable;
    if (hook) hook();
  });
}

// --- the end

void LaneSocket::finish() {
  if (finishing_ || !socket_.is_open()) return;
  finishing_ = true;
  hooks_ = {};
  rate_ = nullptr;
  timer_.expires_after(kLingerTime);
  timer_.async_wait([self = shared_from_this()](const error_code& ec) {
    if (!ec) self->close();
  });
  flush();
  if (socket_.is_open()) discard_input();
}

void LaneSocket::step_finish() {
  if (fin_sent_ || !socket_.is_open() || write_armed_ || rate_armed_) return;
  if (!queue_.empty() && queue_.front()->is_ready) return;
  fin_sent_ = true;
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  if (peer_ended_) close();
}

void LaneSocket::discard_input() {
  std::array<std::uint8_t, 16384> discarded;
  std::size_t count = 0;
  Received got = Received::some;
  while (got == Received::some) got = receive(discarded, count);
  if (got == Received::end) {
    peer_ended_ = true;
    if (fin_sent_) close();
    return;
  }
  if (read_armed_ || !socket_.is_open()) return;
  read_armed_ = true;
  const int one = 1;
  (void)::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& ec) {
    self->read_armed_ = false;
    if (!ec) self->discard_input();
  });
}

void LaneSocket::close() {
  hooks_ = {};
  if (!socket_.is_open()) return;
  error_code ignored;
  socket_.close(ignored);
  timer_.cancel();
  queue_.clear();
  if (const auto callback = std::exchange(on_closed_, nullptr)) callback();
}

void LaneSocket::on_closed(std::function<void()> callback) {
  if (!socket_.is_open()) return callback();
  on_closed_ = std::move(callback);
}

}  // namespace sealine::io::stx
