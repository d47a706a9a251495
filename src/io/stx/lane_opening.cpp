#include "io/stx/lane_opening.hpp"

#include "io/detail/clock.hpp"
#include "io/detail/dialer.hpp"
#include "io/detail/fork_guard.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/known_peers.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stcp_stream.hpp"

#include <array>
#include <chrono>
#include <mutex>
#include <utility>

namespace sealine::io::stx {

namespace core = sealine::stx;
using Socket = net::ip::tcp::socket;

namespace {

/// Everything of a handshake fits.
constexpr std::size_t kHandshakeBytes = 512;

UnixMillis unix_now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<UnixMillis>(
      std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
}

std::string address_of(const Socket& socket) {
  error_code ec;
  const auto endpoint = socket.remote_endpoint(ec);
  if (ec) return {};
  return peer_name(endpoint.address().to_string(), endpoint.port()).value_or(std::string());
}

/// The Dialer as an operation that a coroutine waits for.
net::awaitable<Result<Socket>> dial(std::shared_ptr<const LaneTarget> target,
                                    std::shared_ptr<HandshakeStop> stop) {
  const net::any_io_executor executor = co_await net::this_coro::executor;
  Socket connected(executor);
  const auto initiate = [&](auto handler) {
    // The Dialer may end inside of start(): the end is posted, as any operation's is.
    auto done = io::detail::make_operation<error_code>(std::move(handler), executor);
    auto dialer = std::make_shared<io::detail::Dialer>(
        executor,
        io::detail::Dialer::Timing{target->stcp->attempt_delay, target->stcp->connect_timeout},
        [&connected, executor, done = std::move(done)](error_code ec, Socket socket) mutable {
          connected = std::move(socket);
          net::post(executor, [done = std::move(done), ec]() mutable {
            io::detail::complete(std::move(done), ec);
          });
        });
    stop->set_target([weak = std::weak_ptr<io::detail::Dialer>(dialer)] {
      if (const auto alive = weak.lock()) alive->cancel();
    });
    dialer->start(target->address.empty() ? target->host : target->address, target->port,
                  target->stcp->family);
  };
  error_code ec;
  auto token = net::redirect_error(net::use_awaitable, ec);
  co_await net::async_initiate<decltype(token), void(error_code)>(initiate, token);
  stop->set_target(nullptr);
  if (stop->is_stopped()) co_return fail(Errc::cancelled);
  if (ec) co_return std::unexpected(to_error(ec));
  co_return std::move(connected);
}

/// The STCP form's first half, on either side; then the socket is ours again.
struct Secured {
  Socket socket;
  std::vector<std::uint8_t> received;
  std::shared_ptr<const crypto::Psk> psk;
  stcp::Connected connected;
  stcp::Peer peer;
  std::uint64_t wire_bytes = 0;
};

net::awaitable<std::expected<Secured, LaneRefusal>> secure(stcp::Stream stream,
                                                           std::shared_ptr<HandshakeStop> stop) {
  error_code ec;
  stop->set_target([&stream] { stream.cancel(); });
  co_await stream.async_handshake(net::redirect_error(net::use_awaitable, ec));
  if (!ec) co_await stream.async_flush(net::redirect_error(net::use_awaitable, ec));
  stop->set_target(nullptr);
  if (ec) {
    LaneRefusal refusal{stream.fault().value_or(to_error(ec)), stream.peer().key, stream.verdict()};
    if (stop->is_stopped()) refusal.error = {Errc::cancelled};
    if (stop->is_late()) refusal.error = {Errc::handshake_timeout};
    co_return std::unexpected(std::move(refusal));
  }
  auto psk = std::make_shared<crypto::Psk>();
  const stcp::Connected connected = stream.connected();
  const stcp::Peer peer = stream.peer();
  const stcp::Statistics counts = stream.statistics();
  auto exported = stream.export_key("stx1 psk", {}, psk->writable());
  auto under = stream.take_over();
  if (!exported || !under) {
    const Error error = exported ? under.error() : exported.error();
    co_return std::unexpected(LaneRefusal{error, peer.key, std::nullopt});
  }
  co_return Secured{std::move(under->socket),
                    std::move(under->received),
                    std::move(psk),
                    connected,
                    peer,
                    counts.wire_bytes_sent + counts.wire_bytes_received};
}

/// Runs either half over the socket until it is done. `received`: what came before, and at the end
/// what is left behind it.
template <class Step>
net::awaitable<Error> run_handshake(Socket& socket, std::vector<std::uint8_t>& received,
                                    std::uint64_t& wire_bytes, Step step) {
  std::array<std::uint8_t, kHandshakeBytes> out{};
  error_code ec;
  core::HandshakeProgress progress = core::HandshakeProgress::reply;
  wire_bytes += received.size();
  for (;;) {
    if (progress != core::HandshakeProgress::need_bytes) {
      const std::size_t n = step.poll_transmit(out);
      wire_bytes += n;
      if (n != 0) {
        co_await net::async_write(socket, net::buffer(out.data(), n),
                                  net::redirect_error(net::use_awaitable, ec));
        if (ec) co_return to_error(ec);
      }
      if (progress == core::HandshakeProgress::done) co_return Error{};
    }
    std::size_t consumed = 0;
    const auto moved = step.handle_bytes(received, consumed);
    received.erase(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(consumed));
    if (!moved) co_return moved.error();
    progress = *moved;
    if (progress != core::HandshakeProgress::need_bytes) continue;
    const std::size_t n = co_await socket.async_read_some(
        net::buffer(out), net::redirect_error(net::use_awaitable, ec));
    if (ec) co_return ec == net::error::eof ? Error{Errc::truncated} : to_error(ec);
    wire_bytes += n;
    received.insert(received.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(n));
  }
}

struct ClientStep {
  core::ClientHandshake* handshake;

