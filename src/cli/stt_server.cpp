#include "cli/stt_server.hpp"

#include "cli/addresses.hpp"
#include "cli/msg_child.hpp"
#include "cli/plain_socket.hpp"
#include "cli/sealed_listener.hpp"
#include "cli/stt_report.hpp"
#include "cli/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace sealine::cli {
namespace {

constexpr std::size_t kEchoBytes = std::size_t{256} << 10U;
constexpr std::size_t kServerPieceBytes = std::size_t{64} << 10U;
constexpr std::size_t kTargetBytes = 300;  ///< HOST:PORT and LF, and whatever came with it
constexpr std::uint16_t kBusy = 256;

/// The line that begins a stream of `stt forward`.
struct TargetLine {
  std::optional<HostPort> target;  ///< nothing: there is none that could be read
  std::string text;
  std::vector<std::uint8_t> rest;  ///< what came behind it
};

net::awaitable<TargetLine> read_target(io::stt::Stream& stream) {
  TargetLine out;
  std::vector<std::uint8_t> buffer(kTargetBytes);
  std::size_t used = 0;
  while (used < buffer.size()) {
    error_code ec;
    const std::size_t n =
        co_await stream.async_read_some(net::buffer(buffer.data() + used, buffer.size() - used),
                                        net::redirect_error(net::use_awaitable, ec));
    if (ec) break;
    used += n;
    const auto end = buffer.begin() + static_cast<std::ptrdiff_t>(used);
    const auto line_end = std::find(buffer.begin(), end, std::uint8_t{'\n'});
    if (line_end == end) continue;
    out.text.assign(buffer.begin(), line_end);
    out.rest.assign(line_end + 1, end);
    if (auto place = parse_peer_address(out.text)) out.target = std::move(*place);
    break;
  }
  co_return out;
}

}  // namespace

SttServer::SttServer(io::stt::Endpoint& endpoint, const SttOptions& options,
                     const SttShared& shared, Output& output)
    : endpoint_(&endpoint),
      executor_(endpoint.get_executor()),
      options_(&options),
      shared_(shared),
      output_(&output),
      failures_(output),
      changed_(executor_, net::steady_timer::time_point::max()) {
  endpoint.on_failure([this](const io::stt::DialFailure& failure) {
    failures_.note(endpoint_text(failure.client), failure.error, std::nullopt);
  });
}

Outcome<> SttServer::listen() {
  const io::stt::Url& url = options_->url;
  error_code ec;
  endpoint_->listen(url, ec);
  if (ec) {
    return std::unexpected(listen_failure(ec, url.host.empty()
                                                  ? fmt::format("port {}", url.port)
                                                  : to_text(HostPort{url.host, url.port})));
  }
  for (const auto& endpoint : endpoint_->local_endpoints()) {
    const std::string place = endpoint_text(endpoint);
    output_->say("listening on " + place);
    output_->event("listening", {{"address", place}});
  }
  const auto buffer_bytes = endpoint_->datagram_buffer_bytes();
  if (buffer_bytes && *buffer_bytes < io::stt::kDatagramBufferBytes) {
    output_->log(LogLevel::info, "small receive buffer: datagrams may be lost in bursts",
                 {{"bytes", std::uint64_t{*buffer_bytes}},
                  {"wanted", std::uint64_t{io::stt::kDatagramBufferBytes}},
                  {"setting", "net.core.rmem_max"}});
  }
  if (endpoint_->workers().count < options_->workers) {
    output_->log(LogLevel::warning, "one thread listens: this kernel steers datagrams to no more",
                 {{"wanted", std::uint64_t{options_->workers}}});
  }
  return {};
}

// --- sessions ------------------------------------------------------------------------------------

net::awaitable<void> SttServer::accept_sessions(
    std::function<net::awaitable<void>(SessionPtr)> serve) {
  while (!is_draining_) {
    error_code ec;
    auto session = std::make_shared<io::stt::Session>(
        co_await endpoint_->async_accept(net::redirect_error(net::use_awaitable, ec)));
    if (ec == net::error::operation_aborted) break;
    if (ec) continue;
    report_connected(*session, *output_);
    const auto place = sessions_.insert(sessions_.end(), session);
    const auto ended = [this, place](const std::exception_ptr& thrown) {
      sessions_.erase(place);
      changed_.cancel();
      if (thrown) std::rethrow_exception(thrown);
    };
    const auto executor = session->get_executor();
    net::co_spawn(executor, serve(std::move(session)), net::bind_executor(executor_, ended));
  }
  while (!sessions_.empty()) {
    error_code ec;
    co_await changed_.async_wait(net::redirect_error(net::use_awaitable, ec));
  }
}

