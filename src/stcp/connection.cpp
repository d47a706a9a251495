#include "sealine/stcp/connection.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/kdf.hpp"
#include "stcp/detail/handshake.hpp"
#include "stcp/detail/lifecycle.hpp"
#include "stcp/detail/progress_watch.hpp"
#include "stcp/detail/session.hpp"
#include "stcp/detail/settings.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <variant>

namespace sealine::stcp {

using namespace detail;  // this file is where the parts come together

/// A connection: the handshake while it lasts, the session behind it, and the lifecycle over both.
struct Connection::Machine {
  /// What is given back to the heap once ENCRYPTED is reached and the last handshake bytes are
  /// fetched.
  struct Handshake {
    HandshakeContext context;
    TimePoint deadline;
    HandshakeStage stage = ExpectHello{};
  };

  Machine(Role role_in, const Limits& limits_in, const Padding& padding, crypto::Engine& engine_in,
          crypto::Rng& rng)
      : session(role_in, limits_in, padding, engine_in, rng) {}

  Session session;
  std::unique_ptr<Handshake> handshake;
  ProgressWatch progress;
  Peer peer;
  std::optional<Error> fault;
  std::uint32_t wanted = kRecordHeadBytes;
  State state = State::init;

  [[nodiscard]] const Limits& limits() const { return session.limits(); }

  [[nodiscard]] crypto::Engine& engine() const { return session.engine(); }

  void enter(LifecycleEvent event) {
    const std::optional<State> next = next_state(state, event);
    SEALINE_ASSERT(next.has_value());
    state = *next;
  }

  // --- start

  Result<> begin(crypto::Rng& rng, const ClientConfig* client, const ServerConfig* server,
                 TimePoint now) {
    handshake.reset(new Handshake{.context{engine(), rng, client, server},
                                  .deadline = now + limits().handshake_timeout});
    if (client != nullptr) {
      peer.mode = client->mode;
      SEALINE_TRY(stage, start_client(handshake->context));
      handshake->stage = std::move(stage);
    }
    enter(LifecycleEvent::started);
    return {};
  }

  // --- faults and ends

  /// The one way into ERROR, whatever the cause: every key is erased, nothing more is sent.
  Error fail_silently(Error error) {
    fault = error;
    erase();
    session.events().clear();
    enter(LifecycleEvent::fault);
    return error;
  }

  void end(LifecycleEvent event) {
    erase();
    enter(event);
  }

  void erase() {
    session.wipe();
    handshake.reset();
    progress.stop();
  }

  void close_if_done() {
    if (state == State::encrypted && session.is_closed()) end(LifecycleEvent::both_closed);
  }

  [[nodiscard]] Error current_fault() const { return fault.value_or(Error{Errc::not_encrypted}); }

  // --- inputs

  Result<Opened> handle_bytes(MutableBytes in, MutableBytes out, TimePoint now) {
    switch (state) {
      case State::encrypted:
        return handle_records(in, out, now);
      case State::key_exchange:
        return handle_handshake(in, now);
      case State::closed:
        if (!fault) return Opened{in.size(), 0, {}};
        break;
      case State::init:
      case State::error:
        break;
    }
    return std::unexpected(current_fault());
  }

  Result<Opened> handle_records(MutableBytes in, MutableBytes out, TimePoint now) {
    const OpenedRecords run = session.open(in, out, now);
    wanted = static_cast<std::uint32_t>(run.wanted);
    if (run.fault) [[unlikely]] {
      const Error error = fail_silently({*run.fault});
      if (run.opened.delivered == 0) return std::unexpected(error);
      return run.opened;
    }
    if (run.record_is_partial) {
      progress.note(in.size() - run.opened.consumed, run.opened.consumed != 0, limits(), now);
    } else {
      progress.stop();
    }
    if (session.receive_state() == ReceiveState::closed) {
      if (const auto reason = session.aborted_by_peer(); reason && !fault)
        fault = Error{Errc::aborted, *reason};
      close_if_done();
    }
    return run.opened;
  }

  Result<Opened> handle_handshake(MutableBytes in, TimePoint now) {
    Opened done;
    while (state == State::key_exchange && session.events().empty() && !awaits_verdict()) {
      const MutableBytes rest = in.subspan(done.consumed);
      const Result<std::size_t> consumed = handle_message(rest, now);
      if (!consumed) return std::unexpected(fail_silently(consumed.error()));
      if (*consumed == 0) {
        progress.note(rest.size(), done.consumed != 0, limits(), now);
        return done;
      }
      done.consumed += *consumed;
      progress.stop();
    }
    wanted = kRecordHeadBytes;
    return done;
  }

