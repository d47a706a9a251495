#include "cli/relay.hpp"

#include "cli/join.hpp"

#include <memory>
#include <utility>

namespace sealine::cli {
namespace {

constexpr std::size_t kRelayPieceBytes = std::size_t{64} << 10U;

}  // namespace

Relay::Relay(io::stcp::Stream sealed, PlainSocket plain, const Shared& shared)
    : sealed_(std::move(sealed)), plain_(std::move(plain)), shared_(shared) {}

net::awaitable<void> Relay::run() { co_await both(seal(), open()); }

void Relay::reset_plain() {
  error_code ec;
  static_cast<void>(plain_.set_option(net::socket_base::linger(true, 0), ec));
  static_cast<void>(plain_.close(ec));
}

void Relay::sealed_failed(const error_code& ec) {
  if (!error_) error_ = sealed_.fault().value_or(io::to_error(ec));
  sealed_.cancel();
  reset_plain();
}

net::awaitable<void> Relay::plain_failed(const error_code& ec) {
  if (error_) co_return;
  error_ = io::to_error(ec);
  reset_plain();
  error_code ignored;
  co_await sealed_.async_abort(static_cast<std::uint8_t>(io::stcp::CloseReason::application),
                               net::redirect_error(net::use_awaitable, ignored));
}

net::awaitable<void> Relay::seal() {
  const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(kRelayPieceBytes);
  net::steady_timer pause(sealed_.get_executor());
  for (;;) {
    error_code ec;
    const std::size_t n = co_await plain_.async_read_some(
        net::buffer(buffer.get(), shared_.up.piece(kRelayPieceBytes)),
        net::redirect_error(net::use_awaitable, ec));
    if (error_) co_return;
    if (ec == net::error::eof) break;
    if (ec) co_return co_await plain_failed(ec);
    co_await shared_.up.take(n, pause);
    co_await net::async_write(sealed_, net::buffer(buffer.get(), n),
                              net::redirect_error(net::use_awaitable, ec));
    if (error_) co_return;
    if (ec) co_return sealed_failed(ec);
    shared_.traffic.bytes_sealed += n;
  }
  error_code ec;
  co_await sealed_.async_shutdown(net::redirect_error(net::use_awaitable, ec));
  if (ec && !error_) sealed_failed(ec);
}

net::awaitable<void> Relay::open() {
  const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(kRelayPieceBytes);
  net::steady_timer pause(sealed_.get_executor());
  for (;;) {
    error_code ec;
    const std::size_t n = co_await sealed_.async_read_some(
        net::buffer(buffer.get(), shared_.down.piece(kRelayPieceBytes)),
        net::redirect_error(net::use_awaitable, ec));
    if (error_) co_return;
    if (ec == net::error::eof) break;
    if (ec) co_return sealed_failed(ec);
    co_await net::async_write(plain_, net::buffer(buffer.get(), n),
                              net::redirect_error(net::use_awaitable, ec));
    if (error_) co_return;
    if (ec) co_return co_await plain_failed(ec);
    shared_.traffic.bytes_opened += n;
    co_await shared_.down.take(n, pause);
  }
  error_code ec;
  static_cast<void>(plain_.shutdown(net::socket_base::shutdown_send, ec));
}

}  // namespace sealine::cli
