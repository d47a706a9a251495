#include "io/detail/clock.hpp"
#include "io/detail/core_guard.hpp"
#include "io/detail/dialer.hpp"
#include "io/detail/scp_core.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/identity.hpp"
#include "sealine/io/known_peers.hpp"

#include <algorithm>
#include <utility>

namespace sealine::io::scp {

using detail::now;
using ::sealine::scp::ChannelEnd;

namespace {

/// Of a channel that can be resumed, before anything was open.
constexpr int kAttemptsToOpen = 3;

bool proves_by_key(Mode mode) {
  return mode == Mode::mutual || mode == Mode::pinned || mode == Mode::pinned_psk;
}

/// What a client or a server leaves to the state directory.
template <class Options>
Result<std::shared_ptr<const Options>> complete_with(std::shared_ptr<const Options> options,
                                                     bool wants_trust, bool wants_identity,
                                                     auto make_trust) {
  if ((!wants_trust || options->trust) && (!wants_identity || options->protocol.identity)) {
    return options;
  }
  auto full = std::make_shared<Options>(*options);
  if (wants_trust && !full->trust) {
    SEALINE_TRY(trust, make_trust());
    full->trust = std::move(trust);
  }
  if (wants_identity && !full->protocol.identity) {
    SEALINE_TRY(identity, open_default_identity());
    full->protocol.identity = std::make_shared<const crypto::KeyPair>(std::move(identity));
  }
  return std::shared_ptr<const Options>(std::move(full));
}

}  // namespace

Result<std::shared_ptr<const ClientOptions>> complete(
    std::shared_ptr<const ClientOptions> options) {
  const Mode mode = options->protocol.mode;
  return complete_with(std::move(options), mode == Mode::mutual, proves_by_key(mode),
                       [] { return default_client_trust(); });
}

Result<std::shared_ptr<const ServerOptions>> complete(
    std::shared_ptr<const ServerOptions> options) {
  const bool by_key = std::ranges::any_of(options->protocol.modes, proves_by_key);
  return complete_with(std::move(options), by_key, by_key, [] { return default_server_trust(); });
}

// --- dialling
// -------------------------------------------------------------------------------------

void ChannelCore::start_connect(const std::string& host, std::uint16_t port, Ticket ticket,
                                Waiter waiter) {
  auto name = peer_name(host, port);
  auto options = complete(client_);
  if (!name || !options) {
    failed_ = name ? options.error() : name.error();
    return finish_later(std::move(waiter), std::unexpected(*failed_));
  }
  client_ = std::move(*options);
  name_ = std::move(*name);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  host_ = bracketed ? host.substr(1, host.size() - 2) : host;
  port_ = port;
  connect_call_ = {ticket, 0, 0, std::move(waiter)};
  dial();
}

void ChannelCore::dial() {
  const auto dialer = std::make_shared<detail::Dialer>(
      executor_, detail::Dialer::Timing{client_->attempt_delay, client_->connect_timeout},
      [guard = detail::CoreGuard(shared_from_this())](const error_code& ec, Socket socket) mutable {
        guard.take()->dialled(ec, std::move(socket));
      });
  dialer_ = dialer;
  dialer->start(host_, port_, client_->family);
}

// A server that will not have us ends each connection after our last handshake message, and so may
// an unlucky wire: that is told apart by a few attempts, not by those of the five minutes that a
// channel with something in it deserves.
void ChannelCore::dial_again() {
  if (opened_ || ++unopened_ < kAttemptsToOpen) return dial();
  connect_failed({Errc::truncated});
  drop();
}

void ChannelCore::dialled(const error_code& ec, Socket socket) {
  if (!end_) {
    if (!connect_call_.waiter) return;  // cancelled
    if (ec) return connect_failed(to_error(ec));
    auto made = ChannelEnd::connect(client_->protocol, thread_engine(), system_rng(), now());
    if (!made) return connect_failed(made.error());
    end_.emplace(std::move(*made));
    adopt_socket(std::move(socket), {});
  } else if (end_->state() == State::lost) {
    if (ec || !end_->begin_connection(now())) {
      end_->handle_disconnected(now());
    } else {
      adopt_socket(std::move(socket), {});
    }
  }
  drive();
}

void ChannelCore::connect_failed(Error error) {
  failed_ = error;
  finish_later(std::move(connect_call_.waiter), std::unexpected(error));
}

// --- the server's key
// -----------------------------------------------------------------------------

void ChannelCore::judge(const crypto::PublicKey& key) {
  judging_ = true;
  shown_key_ = key;
  const Introduction introduction{Introduction::Role::server, name_, key, std::nullopt};
  client_->trust->decide(introduction, [weak = weak_from_this(), executor = executor_,
                                        number = socket_number_](Verdict verdict) {
    if (weak.expired()) return;
    net::post(executor, [weak, number, verdict = std::move(verdict)]() mutable {
      const Core self = weak.lock();
      if (!self || !self->judging_ || self->socket_number_ != number) return;
      self->judged(std::move(verdict));
      self->drive();
    });
  });
}

void ChannelCore::judged(Verdict verdict) {
  judging_ = false;
  input_may_wait_ = true;
  if (verdict.is_accepted()) {
    end_->accept_peer_key(now());
  } else {
    end_->refuse_peer_key(verdict.refused->code, now());
  }
  verdict_ = std::move(verdict);
}

// --- a server's
// -----------------------------------------------------------------------------------

void ChannelCore::begin() { touch(); }

Result<> ChannelCore::resume(Established& established) {
  if (!end_ || is_forked()) return fail(Errc::channel_unknown);
  SEALINE_TRY(end_->resume(established.opening, now()));
  // The old connection, if it still seems alive, is dropped unread.
  if (socket_.is_open()) {
    tx_begin_ = tx_end_ = 0;
    saw_end_ = true;
  }
  adopt_socket(std::move(established.socket), established.early);
  touch();
  return {};
}

// --- what is known
// --------------------------------------------------------------------------------

Connected ChannelCore::connected() const {
  Connected report;
  report.peer = name_;
  if (!end_) return report;
  const Peer& peer = end_->peer();
  report.key = peer.key;
  report.mode = peer.mode;
  report.psk_index = peer.psk_index;
  report.trust = peer.mode == Mode::anonymous ? TrustWord::not_authenticated
                 : peer.mode == Mode::psk     ? TrustWord::psk
                                              : TrustWord::given;
  if (verdict_ && verdict_->is_accepted()) {
    report.trust = verdict_->word;
    report.name = verdict_->name;
  }
  return report;
}

Statistics ChannelCore::statistics() const noexcept {
  Statistics counts{.bytes_in = bytes_in_,
                    .bytes_out = bytes_out_,
                    .rotations = rotations_,
                    .connections = connections_};
  if (end_) {
    counts.sent = end_->sent();
    counts.receipted = end_->receipted();
    counts.received = end_->received();
  }
  return counts;
}

void ChannelCore::flush() {
  if (!end_) return;
  drive();
}

}  // namespace sealine::io::scp