  [[nodiscard]] bool awaits_verdict() const {
    if (state != State::key_exchange) return false;
    return std::holds_alternative<AnswerVerified>(handshake->stage) ||
           std::holds_alternative<AuthVerified>(handshake->stage);
  }

  /// Handles one whole message at the front of `in`; 0 if bytes are missing, then `wanted` says how
  /// many.
  Result<std::size_t> handle_message(MutableBytes in, TimePoint now) {
    if (auto* finish = std::get_if<ExpectFinish>(&handshake->stage))
      return handle_finish(*finish, in, now);
    wanted = kRecordHeadBytes;
    if (in.size() < kRecordHeadBytes) return std::size_t{0};
    SEALINE_TRY(body_bytes, check_head_of_message(in.first<kRecordHeadBytes>()));
    wanted = static_cast<std::uint32_t>(kRecordHeadBytes + body_bytes);
    if (in.size() < wanted) return std::size_t{0};
    SEALINE_TRY(handle_whole_message(in.first(wanted), now));
    return std::size_t{wanted};
  }

  /// The head of the message that comes next; gives the length of its body.
  Result<std::size_t> check_head_of_message(FixedView<kRecordHeadBytes> head) {
    if (std::holds_alternative<ExpectHello>(handshake->stage)) {
      SEALINE_TRY(hello, parse_hello_head(head, handshake->context.server->modes));
      return message_bytes(hello.mode, Step::hello);
    }
    const Step step =
        std::holds_alternative<ExpectAuth>(handshake->stage) ? Step::auth : Step::answer;
    SEALINE_TRY(check_head(head, peer.mode, step));
    return message_bytes(peer.mode, step);
  }

  Result<> handle_whole_message(MutableBytes record, TimePoint now) {
    HandshakeContext& context = handshake->context;
    const ByteView message = record.subspan(kRecordHeadBytes);
    if (std::holds_alternative<ExpectHello>(handshake->stage)) {
      SEALINE_TRY(next, on_hello(record, context));
      if (auto* auth = std::get_if<ExpectAuth>(&next)) {
        peer.mode = Mode::mutual;
        handshake->stage = std::move(*auth);
      } else {
        expect_finish(std::move(std::get<ExpectFinish>(next)));
      }
      return {};
    }
    if (auto* expect = std::get_if<ExpectAnswer>(&handshake->stage)) {
      SEALINE_TRY(next, on_answer(std::move(*expect), message, context));
      const auto key = next.noise.remote_static();
      handshake->stage = std::move(next);
      if (!client_sees_key(peer.mode)) return finish_as_client(now);
      show_key(key);
      return {};
    }
    SEALINE_TRY(next, on_auth(std::move(std::get<ExpectAuth>(handshake->stage)), message, context));
    const auto key = next.agreement.peer_key;
    handshake->stage = std::move(next);
    show_key(key);
    return {};
  }

  void show_key(const std::optional<crypto::PublicKey>& key) {
    SEALINE_ASSERT(key.has_value());
    peer.key = key;
    session.events().push(EventKind::peer_key_shown);
  }

  // --- the ends of the handshake

  Result<> finish_as_client(TimePoint now) {
    Handshake& here = *handshake;
    SEALINE_TRY(agreement,
                finish_client(std::move(std::get<AnswerVerified>(here.stage)), here.context));
    session.install(agreement.keys, agreement.mode, agreement.max_record_log2);
    const ByteView reveal = ByteView(agreement.nonce_a).first(finish_data_bytes(agreement.mode));
    session.seal_finish(reveal, here.context.outbox);
    complete_peer(agreement, agreement.nonce_a);
    become_encrypted(LifecycleEvent::answer_verified, now);
    return {};
  }

  void expect_finish(ExpectFinish&& next) {
    const Agreement& agreement = next.agreement;
    peer.mode = agreement.mode;
    session.install(agreement.keys, agreement.mode, agreement.max_record_log2);
    handshake->stage = std::move(next);
  }

