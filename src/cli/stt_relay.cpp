#include "cli/stt_relay.hpp"

#include "cli/join.hpp"
#include "cli/msg_child.hpp"

#include <algorithm>
#include <utility>

namespace sealine::cli {

// --- SocketEnds ----------------------------------------------------------------------------------

net::awaitable<Result<std::size_t>> SocketEnds::read(MutableBytes out) {
  if (is_cancelled_) co_return fail(Errc::cancelled);
  error_code ec;
  const std::size_t n = co_await socket_.async_read_some(
      net::buffer(out.data(), out.size()), net::redirect_error(net::use_awaitable, ec));
  if (is_cancelled_) co_return fail(Errc::cancelled);
  if (ec == net::error::eof) co_return 0;
  if (ec) co_return std::unexpected(io::to_error(ec));
  co_return n;
}

net::awaitable<Result<>> SocketEnds::write(ByteView bytes) {
  if (is_cancelled_) co_return fail(Errc::cancelled);
  error_code ec;
  co_await net::async_write(socket_, net::buffer(bytes.data(), bytes.size()),
                            net::redirect_error(net::use_awaitable, ec));
  if (is_cancelled_) co_return fail(Errc::cancelled);
  if (ec) co_return std::unexpected(io::to_error(ec));
  co_return Result<>{};
}

void SocketEnds::close_output() {
  error_code ec;
  static_cast<void>(socket_.shutdown(net::socket_base::shutdown_send, ec));
}

void SocketEnds::cancel() {
  is_cancelled_ = true;
  error_code ec;
  static_cast<void>(socket_.set_option(net::socket_base::linger(true, 0), ec));
  static_cast<void>(socket_.close(ec));
}

// --- SttRelay ------------------------------------------------------------------------------------

SttRelay::SttRelay(io::stt::Stream stream, LineEnds& ends, Child* command, const SttShared& shared,
                   std::size_t piece_bytes)
    : stream_(std::move(stream)),
      ends_(&ends),
      command_(command),
      shared_(shared),
      piece_bytes_(piece_bytes),
      up_pause_(stream_.get_executor()),
      down_pause_(stream_.get_executor()) {}

net::awaitable<void> SttRelay::run(ByteView first, ByteView came) {
  ++shared_.counts.streams;
  co_await both(send(first), receive(came));
  if (command_ != nullptr && !status_) {
    command_->terminate();
    status_ = co_await command_->wait();
  }
}

void SttRelay::abort() { ends_failed({Errc::aborted}); }

void SttRelay::stream_failed(const error_code& ec) {
  if (!network_ && !local_) network_ = io::to_error(ec);
  stream_.reset(kStreamFailed);
  stream_.stop(kStreamFailed);
  stream_.cancel();
  ends_->cancel();
  up_pause_.cancel();
  down_pause_.cancel();
}

void SttRelay::ends_failed(const Error& error) {
  if (error.code != Errc::cancelled && !local_ && !network_) local_ = error;
  stream_.reset(kStreamFailed);
  stream_.stop(kStreamFailed);
  stream_.cancel();
  ends_->cancel();
  up_pause_.cancel();
  down_pause_.cancel();
}

net::awaitable<bool> SttRelay::put(ByteView bytes) {
  error_code ec;
  co_await net::async_write(stream_, net::buffer(bytes.data(), bytes.size()),
                            net::redirect_error(net::use_awaitable, ec));
  if (ec) stream_failed(ec);
  co_return !ec;
}

net::awaitable<void> SttRelay::send(ByteView first) {
  if (!first.empty()) {
    const bool is_sent = co_await put(first);
    if (!is_sent) co_return;
  }
  co_await send_rest();
}

net::awaitable<void> SttRelay::send_rest() {
  const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(piece_bytes_);
  for (;;) {
    const auto n = co_await ends_->read({buffer.get(), shared_.up.piece(piece_bytes_)});
    if (network_ || local_) co_return;
    const bool is_done = !n && n.error().code == Errc::cancelled && is_peer_done_;
    if (!n && !is_done) co_return ends_failed(n.error());
    if (is_done || *n == 0) break;
    co_await shared_.up.take(*n, up_pause_);
    const bool is_sent = co_await put({buffer.get(), *n});
    if (!is_sent) co_return;
    counts_.bytes_out += *n;
    shared_.counts.bytes_out += *n;
  }
  co_await finish();
}

net::awaitable<void> SttRelay::finish() {
  if (command_ != nullptr) {
    status_ = co_await command_->wait();
    if (*status_ != 0) co_return ends_failed({Errc::command_failed});
  }
  if (network_ || local_) co_return;
  error_code ec;
  co_await stream_.async_shutdown(net::redirect_error(net::use_awaitable, ec));
  if (ec) stream_failed(ec);
}

net::awaitable<void> SttRelay::receive(ByteView came) {
  if (!came.empty()) {
    const auto written = co_await ends_->write(came);
    if (!written) co_return ends_failed(written.error());
  }
  const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(piece_bytes_);
  for (;;) {
    error_code ec;
    const std::size_t n = co_await stream_.async_read_some(
        net::buffer(buffer.get(), shared_.down.piece(piece_bytes_)),
        net::redirect_error(net::use_awaitable, ec));
    if (network_ || local_) co_return;
    if (ec == net::error::eof) break;
    if (ec) co_return stream_failed(ec);
    counts_.bytes_in += n;
    shared_.counts.bytes_in += n;
    const auto written = co_await ends_->write({buffer.get(), n});
    if (network_ || local_) co_return;
    if (!written) co_return ends_failed(written.error());
    co_await shared_.down.take(n, down_pause_);
  }
  is_peer_done_ = true;
  ends_->close_output();
  if (input_ends_with_peer_) ends_->cancel();
}

}  // namespace sealine::cli
