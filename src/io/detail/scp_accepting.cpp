#include "io/detail/scp_accepting.hpp"

#include "io/detail/clock.hpp"
#include "io/detail/scp_linger.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/known_peers.hpp"
#include "sealine/scp/limits.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <utility>

namespace sealine::io::scp {

using ::sealine::scp::kHeadBytes;
using ::sealine::scp::kMaxWireMessageBytes;
using ::sealine::scp::Progress;
using ::sealine::scp::ServerHandshake;

namespace {

/// No reply of a handshake is longer.
constexpr std::size_t kReplyBytes = 1024;

}  // namespace

Accepting::Accepting(net::ip::tcp::socket socket, const Endpoint& client,
                     std::shared_ptr<const ServerOptions> options, IsFull is_full, Done done)
    : socket_(std::move(socket)),
      deadline_(socket_.get_executor()),
      client_(client),
      address_(client.address().to_string()),
      options_(std::move(options)),
      is_full_(std::move(is_full)),
      done_(std::move(done)) {}

void Accepting::start() {
  auto made = ServerHandshake::create(options_->protocol, thread_engine(), system_rng());
  if (!made) return fail_with(made.error(), false);
  handshake_.emplace(std::move(*made));
  error_code ignored;
  socket_.set_option(net::ip::tcp::no_delay(true), ignored);
  socket_.set_option(net::socket_base::keep_alive(true), ignored);
  deadline_.expires_after(options_->protocol.limits.handshake_timeout);
  deadline_.async_wait([self = shared_from_this()](const error_code& ec) {
    if (!ec) self->fail_with({Errc::handshake_timeout}, false);
  });
  read();
}

void Accepting::cancel() { fail_with({Errc::cancelled}, false); }

void Accepting::read() {
  socket_.async_wait(net::ip::tcp::socket::wait_read,
                     [self = shared_from_this()](const error_code&) {
                       if (self->done_) self->step();
                     });
}

void Accepting::step() {
  if (rx_.empty()) rx_ = detail::Buffer(detail::kSmallBufferBytes);
  ssize_t n = 0;
  do {
    n = ::recv(socket_.native_handle(), rx_.bytes().data() + rx_end_, rx_.capacity() - rx_end_,
               MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return read();
  if (n < 0) {
    return fail_with({Errc::connection_lost, static_cast<std::uint32_t>(errno)}, false);
  }
  if (n == 0) return fail_with({Errc::truncated}, false);
  rx_end_ += static_cast<std::size_t>(n);
  choose_reconnect();
  std::size_t used = 0;
  const auto progress = handshake_->handle_bytes(rx_.bytes().first(rx_end_), used);
  rx_end_ -= used;
  std::memmove(rx_.bytes().data(), rx_.bytes().data() + used, rx_end_);
  went_on(progress);
}

// The flag stands in the answer to INIT: where that shows no key, the mode's byte says whether an
// address stands in for one.
void Accepting::choose_reconnect() {
  const bool shows_mode = rx_end_ > kHeadBytes;
  const bool by_address =
      shows_mode && (rx_.bytes()[kHeadBytes] == static_cast<std::uint8_t>(Mode::anonymous) ||
                     rx_.bytes()[kHeadBytes] == static_cast<std::uint8_t>(Mode::psk));
  if (is_full_(std::nullopt, by_address ? address_ : std::string())) {
    handshake_->forbid_reconnect();
  }
}

void Accepting::went_on(const Result<Progress>& progress) {
  if (!progress) return fail_with(progress.error(), true);
  switch (*progress) {
    case Progress::need_bytes:
      return read();
    case Progress::key_shown:
      return judge(*handshake_->peer().key);
    case Progress::reply:
      send_reply();
      return read();
    case Progress::done:
      return finish();
  }
}

// A socket that was just accepted takes a few hundred bytes at once, or never.
void Accepting::send_reply() {
  std::array<std::uint8_t, kReplyBytes> reply{};
  const std::size_t size = handshake_->poll_transmit(reply);
  (void)::send(socket_.native_handle(), reply.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void Accepting::judge(const crypto::PublicKey& key) {
  // In XX the key comes when the flag has been sent.
  if (handshake_->peer().mode != Mode::mutual && is_full_(key, {})) {
    handshake_->forbid_reconnect();
  }
  judging_ = true;
  const Introduction introduction{Introduction::Role::client,
                                  peer_name(address_, client_.port()).value_or(address_), key,
                                  std::nullopt};
  // The deadline keeps it alive meanwhile: an answer that is held for longer, in whatever thread,
  // holds nothing of it.
  options_->trust->decide(
      introduction, [weak = weak_from_this(), executor = socket_.get_executor()](Verdict verdict) {
        if (weak.expired()) return;
        net::post(executor, [weak, verdict = std::move(verdict)]() mutable {
          const auto self = weak.lock();
          if (self && self->done_ && self->judging_) self->judged(std::move(verdict));
        });
      });
}

void Accepting::judged(Verdict verdict) {
  judging_ = false;
  verdict_ = std::move(verdict);
  if (!verdict_->is_accepted()) return fail_with(*verdict_->refused, true);
  went_on(handshake_->accept_peer_key());
}

void Accepting::finish() {
  const ByteView rest = ByteView(rx_.bytes()).first(rx_end_);
  Established established{.socket = std::move(socket_),
                          .opening = std::move(*handshake_).take(),
                          .early = {rest.begin(), rest.end()},
                          .verdict = std::move(verdict_),
                          .client = peer_name(address_, client_.port()).value_or(address_)};
  end(std::move(established));
}

// All that was read before is dropped with it, so that the connection ends the same for each fault.
void Accepting::fail_with(Error error, bool discard) {
  if (!done_) return;
  HandshakeFailure failure{client_, error, verdict_, std::nullopt};
  if (handshake_) failure.key = handshake_->peer().key;
  if (discard) {
    error_code ignored;
    socket_.cancel(ignored);
    linger(std::move(socket_));
  } else {
    error_code ignored;
    socket_.close(ignored);
  }
  end(std::unexpected(std::move(failure)));
}

void Accepting::end(std::expected<Established, HandshakeFailure> result) {
  Done done = std::exchange(done_, nullptr);
  deadline_.cancel();
  handshake_.reset();
  rx_.reset();
  done(std::move(result));
}

}  // namespace sealine::io::scp
