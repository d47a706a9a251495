#include "cli/stt_forward.hpp"

#include "cli/addresses.hpp"
#include "cli/exit_code.hpp"
#include "cli/stt_dial.hpp"
#include "cli/stt_report.hpp"
#include "cli/text.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace sealine::cli {
namespace {

constexpr std::size_t kForwardPieceBytes = std::size_t{64} << 10U;

/// As many as a peer lets us have open (stt.md, streams); more wait.
constexpr std::size_t kConnectionsAtOnce = 1024;

/// Why a session is over that nobody here has ended.
Failure failure_of(const io::stt::Session& session) {
  if (auto failure = stt_session_failure(session)) return std::move(*failure);
  return {{Errc::already_closed},
          fmt::format("{} has ended the session", printable(peer_text(session))),
          {},
          "--retry 10m dials again",
          {}};
}

void reset(PlainSocket& socket) {
  error_code ec;
  static_cast<void>(socket.set_option(net::socket_base::linger(true, 0), ec));
  static_cast<void>(socket.close(ec));
}

}  // namespace

SttForwarder::SttForwarder(io::stt::Endpoint& endpoint, const SttOptions& options,
                           const SttShared& shared, Output& output)
    : endpoint_(&endpoint),
      options_(&options),
      shared_(shared),
      output_(&output),
      places_(endpoint.get_executor(), kConnectionsAtOnce),
      changed_(endpoint.get_executor(), net::steady_timer::time_point::max()) {}

Outcome<> SttForwarder::listen() {
  for (const PortForward& forward : options_->forwards) {
    PlainListener& listener = listeners_.emplace_back(endpoint_->get_executor());
    SEALINE_TRY(listener.listen(End{false, forward.listen}, options_->network.family,
                                options_->unsafe_listen));
    for (const std::string& place : listener.places()) {
      output_->say("listening on " + place);
      output_->event("listening", {{"address", place}, {"target", to_text(forward.target)}});
    }
    listener.start([this, target = to_text(forward.target)](PlainSocket socket) {
      return take(std::move(socket), target);
    });
  }
  return {};
}

// --- the session ---------------------------------------------------------------------------------

net::awaitable<Outcome<>> SttForwarder::run() {
  auto out = co_await keep_session();
  is_over_ = true;
  changed_.cancel();
  co_return out;
}

net::awaitable<Outcome<>> SttForwarder::keep_session() {
  SessionPtr current;
  while (!is_draining_) {
    auto dialled =
        co_await dial_session(*endpoint_, options_->url, options_->network.retry, *output_);
    if (!dialled) co_return std::unexpected(std::move(dialled.error()));
    current = std::make_shared<io::stt::Session>(std::move(*dialled));
    session_ = current;
    changed_.cancel();
    co_await watch(current);
    if (is_draining_) break;
    if (session_ == current) session_ = nullptr;
    if (!current->outcome()) continue;  // worn out: it ends with its streams
    if (options_->network.retry == Duration::zero()) {
      co_return std::unexpected(failure_of(*current));
    }
    output_->log(LogLevel::warning, "session lost", {{"peer", peer_text(*current)}});
  }
  while (places_.inside() > 0) {
    error_code ec;
    co_await changed_.async_wait(net::redirect_error(net::use_awaitable, ec));
  }
  error_code ec;
  if (current) co_await current->async_drain(net::redirect_error(net::use_awaitable, ec));
  co_return Outcome<>{};
}

/// Until it has ended, or is not used any more. A peer has no streams to open here.
net::awaitable<void> SttForwarder::watch(SessionPtr session) {
  for (;;) {
    error_code ec;
    const io::stt::Stream refused =
        co_await session->async_accept(net::redirect_error(net::use_awaitable, ec));
    if (ec) co_return;
  }
}

/// No id is left in it.
void SttForwarder::wear_out() {
  const SessionPtr worn = std::exchange(session_, nullptr);
  worn->cancel();
  net::co_spawn(
      endpoint_->get_executor(),
      [](SessionPtr session) -> net::awaitable<void> {
        error_code ec;
        co_await session->async_drain(net::redirect_error(net::use_awaitable, ec));
      }(worn),
      net::detached);
}

void SttForwarder::drain() {
  is_draining_ = true;
  for (PlainListener& listener : listeners_) listener.close();
  if (session_) session_->cancel();
}

// --- connections ---------------------------------------------------------------------------------

/// The accept loop goes on when there is a place for the next one.
net::awaitable<void> SttForwarder::take(PlainSocket socket, std::string target) {
  co_await places_.enter();
  net::co_spawn(endpoint_->get_executor(), serve(std::move(socket), std::move(target)),
                [this](const std::exception_ptr& thrown) {
                  places_.leave();
                  changed_.cancel();
                  if (thrown) std::rethrow_exception(thrown);
                });
}

net::awaitable<Result<io::stt::Stream>> SttForwarder::open() {
  for (;;) {
    while (!session_) {
      if (is_over_) co_return fail(Errc::already_closed);
      error_code ec;
      co_await changed_.async_wait(net::redirect_error(net::use_awaitable, ec));
    }
    auto stream = session_->open();
    if (stream) co_return std::move(*stream);
    if (stream.error().code != Errc::stream_limit || is_draining_) {
      co_return std::unexpected(stream.error());
    }
    wear_out();
  }
}

net::awaitable<void> SttForwarder::serve(PlainSocket socket, std::string target) {
  const std::uint64_t connection = ++connections_;
  Fields fields{{"conn", connection}, {"target", target}};
  auto stream = co_await open();
  std::optional<Error> error;
  if (!stream) {
    error = stream.error();
    reset(socket);
  } else {
    const std::uint64_t id = stream->id();
    output_->event("stream", {{"id", id}, {"state", "opened"}});
    SocketEnds ends(std::move(socket));
    SttRelay relay(std::move(*stream), ends, nullptr, shared_, kForwardPieceBytes);
    const std::string line = target + "\n";
    co_await relay.run(as_bytes(line));
    error = relay.network_error() ? relay.network_error() : relay.local_error();
    output_->event("stream", {{"id", id}, {"state", error ? "failed" : "closed"}});
    fields.push_back({"stream", id});
    fields.push_back({"bytes_in", relay.counts().bytes_in});
    fields.push_back({"bytes_out", relay.counts().bytes_out});
  }
  if (error) {
    fields.push_back({"code", code_text(error->code)});
    fields.push_back({"reason", sentence({*error, {}, {}, {}, {}})});
  }
  output_->log(error ? LogLevel::warning : LogLevel::info,
               error ? "connection failed" : "connection ended", fields);
}

}  // namespace sealine::cli
