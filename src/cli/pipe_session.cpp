#include "cli/pipe_session.hpp"

#include "cli/join.hpp"

#include <utility>

namespace sealine::cli {
namespace {

constexpr std::size_t kPipePieceBytes = std::size_t{512} << 10U;

std::uint8_t reason_number(io::stcp::CloseReason reason) {
  return static_cast<std::uint8_t>(reason);
}

}  // namespace

PipeSession::PipeSession(io::stcp::Stream stream, const Ends& ends)
    : stream_(std::move(stream)),
      ends_(ends),
      up_(ends.rate),
      down_(ends.rate),
      up_pause_(stream_.get_executor()),
      down_pause_(stream_.get_executor()),
      up_buffer_(std::make_unique_for_overwrite<std::uint8_t[]>(kPipePieceBytes)),
      down_buffer_(std::make_unique_for_overwrite<std::uint8_t[]>(kPipePieceBytes)) {}

std::optional<Error> PipeSession::network_error() const noexcept {
  if (is_aborted_) return std::nullopt;
  return network_;
}

net::awaitable<void> PipeSession::run() {
  ends_.input.resume();
  co_await both(send(), receive());
}

void PipeSession::note(const error_code& ec) {
  if (ec == net::error::operation_aborted || network_) return;
  network_ = stream_.fault().value_or(io::to_error(ec));
}

net::awaitable<void> PipeSession::abort(io::stcp::CloseReason reason) {
  is_aborted_ = true;
  ends_.input.cancel();
  ends_.output.cancel();
  up_pause_.cancel();
  down_pause_.cancel();
  error_code ec;
  co_await stream_.async_abort(reason_number(reason), net::redirect_error(net::use_awaitable, ec));
}

net::awaitable<void> PipeSession::give_up_locally(Error error) {
  if (error.code == Errc::cancelled || local_) co_return;
  local_ = error;
  co_await abort(io::stcp::CloseReason::application);
}

net::awaitable<void> PipeSession::send() {
  error_code ec;
  for (;;) {
    const MutableBytes room(up_buffer_.get(), up_.piece(kPipePieceBytes));
    const auto n = co_await ends_.input.read(room);
    if (!n && !(n.error().code == Errc::cancelled && is_peer_done_)) {
      co_return co_await give_up_locally(n.error());
    }
    if (!n || *n == 0) break;
    co_await up_.take(*n, up_pause_);
    co_await net::async_write(stream_, net::buffer(up_buffer_.get(), *n),
                              net::redirect_error(net::use_awaitable, ec));
    if (ec) {
      note(ec);
      co_return;
    }
    sent_ += *n;
  }
  if (is_aborted_) co_return;
  co_await stream_.async_shutdown(net::redirect_error(net::use_awaitable, ec));
  if (ec) note(ec);
}

net::awaitable<void> PipeSession::receive() {
  for (;;) {
    error_code ec;
    const std::size_t n = co_await stream_.async_read_some(
        net::buffer(down_buffer_.get(), down_.piece(kPipePieceBytes)),
        net::redirect_error(net::use_awaitable, ec));
    if (ec == net::error::eof) break;
    if (ec) {
      note(ec);
      ends_.input.cancel();  // nobody is left to send to
      co_return;
    }
    received_ += n;
    const auto written = co_await ends_.output.write({down_buffer_.get(), n});
    if (!written) co_return co_await give_up_locally(written.error());
    co_await down_.take(n, down_pause_);
  }
  is_peer_done_ = true;
  if (ends_.closes_output) ends_.output.close();
  if (ends_.input.is_terminal()) ends_.input.cancel();
}

}  // namespace sealine::cli