  /// FINISH: all but its length is the one fault F8.
  Result<std::size_t> handle_finish(const ExpectFinish& expect, MutableBytes in, TimePoint now) {
    const Agreement& agreement = expect.agreement;
    SEALINE_TRY(finish, session.open_finish(in, finish_data_bytes(agreement.mode)));
    wanted = static_cast<std::uint32_t>(finish.wanted);
    if (finish.consumed == 0) return std::size_t{0};
    SasNonce nonce_a{};
    if (has_sas(agreement.mode)) {
      std::ranges::copy(finish.data, nonce_a.begin());
      const SasCommitment revealed = commit(engine(), nonce_a, agreement.peer_key);
      if (!crypto::ct_equal(revealed, agreement.commitment))
        return fail(Errc::finish_not_authentic);
    }
    complete_peer(agreement, nonce_a);
    become_encrypted(LifecycleEvent::finish_verified, now);
    return finish.consumed;
  }

  void complete_peer(const Agreement& agreement, const SasNonce& nonce_a) {
    peer.mode = agreement.mode;
    peer.key = agreement.peer_key;
    peer.psk_index = agreement.psk_index;
    if (has_sas(agreement.mode)) {
      peer.sas = short_authentication_string(engine(), agreement.keys.exporter, agreement.keys.h,
                                             nonce_a, agreement.nonce_b);
    }
  }

  void become_encrypted(LifecycleEvent event, TimePoint now) {
    enter(event);
    session.start(now);
    session.events().push(EventKind::established);
    handshake->stage = ExpectHello{};  // its keys have gone into the session
    drop_handshake_if_sent();
  }

  void drop_handshake_if_sent() {
    if (state == State::encrypted && handshake && handshake->context.outbox.bytes().empty())
      handshake.reset();
  }

  // --- outputs

  std::size_t take_outbox(MutableBytes out) {
    Outbox& outbox = handshake->context.outbox;
    const ByteView bytes = outbox.bytes();
    if (bytes.size() > out.size()) return 0;
    std::ranges::copy(bytes, out.begin());
    const std::size_t written = bytes.size();
    outbox.clear();
    drop_handshake_if_sent();
    return written;
  }

  std::size_t poll_transmit(MutableBytes out, TimePoint now) {
    std::size_t written = 0;
    if (handshake && !awaits_verdict()) {
      written = take_outbox(out);
      if (handshake && !handshake->context.outbox.bytes().empty())
        return written;  // `out` is too small
    }
    if (state != State::encrypted) return written;
    written += session.seal_waiting(out.subspan(written), now);
    if (!session.has_waiting()) written += session.seal_filler(out.subspan(written), now);
    close_if_done();
    return written;
  }

  Result<Sealed> seal(ByteView plaintext, MutableBytes out, TimePoint now) {
    if (state != State::encrypted || fault) [[unlikely]] {
      return std::unexpected(current_fault());
    }
    std::size_t before = 0;
    if (handshake) [[unlikely]] {
      before = take_outbox(out);
      if (handshake) return Sealed{};
    }
    Result<Sealed> sealed = session.seal(plaintext, out.subspan(before), now);
    if (sealed) {
      sealed->written += before;
    } else if (before != 0) {
      return Sealed{0, before};
    }
    return sealed;
  }

  [[nodiscard]] Event event_of(EventKind kind) const {
    switch (kind) {
      case EventKind::peer_key_shown:
        return PeerKeyShown{*peer.key};
      case EventKind::data_ended:
        return DataEnded{};
      case EventKind::aborted:
        return Aborted{*session.aborted_by_peer()};
      case EventKind::pin_updated:
        return PinUpdated{session.next_pin()};
      case EventKind::rekeyed:
        return Rekeyed{session.epoch()};
      case EventKind::established:
      case EventKind::count_:
        break;
    }
    return Established{};
  }

  // --- time

  void handle_timeout(TimePoint now) {
    if (state != State::key_exchange && state != State::encrypted) return;
    if (state == State::key_exchange && now >= handshake->deadline) {
      fail_silently({Errc::handshake_timeout});
      return;
    }
    if (progress.is_too_slow(limits(), now)) {
      fail_silently({Errc::too_slow});
      return;
    }
    if (state != State::encrypted) return;
    switch (session.handle_timeout(now)) {
      case Session::TimeoutResult::idle:
        handle_idle(now);
        break;
      case Session::TimeoutResult::abort_over:
        end(LifecycleEvent::abort_over);
        break;
      case Session::TimeoutResult::nothing:
        break;
    }
  }

  void handle_idle(TimePoint now) {
    if (session.send_state() == SendState::closed) {
      fail_silently({Errc::idle_timeout});
      return;
    }
    if (!fault) fault = Error{Errc::idle_timeout};
    session.abort(std::to_underlying(CloseReason::idle), now);
  }

