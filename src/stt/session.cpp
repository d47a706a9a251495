#include "sealine/stt/session.hpp"

#include "sealine/base/assert.hpp"
#include "stt/detail/session_machine.hpp"

#include <algorithm>
#include <utility>

namespace sealine::stt {
namespace {

DirectionKey& key_of(Established& established, Role sender) {
  return sender == Role::initiator ? established.initiator_key : established.responder_key;
}

}  // namespace

Session::Machine::Stream::Stream(StreamId number, const StreamOptions& how,
                                 const SessionConfig& config, detail::RingPool& rings)
    : id(number),
      options(how),
      sending(how.mode,
              config.transport == Transport::udp ? detail::Retention::until_acked
                                                 : detail::Retention::until_sent,
              config.limits.send_buffer_bytes, &rings),
      receiving(how.mode, &rings),
      send_credit(config.limits.stream_window_bytes),
      receive_credit(config.limits.stream_window_bytes, config.limits.max_stream_window_bytes) {}

Session::Machine::Machine(SessionConfig how, Established established, crypto::Engine& engine,
                          crypto::Rng& random, TimePoint now)
    : config(std::move(how)),
      role(established.role),
      id(established.session_id),
      forward_secrecy(established.forward_secrecy),
      sending(engine, random, EpochKeys(engine, 0, std::move(key_of(established, role))),
              forward_secrecy, config.limits, now),
      receiving(engine, random, EpochKeys(engine, 0, std::move(key_of(established, other(role)))),
                forward_secrecy),
      send_credit(config.limits.session_window_bytes),
      receive_credit(config.limits.session_window_bytes, config.limits.max_session_window_bytes),
      next_own(role == Role::initiator ? 1 : 2),
      rng(&random),
      last_heard(now),
      last_pinged(now) {
  if (config.transport == Transport::udp) {
    datagrams = std::make_unique<detail::Datagrams>(config, now);
  }
}

bool Session::Machine::is_ours(StreamId stream) const noexcept {
  return (stream % 2 == 1) == (role == Role::initiator);
}

Session::Machine::Stream* Session::Machine::find(StreamId stream) noexcept {
  const auto found = streams.find(stream);
  return found == streams.end() ? nullptr : found->second.get();
}

Session::Machine::Stream& Session::Machine::add_stream(StreamId stream,
                                                       const StreamOptions& options) {
  auto made = std::make_unique<Stream>(stream, options, config, rings);
  ++(is_ours(stream) ? open_of_ours : open_of_peer);
  if (options.mode == StreamMode::partial) ++with_deadlines;
  statistics.streams_open = streams.size() + 1;
  return *streams.emplace(stream, std::move(made)).first->second;
}

// A stream is closed when both directions are ended and read, and what says so is on its way (UDP:
// there).
void Session::Machine::forget_if_over(Stream& stream) {
  if (!stream.sending.is_over() || !stream.receiving.is_over() || stream.needs_init) return;
  if (stream.reset.is_open() || stream.stop.is_open() || stream.abandon.is_open()) return;
  const StreamId gone = stream.id;
  --(is_ours(gone) ? open_of_ours : open_of_peer);
  if (stream.options.mode == StreamMode::partial) --with_deadlines;
  streams.erase(gone);
  statistics.streams_open = streams.size();
  events.emplace_back(StreamClosed{gone});
  close_if_drained();
}

void Session::Machine::close_if_drained() {
  if (draining && streams.empty() && !is_over()) end(0, "", false, {});
}

void Session::Machine::wake(Stream& stream) {
  if (stream.is_queued || !stream.sending.has_waiting()) return;
  stream.is_queued = true;
  schedule[stream.options.priority].push_back(stream.id);
}

// Credit that reading gave back, of the stream and of the session.
void Session::Machine::consume(Stream& stream) {
  const std::uint64_t bytes = stream.receiving.take_consumed();
  if (bytes == 0) return;
  stream.receive_credit.consume(bytes);
  receive_credit.consume(bytes);
  if (!stream.credit_due && !stream.receiving.has_all() && stream.receive_credit.is_due()) {
    stream.credit_due = true;
    control_due.push_back(stream.id);
  }
  session_credit_due = session_credit_due || receive_credit.is_due();
}

void Session::Machine::end(std::uint16_t code, std::string reason, bool by_peer, Error fault) {
  if (is_over()) return;
  // Nothing is sent after the peer's CLOSE; ours goes out before anything else.
  state = by_peer ? SessionState::closed : SessionState::closing;
  if (!by_peer) closing = {.code = code, .reason = reason, .fault = fault};
  events.emplace_back(
      SessionClosed{.code = code, .reason = std::move(reason), .by_peer = by_peer, .fault = fault});
}

void Session::Machine::fail_with(CloseCode code, Error fault) {
  end(static_cast<std::uint16_t>(code), "", false, fault);
}

Session::Session(SessionConfig config, Established established, crypto::Engine& engine,
                 crypto::Rng& rng, TimePoint now)
    : machine_(
          std::make_unique<Machine>(std::move(config), std::move(established), engine, rng, now)) {}

Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

void Session::handle_disconnected(TimePoint /*now*/) {
  Machine& m = *machine_;
  if (!m.is_over()) {
    m.events.emplace_back(SessionClosed{.code = static_cast<std::uint16_t>(CloseCode::internal),
                                        .reason = {},
                                        .by_peer = true,
                                        .fault = {Errc::truncated, 0}});
  }
  m.closing.reset();
  m.state = SessionState::closed;
}

void Session::handle_timeout(TimePoint now) {
  Machine& m = *machine_;
  m.rings.handle_timeout(now);
  if (m.is_udp()) m.handle_datagram_timeout(now);
  if (m.is_over()) return;
  if (now - m.last_heard >= m.config.limits.idle_timeout) {
    m.fail_with(CloseCode::idle, {Errc::idle_timeout, 0});
    return;
  }
  m.sending.handle_timeout(now);
  if (m.sending.has_timed_out(now)) {
    m.fail_with(CloseCode::keys, {Errc::idle_timeout, 0});
    return;
  }
  const Duration quiet = m.config.limits.ping_after;
  if (quiet.count() > 0 && now - std::max(m.last_heard, m.last_pinged) >= quiet) ping(now);
  if (m.with_deadlines == 0) return;
  for (auto& [stream_id, stream] : m.streams) {
    if (stream->options.mode != StreamMode::partial) continue;
    if (const auto up_to = stream->sending.expire(now)) {
      stream->abandon.promise(Abandon{*up_to});
      m.control_due.push_back(stream_id);
    }
  }
}

Result<StreamId> Session::open(const StreamOptions& options, TimePoint /*now*/) {
  Machine& m = *machine_;
  if (m.is_over() || m.draining) return fail(Errc::already_closed);
  if (m.own_ids_used_up || m.open_of_ours >= kMaxStreamsOfPeer) return fail(Errc::stream_limit);
  const StreamId stream = m.next_own;
  m.own_ids_used_up = stream > 65535 - 2;
  m.next_own = static_cast<StreamId>(stream + 2);
  Machine::Stream& made = m.add_stream(stream, options);
  made.needs_init = true;
  return stream;
}

Result<std::size_t> Session::write(StreamId stream, ByteView data, TimePoint now) {
  Machine& m = *machine_;
  if (m.is_over()) return fail(Errc::already_closed);
  Machine::Stream* to = m.find(stream);
  if (to == nullptr) return fail(Errc::stream_unknown);
  if (to->sending.is_over()) return fail(Errc::stream_stopped);
  if (to->sending.is_finishing()) return fail(Errc::already_closed);
  const bool is_message = to->options.mode != StreamMode::ordered;
  const std::size_t most =
      to->options.mode == StreamMode::unreliable ? m.largest_unreliable() : kMaxMessageBytes;
  if (is_message && data.size() > most) return fail(Errc::message_too_large);
  std::optional<TimePoint> deadline;
  if (to->options.deadline_ms > 0)
    deadline = now + std::chrono::milliseconds(to->options.deadline_ms);
  const std::size_t taken = to->sending.write(data, deadline);
  if (taken < data.size() || (is_message && taken == 0 && to->sending.writable_bytes() == 0)) {
    to->wants_writable = true;
  }
  m.statistics.bytes_sent += taken;
  m.wake(*to);
  if (is_message && taken < data.size()) return fail(Errc::window_full);
  return taken;
}

Result<> Session::finish(StreamId stream, TimePoint /*now*/) {
  Machine& m = *machine_;
  Machine::Stream* to = m.find(stream);
  if (to == nullptr) return fail(Errc::stream_unknown);
  to->sending.finish();
  m.wake(*to);
  return {};
}

Result<> Session::reset(StreamId stream, std::uint16_t code, TimePoint /*now*/) {
  Machine& m = *machine_;
  Machine::Stream* to = m.find(stream);
  if (to == nullptr) return fail(Errc::stream_unknown);
  if (to->sending.is_over()) return {};
  to->sending.reset();
  to->reset.promise(Reset{.code = code, .final_size = to->send_credit.used()});
  m.control_due.push_back(stream);
  return {};
}

Result<> Session::stop(StreamId stream, std::uint16_t code, TimePoint /*now*/) {
  Machine& m = *machine_;
  Machine::Stream* from = m.find(stream);
  if (from == nullptr) return fail(Errc::stream_unknown);
  if (!from->receiving.has_all()) {
    from->stop.promise(Stop{code});
    m.control_due.push_back(stream);
  }
  from->receiving.stop();
  m.consume(*from);
  m.forget_if_over(*from);
  return {};
}

Result<Read> Session::read(StreamId stream, MutableBytes out, TimePoint /*now*/) {
  Machine& m = *machine_;
  Machine::Stream* from = m.find(stream);
  if (from == nullptr) return fail(Errc::stream_unknown);
  if (from->receiving.is_reset()) return fail(Errc::stream_reset);
  const Read result = from->receiving.read(out);
  m.statistics.bytes_received += result.bytes;
  m.consume(*from);
  if (result.finished) m.forget_if_over(*from);
  return result;
}

void Session::offer(StreamId stream, MutableBytes place) {
  if (Machine::Stream* from = machine_->find(stream)) from->receiving.offer(place);
}

std::size_t Session::readable_bytes(StreamId stream) const noexcept {
  const Machine::Stream* from = machine_->find(stream);
  return from == nullptr ? 0 : from->receiving.readable_bytes();
}

std::size_t Session::writable_bytes(StreamId stream) const noexcept {
  const Machine::Stream* to = machine_->find(stream);
  return to == nullptr || to->sending.is_finishing() ? 0 : to->sending.writable_bytes();
}

void Session::drain(TimePoint /*now*/) {
  machine_->draining = true;
  machine_->close_if_drained();
}

void Session::close(std::uint16_t code, std::string_view reason, TimePoint /*now*/) {
  SEALINE_ASSERT(code == 0 || code >= kFirstApplicationCode);
  machine_->end(code, std::string(reason.substr(0, kMaxCloseReasonBytes)), false, {});
}

void Session::rotate(TimePoint /*now*/) { machine_->sending.request(); }

void Session::ping(TimePoint now) {
  Machine& m = *machine_;
  ByteArray<8> nonce{};
  m.rng->fill(nonce);
  std::uint64_t number = 0;
  for (const std::uint8_t byte : nonce) number = (number << 8U) | byte;
  m.ping_due = number;
  m.last_pinged = now;
}

std::optional<TimePoint> Session::poll_timeout() const {
  const Machine& m = *machine_;
  if (m.is_udp() && m.state == SessionState::closing) return m.datagrams->linger_until;
  if (m.is_over()) return std::nullopt;
  TimePoint next = m.last_heard + m.config.limits.idle_timeout;
  const Duration quiet = m.config.limits.ping_after;
  if (quiet.count() > 0) next = std::min(next, std::max(m.last_heard, m.last_pinged) + quiet);
  if (const auto rotation = m.sending.poll_timeout()) next = std::min(next, *rotation);
  if (const auto quiet_at = m.rings.poll_timeout()) next = std::min(next, *quiet_at);
  if (m.with_deadlines > 0) {
    for (const auto& [stream_id, stream] : m.streams) {
      if (stream->options.mode != StreamMode::partial) continue;
      if (const auto deadline = stream->sending.next_deadline()) next = std::min(next, *deadline);
    }
  }
  if (const auto datagrams = m.next_datagram_timeout()) next = std::min(next, *datagrams);
  return next;
}

std::optional<Session::Event> Session::poll_event() {
  auto& events = machine_->events;
  if (events.empty()) return std::nullopt;
  Event event = std::move(events.front());
  events.pop_front();
  return event;
}

SessionState Session::state() const noexcept {
  const Machine& m = *machine_;
  if (m.state == SessionState::active && m.sending.is_under_way())
    return SessionState::key_rotating;
  return m.state;
}

Role Session::role() const noexcept { return machine_->role; }

const SessionId& Session::id() const noexcept { return machine_->id; }

bool Session::has_forward_secrecy() const noexcept { return machine_->forward_secrecy; }

SessionStatistics Session::statistics() const noexcept {
  SessionStatistics statistics = machine_->statistics;
  statistics.epoch_sent = machine_->sending.epoch();
  statistics.epoch_received = machine_->receiving.epoch();
  if (const detail::Datagrams* udp = machine_->datagrams.get()) {
    statistics.frames_lost = udp->recovery.lost_frames();
    statistics.frames_lost_wrongly = udp->recovery.spurious_losses();
    statistics.probe_timeouts = udp->recovery.probe_timeouts();
    statistics.window_bytes = udp->recovery.window_bytes();
    statistics.in_flight_bytes = udp->recovery.in_flight_bytes();
    statistics.datagram_bytes = udp->mtu.bytes();
  }
  statistics.round_trip = machine_->round_trip_now();
  return statistics;
}

}  // namespace sealine::stt