  std::size_t poll_transmit(MutableBytes out) { return handshake->poll_transmit(out); }

  Result<core::HandshakeProgress> handle_bytes(ByteView in, std::size_t& consumed) {
    return handshake->handle_bytes(in, consumed);
  }
};

struct ServerStep {
  core::ServerHandshake* handshake;

  std::size_t poll_transmit(MutableBytes out) { return handshake->poll_transmit(out); }

  Result<core::HandshakeProgress> handle_bytes(ByteView in, std::size_t& consumed) {
    return handshake->handle_bytes(in, io::detail::now(), consumed);
  }
};

/// What an end of the connection means to a client.
Error client_fault(Error error, const HandshakeStop& stop, bool proof_is_out, bool answered) {
  if (stop.is_stopped()) return {Errc::cancelled};
  const bool ended = error.code == Errc::truncated || error.code == Errc::connection_lost ||
                     error.code == Errc::cancelled;
  if (!ended && !stop.is_late()) return error;
  if (proof_is_out) return {Errc::peer_fell_silent};
  if (stop.is_late()) return {answered ? Errc::handshake_timeout : Errc::no_answer};
  return answered ? error : Error{Errc::no_answer};
}

/// A verdict that may come later and from any thread.
net::awaitable<io::Verdict> judge(std::shared_ptr<Trust> trust, Introduction introduction,
                                  std::shared_ptr<HandshakeStop> stop) {
  struct Box {
    std::mutex mutex;
    std::optional<io::Verdict> verdict;
  };

  const net::any_io_executor executor = co_await net::this_coro::executor;
  const auto box = std::make_shared<Box>();
  const auto answered = std::make_shared<net::steady_timer>(executor);
  answered->expires_at(std::chrono::steady_clock::time_point::max());
  trust->decide(introduction, [box, executor, weak = std::weak_ptr<net::steady_timer>(answered)](
                                  io::Verdict verdict) {
    {
      const std::scoped_lock lock(box->mutex);
      if (!box->verdict) box->verdict = std::move(verdict);
    }
    if (weak.expired()) return;
    net::post(executor, [weak] {
      if (const auto timer = weak.lock()) timer->cancel();
    });
  });
  const auto take = [&] {
    const std::scoped_lock lock(box->mutex);
    return box->verdict;
  };
  if (auto verdict = take()) co_return std::move(*verdict);
  stop->set_target([answered] { answered->cancel(); });
  error_code ignored;
  co_await answered->async_wait(net::redirect_error(net::use_awaitable, ignored));
  stop->set_target(nullptr);
  auto verdict = take();
  co_return verdict ? std::move(*verdict) : io::Verdict::refuse({Errc::handshake_timeout});
}

}  // namespace

std::string hex_of(const core::PeerId& id) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : id) {
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

void HandshakeStop::start_deadline(Duration after) {
  timer_.expires_after(after);
  timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self) return;
    self->late_ = true;
    self->fire();
  });
}

void HandshakeStop::stop() {
  stopped_ = true;
  timer_.cancel();
  fire();
}

void HandshakeStop::fire() {
  if (const auto target = std::exchange(target_, nullptr)) target();
}