  void handle_end_of_stream() {
    switch (state) {
      case State::error:
        enter(LifecycleEvent::fault_taken);
        break;
      case State::key_exchange:
        fail_silently({Errc::truncated});
        break;
      case State::encrypted:
        if (session.receive_state() == ReceiveState::open) fail_silently({Errc::truncated});
        if (session.receive_state() == ReceiveState::discarding) end(LifecycleEvent::abort_over);
        break;
      case State::init:
      case State::closed:
        break;
    }
  }

  void abort(std::uint8_t reason, TimePoint now) {
    SEALINE_ASSERT(reason != 0);
    if (state == State::key_exchange) fail_silently({Errc::cancelled});
    if (state != State::encrypted) return;
    if (session.send_state() == SendState::closed) {  // nothing can be told any more
      end(LifecycleEvent::abort_over);
      return;
    }
    session.abort(reason, now);
  }

  void accept(TimePoint now) {
    if (!awaits_verdict()) return;
    if (auto* verified = std::get_if<AuthVerified>(&handshake->stage)) {
      expect_finish(ExpectFinish{std::move(verified->agreement)});
      return;
    }
    const Result<> finished = finish_as_client(now);
    if (!finished) fail_silently(finished.error());
  }
};

Connection::Connection(std::unique_ptr<Machine> machine) noexcept : machine_(std::move(machine)) {}

Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Result<Opened> Connection::handle_bytes(MutableBytes in, MutableBytes out, TimePoint now) {
  return machine_->handle_bytes(in, out, now);
}

std::size_t Connection::wanted_bytes() const noexcept { return machine_->wanted; }

void Connection::handle_end_of_stream(TimePoint /*now*/) { machine_->handle_end_of_stream(); }

void Connection::handle_timeout(TimePoint now) { machine_->handle_timeout(now); }

void Connection::pause_receiving() { machine_->progress.stop(); }

Result<Sealed> Connection::seal(ByteView plaintext, MutableBytes out, TimePoint now) {
  return machine_->seal(plaintext, out, now);
}

void Connection::run_ahead() {
  if (machine_->state == State::encrypted) machine_->session.run_ahead();
}

void Connection::accept_peer_key(TimePoint now) { machine_->accept(now); }

void Connection::refuse_peer_key(Errc why) {
  if (machine_->awaits_verdict()) machine_->fail_silently({why});
}

void Connection::close(TimePoint /*now*/) {
  if (machine_->state == State::encrypted || machine_->state == State::key_exchange)
    machine_->session.close(0);
}

void Connection::abort(std::uint8_t reason, TimePoint now) { machine_->abort(reason, now); }

void Connection::request_rekey(TimePoint now) {
  if (machine_->state == State::encrypted) machine_->session.request_rekey(now);
}

void Connection::ping(TimePoint now) {
  if (machine_->state == State::encrypted) machine_->session.ping(now);
}

Result<> Connection::announce_next_key(const crypto::PublicKey& next) {
  if (machine_->state != State::encrypted) return fail(Errc::wrong_state);
  return machine_->session.announce_next_key(next);
}

Result<> Connection::set_padding(const Padding& padding, TimePoint now) {
  SEALINE_TRY(check(padding, max_record_bytes()));
  machine_->session.set_padding(padding, now);
  return {};
}

std::size_t Connection::poll_transmit(MutableBytes out, TimePoint now) {
  return machine_->poll_transmit(out, now);
}

std::optional<TimePoint> Connection::poll_timeout() const {
  const Machine& m = *machine_;
  std::optional<TimePoint> first;
  if (m.state == State::key_exchange) {
    first = m.handshake->deadline;
  } else if (m.state == State::encrypted) {
    first = m.session.poll_timeout();
  } else {
    return std::nullopt;
  }
  const std::optional<TimePoint> progress = m.progress.deadline();
  return progress && (!first || *progress < *first) ? progress : first;
}

std::optional<Event> Connection::poll_event() {
  const std::optional<EventKind> kind = machine_->session.events().pop();
  if (!kind) return std::nullopt;
  return machine_->event_of(*kind);
}

State Connection::state() const noexcept { return machine_->state; }

std::optional<Error> Connection::fault() const noexcept { return machine_->fault; }

bool Connection::can_send() const noexcept {
  return machine_->state == State::encrypted && machine_->session.can_send();
}

bool Connection::can_receive() const noexcept {
  return machine_->state == State::encrypted &&
         machine_->session.receive_state() == ReceiveState::open;
}

bool Connection::has_transmit() const noexcept {
  const Machine& m = *machine_;
  if (m.handshake && !m.awaits_verdict() && !m.handshake->context.outbox.bytes().empty())
    return true;
  return m.state == State::encrypted && (m.session.has_waiting() || m.session.has_filler());
}

const Peer& Connection::peer() const noexcept { return machine_->peer; }

Statistics Connection::statistics() const noexcept { return machine_->session.statistics(); }

std::size_t Connection::max_record_bytes() const noexcept {
  const std::size_t agreed = machine_->session.max_record_bytes();
  return agreed != 0 ? agreed : std::size_t{1} << machine_->limits().max_record_log2;
}

std::size_t Connection::sealed_size(std::size_t data_bytes) const noexcept {
  const std::size_t most = max_record_bytes();
  const Padding& padding = machine_->session.padding();
  std::size_t each = most;
  if (const auto* rate = std::get_if<PadConstantRate>(&padding))
    each = std::min<std::size_t>(each, rate->record_bytes);
  const auto record = [&](std::size_t n) {
    return kRecordOverheadBytes + padded_size(padding, n, most);
  };
  const std::size_t rest = data_bytes % each;
  return data_bytes / each * record(each) + (rest != 0 ? record(rest) : 0);
}

Result<> Connection::export_key(std::string_view label, ByteView context, MutableBytes out) const {
  constexpr std::string_view kTaken = "stcp1 ";
  constexpr std::size_t kMaxField = 255;
  if (machine_->state != State::encrypted) return fail(Errc::not_encrypted);
  const bool fits = label.size() <= kMaxField && context.size() <= kMaxField &&
                    out.size() <= kMaxField * crypto::kHashBytes;
  if (!fits || label.starts_with(kTaken)) return fail(Errc::bad_configuration);
  crypto::labelled(machine_->engine(), machine_->session.exporter().expose(), label, context, out);
  return {};
}

// --- creation

namespace {

/// No deadline may reach the end of the clock.
constexpr Duration kLongest = std::chrono::hours(24 * 366 * 10);

bool is_span(Duration duration, Duration least) {
  return duration >= least && duration <= kLongest;
}

Result<> check_limits(const Limits& limits, const Padding& padding) {
  const Limits most;
  const bool in_range = limits.max_record_log2 >= Settings::kMinRecordLog2 &&
                        limits.max_record_log2 <= Settings::kMaxRecordLog2 &&
                        limits.max_sequence >= 2 && limits.max_sequence <= most.max_sequence &&
                        limits.rekey_bytes >= 1 && limits.rekey_bytes <= most.max_sequence;
  const Duration tick(1);
  const bool has_time =
      is_span(limits.handshake_timeout, tick) && is_span(limits.idle_timeout, {}) &&
      is_span(limits.ping_interval, {}) && is_span(limits.abort_answer_timeout, {}) &&
      is_span(limits.min_progress_window, tick) && is_span(limits.rekey_after, tick);
  if (!in_range || !has_time) return fail(Errc::bad_configuration);
  return check(padding, std::size_t{1} << limits.max_record_log2);
}

}  // namespace

Result<ClientConnection> ClientConnection::create(const ClientConfig& config,
                                                  crypto::Engine& engine, crypto::Rng& rng,
                                                  TimePoint now) {
  SEALINE_TRY(check_limits(config.limits, config.padding));
  auto machine =
      std::make_unique<Machine>(Role::client, config.limits, config.padding, engine, rng);
  SEALINE_TRY(machine->begin(rng, &config, nullptr, now));
  return ClientConnection(std::move(machine));
}

Result<ServerConnection> ServerConnection::create(const ServerConfig& config,
                                                  crypto::Engine& engine, crypto::Rng& rng,
                                                  TimePoint now) {
  SEALINE_TRY(check_limits(config.limits, config.padding));
  const bool needs_key = config.modes.contains(Mode::tofu) || config.modes.contains(Mode::mutual);
  if (config.modes.empty() || (needs_key && !config.identity)) return fail(Errc::bad_configuration);
  auto machine =
      std::make_unique<Machine>(Role::server, config.limits, config.padding, engine, rng);
  SEALINE_TRY(machine->begin(rng, nullptr, &config, now));
  return ServerConnection(std::move(machine));
}

}  // namespace sealine::stcp
