#include "io/detail/clock.hpp"
#include "io/detail/fork_guard.hpp"
#include "io/detail/stcp_core.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/identity.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <sys/socket.h>
#include <utility>

namespace sealine::io::stcp {

using detail::now;

/// Where a verdict is put by whoever gives it, on whatever thread.
struct StreamCore::JudgeBox {
  std::mutex mutex;
  std::condition_variable answered;
  std::optional<Verdict> verdict;
  bool taken_at_once = true;  ///< the one who asks is still looking
};

namespace {

bool needs_identity(Mode mode) { return mode == Mode::mutual; }

bool needs_identity(const ModeSet& modes) {
  return modes.contains(Mode::tofu) || modes.contains(Mode::mutual);
}

}  // namespace

Result<std::shared_ptr<const ClientOptions>> complete(
    std::shared_ptr<const ClientOptions> options) {
  const bool wants_trust =
      options->protocol.mode == Mode::tofu || options->protocol.mode == Mode::mutual;
  const bool wants_identity = needs_identity(options->protocol.mode);
  if ((!wants_trust || options->trust) && (!wants_identity || options->protocol.identity))
    return options;
  auto full = std::make_shared<ClientOptions>(*options);
  if (wants_trust && !full->trust) {
    SEALINE_TRY(trust, default_client_trust());
    full->trust = std::move(trust);
  }
  if (wants_identity && !full->protocol.identity) {
    SEALINE_TRY(identity, open_default_identity());
    full->protocol.identity = std::make_shared<const crypto::KeyPair>(std::move(identity));
  }
  return std::shared_ptr<const ClientOptions>(std::move(full));
}

Result<std::shared_ptr<const ServerOptions>> complete(
    std::shared_ptr<const ServerOptions> options) {
  const bool wants_trust = options->protocol.modes.contains(Mode::mutual);
  const bool wants_identity = needs_identity(options->protocol.modes);
  if ((!wants_trust || options->trust) && (!wants_identity || options->protocol.identity))
    return options;
  auto full = std::make_shared<ServerOptions>();
  full->protocol.modes = options->protocol.modes;
  full->protocol.identity = options->protocol.identity;
  for (const ServerPsk& psk : options->protocol.psks) {
    full->protocol.psks.push_back({psk.psk.clone(), psk.hint_key.clone()});
  }
  full->protocol.limits = options->protocol.limits;
  full->protocol.padding = options->protocol.padding;
  full->trust = options->trust;
  full->batching = options->batching;
  full->probe_resist = options->probe_resist;
  if (wants_trust && !full->trust) {
    SEALINE_TRY(trust, default_server_trust());
    full->trust = std::move(trust);
  }
  if (wants_identity && !full->protocol.identity) {
    SEALINE_TRY(identity, open_default_identity());
    full->protocol.identity = std::make_shared<const crypto::KeyPair>(std::move(identity));
  }
  return std::shared_ptr<const ServerOptions>(std::move(full));
}

Result<> StreamCore::make_connection() {
  generation_ = detail::process_generation();
  if (client_) {
    SEALINE_TRY(options, complete(client_));
    client_ = std::move(options);
    SEALINE_TRY(made, ::sealine::stcp::ClientConnection::create(client_->protocol, thread_engine(),
                                                                system_rng(), now()));
    connection_.emplace(std::move(made));
    batching_ = batching_ || client_->batching;
  } else {
    SEALINE_TRY(options, complete(server_));
    server_ = std::move(options);
    SEALINE_TRY(made, ::sealine::stcp::ServerConnection::create(server_->protocol, thread_engine(),
                                                                system_rng(), now()));
    connection_.emplace(std::move(made));
    batching_ = batching_ || server_->batching;
  }
  handshake_deadline_ = connection_->poll_timeout().value_or(now());
  prepare_socket();
  phase_ = Phase::handshaking;
  return {};
}

void StreamCore::prepare_socket() {
  error_code ignored;
  socket_.set_option(net::ip::tcp::no_delay(true), ignored);
  socket_.set_option(net::socket_base::keep_alive(true), ignored);
  if (name_.empty()) {
    const auto endpoint = socket_.remote_endpoint(ignored);
    if (!ignored) {
      name_ = peer_name(endpoint.address().to_string(), endpoint.port()).value_or(std::string());
    }
  }
}

bool StreamCore::has_failed() const noexcept {
  return connection_ && connection_->state() == State::error;
}

bool StreamCore::step_handshake() {
  if (phase_ == Phase::judging) return false;
  pump_transmit();
  if (connection_->state() == State::encrypted) {
    phase_ = Phase::open;
    judge_.reset();
    return true;
  }
  if (has_failed()) return true;
  std::size_t delivered = 0;
  if (has_buffered() && open_received({}, delivered)) return true;
  if (has_failed() || phase_ == Phase::judging) return true;
  switch (receive()) {
    case Received::some:
      return true;
    case Received::nothing_yet:
      return false;
    case Received::end:
      connection_->handle_end_of_stream(now());
      return true;
  }
  return false;
}

Introduction StreamCore::introduction(const crypto::PublicKey& key) const {
  return {client_ ? Introduction::Role::server : Introduction::Role::client, name_, key,
          connection_->peer().sas};
}

void StreamCore::judge(const crypto::PublicKey& key) {
  Trust* trust = client_ ? client_->trust.get() : server_->trust.get();
  phase_ = Phase::judging;
  judge_ = std::make_shared<JudgeBox>();
  const auto box = judge_;
  trust->decide(introduction(key),
                [box, weak = weak_from_this(), executor = executor_](Verdict verdict) {
                  std::unique_lock lock(box->mutex);
                  if (box->verdict) return;
                  box->verdict = std::move(verdict);
                  if (box->taken_at_once) {
                    box->answered.notify_all();
                    return;
                  }
                  lock.unlock();
                  if (weak.expired()) return;
                  net::post(executor, [weak, box] {
                    if (const Core core = weak.lock(); core && core->phase_ == Phase::judging) {
                      core->judged(*box->verdict);
                      core->drive();
                    }
                  });
                });

  std::unique_lock lock(box->mutex);
  if (blocking_) {
    const auto deadline = detail::to_steady(connection_->poll_timeout().value_or(TimePoint::max()));
    box->answered.wait_until(lock, deadline, [&] { return box->verdict.has_value(); });
    if (!box->verdict) {
      box->verdict = Verdict::refuse({Errc::handshake_timeout});
      connection_->handle_timeout(now());
    }
  } else if (!box->verdict) {
    box->taken_at_once = false;
    return;
  }
  lock.unlock();
  judged(*box->verdict);
}

void StreamCore::judged(Verdict verdict) {
  judge_.reset();
  phase_ = Phase::handshaking;
  if (verdict.is_accepted()) {
    connection_->accept_peer_key(now());
  } else {
    connection_->refuse_peer_key(verdict.refused->code);
  }
  verdict_ = std::move(verdict);
}

std::optional<Error> StreamCore::fault() const noexcept {
  return connection_ ? connection_->fault() : std::nullopt;
}

State StreamCore::state() const noexcept {
  if (connection_) return connection_->state();
  return phase_ == Phase::closed ? State::closed : State::init;
}

Connected StreamCore::connected() const {
  Connected report;
  report.peer = name_;
  if (!connection_) return report;
  const Peer& peer = connection_->peer();
  report.key = peer.key;
  report.mode = peer.mode;
  report.trust = peer.mode == Mode::psk ? TrustWord::psk : TrustWord::not_authenticated;
  if (verdict_ && verdict_->is_accepted()) {
    report.trust = verdict_->word;
    report.name = verdict_->name;
  }
  // A server in mode tofu cannot know whether its client meets it for the first time.
  const bool first = report.trust == TrustWord::first_contact || peer.mode == Mode::anonymous ||
                     (server_ && peer.mode == Mode::tofu);
  if (first) report.sas = peer.sas;
  return report;
}

bool StreamCore::is_forked() const {
  return generation_ != 0 && generation_ != detail::process_generation();
}

bool StreamCore::resists() const noexcept {
  if (!server_ || !server_->probe_resist || verdict_) return false;
  const auto error = connection_->fault();
  if (!error) return false;
  const unsigned point = ::sealine::describe(error->code).fault_point;
  return point >= 1 && point <= 6;
}

}  // namespace sealine::io::stcp