net::awaitable<Result<OpenedLane>> dial_lane(std::shared_ptr<const LaneTarget> target,
                                             core::LaneId lane,
                                             std::shared_ptr<HandshakeStop> stop) {
  auto dialled = co_await dial(target, stop);
  if (!dialled) co_return std::unexpected(dialled.error());
  stop->start_deadline(target->handshake_timeout);
  auto name = peer_name(target->host, target->port);
  if (!name) co_return std::unexpected(name.error());

  Secured lower{std::move(*dialled), {}, target->key, {}, {}, 0};
  const bool is_stcp = !target->key;
  if (is_stcp) {
    auto secured =
        co_await secure(stcp::Stream(std::move(lower.socket), target->stcp, *name), stop);
    if (!secured) {
      stop->clear();
      co_return std::unexpected(secured.error().error);
    }
    lower = std::move(*secured);
  }

  auto handshake =
      core::ClientHandshake::create(lower.psk, core::ClientParameters{lane, target->transfer},
                                    thread_engine(), system_rng(), unix_now());
  if (!handshake) co_return std::unexpected(handshake.error());
  stop->set_target([socket = &lower.socket] {
    error_code ignored;
    socket->close(ignored);
  });
  Error fault{Errc::truncated};
  if (!stop->is_late() && !stop->is_stopped()) {
    fault = co_await run_handshake(lower.socket, lower.received, lower.wire_bytes,
                                   ClientStep{&*handshake});
  }
  stop->clear();
  if (fault.code != Errc{}) {
    const bool proof_is_out = is_stcp || handshake->awaits_proof();
    co_return std::unexpected(client_fault(fault, *stop, proof_is_out, lower.wire_bytes != 0));
  }
  Connected connected;
  connected.peer = std::move(*name);
  core::PeerId id = core::peer_id_of(thread_engine(), *lower.psk);
  if (is_stcp) {
    connected.channel = std::move(lower.connected);
    if (lower.peer.key) id = core::peer_id_of(thread_engine(), *lower.peer.key);
  }
  connected.peer_id = hex_of(id);
  co_return OpenedLane{std::move(lower.socket),
                       std::move(*handshake).take(),
                       id,
                       std::move(connected),
                       std::move(lower.received),
                       lower.wire_bytes,
                       std::nullopt};
}

net::awaitable<std::expected<OpenedLane, LaneRefusal>> accept_lane(
    Socket socket, std::shared_ptr<const LaneAcceptance> acceptance,
    std::shared_ptr<core::NonceMemory> nonces, std::shared_ptr<HandshakeStop> stop) {
  stop->start_deadline(acceptance->handshake_timeout);
  const std::string address = address_of(socket);
  error_code ignored;
  socket.set_option(net::ip::tcp::no_delay(true), ignored);

  auto keys = acceptance->keys;
  Secured lower{std::move(socket), {}, nullptr, {}, {}, 0};
  std::optional<crypto::PublicKey> stranger;
  const bool is_stcp = !keys;
  if (is_stcp) {
    auto secured = co_await secure(stcp::Stream(std::move(lower.socket), acceptance->stcp), stop);
    if (!secured) {
      stop->clear();
      co_return std::unexpected(std::move(secured.error()));
    }
    lower = std::move(*secured);
    if (lower.peer.key) {
      // Named: g++ 12 copies an aggregate made inside of a co_await byte for byte, string and all.
      Introduction introduction{Introduction::Role::client, address, *lower.peer.key,
                                lower.peer.sas};
      const io::Verdict verdict = co_await judge(acceptance->trust, std::move(introduction), stop);
      if (!verdict.is_accepted()) {
        if (!acceptance->judges_strangers || verdict.refused->code != Errc::peer_key_refused) {
          stop->clear();
          co_return std::unexpected(LaneRefusal{*verdict.refused, lower.peer.key, verdict});
        }
        stranger = lower.peer.key;
      }
      lower.connected.trust = stranger ? TrustWord::not_authenticated : verdict.word;
      lower.connected.name = verdict.name;
      lower.connected.sas =
          stranger || verdict.word == TrustWord::first_contact ? lower.peer.sas : std::nullopt;
    }
    auto own = std::make_shared<core::ServerHandshakeConfig>();
    own->psks.push_back(lower.psk);
    own->parameters = acceptance->parameters;
    own->require_clock = acceptance->require_clock;
    keys = std::move(own);
  }

  auto handshake =
      core::ServerHandshake::create(keys, *nonces, thread_engine(), system_rng(), unix_now());
  if (!handshake) co_return std::unexpected(LaneRefusal{handshake.error(), {}, {}});
  stop->set_target([target = &lower.socket] {
    error_code none;
    target->close(none);
  });
  Error fault{Errc::truncated};
  if (!stop->is_late() && !stop->is_stopped()) {
    fault = co_await run_handshake(lower.socket, lower.received, lower.wire_bytes,
                                   ServerStep{&*handshake});
  }
  stop->clear();
  if (fault.code != Errc{}) {
    if (stop->is_late()) fault = {Errc::handshake_timeout};
    co_return std::unexpected(LaneRefusal{fault, lower.peer.key, std::nullopt});
  }
  auto opening = std::move(*handshake).take();
  Connected connected;
  connected.peer = address;
  core::PeerId id{};
  if (!is_stcp) {
    id = core::peer_id_of(thread_engine(), *keys->psks[opening.psk_index]);
  } else {
    connected.channel = std::move(lower.connected);
    id = lower.peer.key
             ? core::peer_id_of(thread_engine(), *lower.peer.key)
             : core::peer_id_of(thread_engine(),
                                acceptance->stcp->protocol.psks[lower.peer.psk_index].psk);
  }
  connected.peer_id = hex_of(id);
  connected.is_stranger = stranger.has_value();
  co_return OpenedLane{std::move(lower.socket),   std::move(opening), id,      std::move(connected),
                       std::move(lower.received), lower.wire_bytes,   stranger};
}

}  // namespace sealine::io::stx