net::awaitable<void> SttServer::serve() {
  return accept_sessions([this](SessionPtr session) { return serve_session(std::move(session)); });
}

net::awaitable<std::optional<SttServer::First>> SttServer::first() {
  const std::function<net::awaitable<void>(SessionPtr)> wait = [this](SessionPtr session) {
    return wait_for_first(std::move(session));
  };
  co_await accept_sessions(wait);
  co_return std::exchange(first_, std::nullopt);
}

net::awaitable<void> SttServer::wait_for_first(SessionPtr session) {
  error_code ec;
  io::stt::Stream stream =
      co_await session->async_accept(net::redirect_error(net::use_awaitable, ec));
  if (first_) {  // another was first
    session->close(kBusy, "one stream is served, and it is another's");
    co_return;
  }
  if (ec) co_return note_session(*session);
  first_ = First{session, std::move(stream)};
  is_draining_ = true;
  endpoint_->close();
  for (const SessionPtr& other : sessions_) {
    if (other != session) other->cancel();
  }
}

net::awaitable<void> SttServer::serve_session(SessionPtr session) {
  const std::string peer = peer_text(*session);
  for (;;) {
    error_code ec;
    io::stt::Stream stream =
        co_await session->async_accept(net::redirect_error(net::use_awaitable, ec));
    if (ec) break;
    const auto executor = stream.get_executor();
    net::co_spawn(executor, serve_stream(peer, std::move(stream)), net::detached);
  }
  // Not before the Close is on its way.
  error_code ec;
  co_await session->async_drain(net::redirect_error(net::use_awaitable, ec));
  note_session(*session);
}

void SttServer::drain() {
  is_draining_ = true;
  endpoint_->close();
  for (const SessionPtr& session : sessions_) {
    net::co_spawn(
        session->get_executor(),
        [](SessionPtr drained) -> net::awaitable<void> {
          error_code ec;
          co_await drained->async_drain(net::redirect_error(net::use_awaitable, ec));
        }(session),
        net::detached);
  }
}

void SttServer::note_session(const io::stt::Session& session) {
  const io::stt::SessionStatistics statistics = session.statistics();
  Fields fields{{"peer", peer_text(session)},
                {"bytes_in", statistics.bytes_received},
                {"bytes_out", statistics.bytes_sent}};
  const auto failure = stt_session_failure(session);
  if (failure) {
    fields.push_back({"code", code_text(failure->error.code)});
    fields.push_back({"reason", sentence({failure->error, {}, {}, {}, {}})});
  }
  tell([this, has_failed = failure.has_value(), fields = std::move(fields)] {
    output_->log(has_failed ? LogLevel::warning : LogLevel::info,
                 has_failed ? "session failed" : "session ended", fields);
  });
}

// --- streams -------------------------------------------------------------------------------------

net::awaitable<void> SttServer::serve_stream(std::string peer, io::stt::Stream stream) {
  const std::uint64_t id = stream.id();
  tell([this, peer, id] {
    output_->event("stream", {{"id", id}, {"state", "opened"}});
    output_->log(LogLevel::debug, "stream opened", {{"peer", peer}, {"stream", id}});
  });
  if (stream.options().mode != io::stt::StreamMode::ordered) {
    stream.reset(kStreamRefused);
    stream.stop(kStreamRefused);
    note_stream(peer, stream.id(), {}, Error{Errc::mode_refused});
    co_return;
  }
  switch (options_->work) {
    case SttOptions::Work::echo:
      co_return co_await echo(std::move(peer), std::move(stream));
    case SttOptions::Work::command:
      co_return co_await command(std::move(peer), std::move(stream));
    case SttOptions::Work::targets:
      co_return co_await target(std::move(peer), std::move(stream));
    case SttOptions::Work::standard:
      break;
  }
}

net::awaitable<void> SttServer::echo(std::string peer, io::stt::Stream stream) {
  const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(kEchoBytes);
  net::steady_timer pause(stream.get_executor());
  SttCounts counts;
  ++shared_.counts.streams;
  error_code ec;
  for (;;) {
    const std::size_t n =
        co_await stream.async_read_some(net::buffer(buffer.get(), shared_.down.piece(kEchoBytes)),
                                        net::redirect_error(net::use_awaitable, ec));
    if (ec) break;
    counts.bytes_in += n;
    shared_.counts.bytes_in += n;
    co_await shared_.up.take(n, pause);
    co_await net::async_write(stream, net::buffer(buffer.get(), n),
                              net::redirect_error(net::use_awaitable, ec));
    if (ec) break;
    counts.bytes_out += n;
    shared_.counts.bytes_out += n;
  }
  if (ec == net::error::eof) {
    co_await stream.async_shutdown(net::redirect_error(net::use_awaitable, ec));
  }
  note_stream(peer, stream.id(), counts,
              ec ? std::optional<Error>(io::to_error(ec)) : std::nullopt);
}

net::awaitable<void> SttServer::command(std::string peer, io::stt::Stream stream) {
  auto child = Child::start(executor_, options_->command);
  const io::stt::StreamId id = stream.id();
  if (!child) {
    stream.reset(kStreamFailed);
    stream.stop(kStreamFailed);
    co_return note_stream(peer, id, {}, child.error());
  }
  SttRelay relay(std::move(stream), **child, child->get(), shared_, kServerPieceBytes);
  co_await relay.run();
  note_stream(peer, id, relay.counts(),
              relay.local_error() ? relay.local_error() : relay.network_error());
}

net::awaitable<void> SttServer::target(std::string peer, io::stt::Stream stream) {
  const io::stt::StreamId id = stream.id();
  const TargetLine line = co_await read_target(stream);
  const bool is_allowed =
      line.target && std::ranges::find(options_->targets, *line.target) != options_->targets.end();
  if (!is_allowed) {
    Fields fields{{"peer", peer}, {"stream", std::uint64_t{id}}, {"target", line.text}};
    warn("target refused", std::move(fields));
    stream.reset(kStreamRefused);
    stream.stop(kStreamRefused);
    co_return;
  }
  const End place{false, *line.target};  // with a name: g++ 12 copies it byte by byte else
  auto socket = co_await connect_plain(place, options_->network.family);
  if (!socket) {
    stream.reset(kStreamFailed);
    stream.stop(kStreamFailed);
    Fields fields{{"peer", peer},
                  {"stream", std::uint64_t{id}},
                  {"target", line.text},
                  {"code", code_text(socket.error().code)},
                  {"reason", sentence({socket.error(), {}, {}, {}, {}})}};
    warn("target not reached", std::move(fields));
    co_return;
  }
  SocketEnds ends(std::move(*socket));
  SttRelay relay(std::move(stream), ends, nullptr, shared_, kServerPieceBytes);
  co_await relay.run({}, line.rest);
  note_stream(peer, id, relay.counts(),
              relay.local_error() ? relay.local_error() : relay.network_error());
}

void SttServer::note_stream(const std::string& peer, io::stt::StreamId id, const SttCounts& counts,
                            const std::optional<Error>& error) {
  Fields fields{{"peer", peer},
                {"stream", std::uint64_t{id}},
                {"bytes_in", counts.bytes_in},
                {"bytes_out", counts.bytes_out}};
  if (error) {
    fields.push_back({"code", code_text(error->code)});
    fields.push_back({"reason", sentence({*error, {}, {}, {}, {}})});
  }
  tell([this, id, has_failed = error.has_value(), fields = std::move(fields)] {
    output_->event("stream",
                   {{"id", std::uint64_t{id}}, {"state", has_failed ? "failed" : "closed"}});
    output_->log(has_failed ? LogLevel::warning : LogLevel::info,
                 has_failed ? "stream failed" : "stream ended", fields);
  });
}

void SttServer::warn(std::string_view what, Fields fields) {
  tell([this, what, fields = std::move(fields)] { output_->log(LogLevel::warning, what, fields); });
}

}  // namespace sealine::cli
