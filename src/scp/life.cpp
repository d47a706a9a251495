// The states of a channel, its timers, and its connections one after the other. spec:
// scp.md#reconnect

#include "scp/detail/channel_machine.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/kdf.hpp"

#include <algorithm>
#include <utility>

namespace sealine::scp {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(100);
constexpr Duration kLongestPause = std::chrono::seconds(30);

}  // namespace

Result<> ChannelEnd::Machine::begin_handshake(TimePoint now) {
  std::optional<ResumeRequest> request;
  if (confirmed)
    request =
        ResumeRequest{.channel_id = channel_id, .have = book.have(), .resume_key = &resume_key};
  SEALINE_TRY(made, ClientHandshake::create(*client_config, *engine, *rng, request));
  handshake.emplace(std::move(made));
  link.reset();
  state = State::handshake;
  timers.cancel(Timer::reconnect_try);
  timers.set(Timer::handshake, now + limits.handshake_timeout);
  return {};
}

void ChannelEnd::Machine::accept_peer_key(TimePoint now) {
  if (state != State::handshake) return;
  const auto progress = handshake->accept_peer_key();
  if (!progress) return fault(Code::authentication, progress.error(), now);
  finish_handshake(now);
}

// Client: the third message waits in the handshake and is written first.
void ChannelEnd::Machine::finish_handshake(TimePoint now) {
  Opening opening = std::move(*handshake).take();
  adopt(opening);
  timers.cancel(Timer::handshake);
  // Also where nothing may follow this connection any more: the server knows nothing of that.
  if (opening.reconnect || confirmed) {
    state = State::confirming;
    timers.set(Timer::silence, now + limits.silence_timeout);
    return;
  }
  become_open(false, now);
}

void ChannelEnd::Machine::adopt(Opening& opening) {
  link.emplace(std::move(opening.link));
  peer = opening.peer;
  rotation = {};
  if (confirmed) return;
  reconnect = opening.reconnect && !resume_forbidden;
  their_max_message = opening.theirs.max_message_bytes;
  link->export_key("scp1 channel", {}, channel_id);
  link->export_key("scp1 resume", {}, resume_key.writable());
  named = true;
}

void ChannelEnd::Machine::become_open(bool resumed, TimePoint now) {
  state = State::open;
  attempts = 0;
  timers.cancel(Timer::handshake);
  timers.cancel(Timer::reconnect_give_up);
  timers.set(Timer::silence, now + limits.silence_timeout);
  if (limits.keep_alive_after.count() > 0)
    timers.set(Timer::keep_alive, now + limits.keep_alive_after);
  timers.set(Timer::rotation, now + (role == Link::Role::client ? 1 : 2) * limits.rotate_after);
  events.emplace_back(Opened{resumed});
  if (close_wanted) close(now);
}

Result<> ChannelEnd::Machine::resume(Opening& opening, TimePoint now) {
  const auto& block = opening.theirs.resume;
  if (!block || !reconnect || outcome || state == State::draining || state == State::answering) {
    return fail(Errc::channel_unknown);
  }
  ByteArray<32> proof{};
  crypto::labelled(*engine, resume_key.expose(), "scp1 resume c", opening.link.handshake_hash(),
                   proof);
  const bool same = crypto::ct_equal(block->channel_id, channel_id) &&
                    crypto::ct_equal(block->proof, proof) && opening.peer == peer &&
                    opening.theirs.max_message_bytes == their_max_message;
  if (!same || !rewind_to(block->have)) return fail(Errc::channel_unknown);

  ByteArray<41> body{};
  Writer writer(body);
  writer.be(static_cast<std::uint8_t>(DataKind::resume)).be(book.have());
  crypto::labelled(*engine, resume_key.expose(), "scp1 resume s", opening.link.handshake_hash(),
                   writer.reserve(32));
  confirmed = true;
  confirmation_due = false;
  adopt(opening);
  resume_due = body;
  receipt_due = true;
  become_open(true, now);
  return {};
}

bool ChannelEnd::Machine::rewind_to(std::uint64_t have) {
  if (have < outbox_base || have > begun) return false;
  begun = have;
  part_open = false;
  part_offset = 0;
  inbox.drop_open();
  in_parts = false;
  return true;
}

void ChannelEnd::Machine::handle_disconnected(TimePoint now) {
  switch (state) {
    case State::closed:
      return;
    case State::lost:
      // A client's attempt came to nothing: another pause, a longer one.
      if (role == Link::Role::client && !timers.deadline(Timer::reconnect_try)) lose(now);
      return;
    case State::draining:
    case State::answering:
      return finish(pending_outcome->code, pending_outcome->by_peer, pending_outcome->error);
    case State::handshake:
    case State::confirming:
    case State::open:
    case State::closing:
      if (reconnect && named) return lose(now);
      return finish(Code::truncated, false, {Errc::truncated});
  }
}

void ChannelEnd::Machine::connection_fault(Code code, Error error, TimePoint now) {
  if (reconnect && confirmed) return lose(now);
  finish(code, false, error);
}

void ChannelEnd::Machine::lose(TimePoint now) {
  link.reset();
  handshake.reset();
  rotation = {};
  inbox.drop_open();
  in_parts = false;
  part_open = false;
  close_due.reset();
  resume_due.reset();
  pad_due = 0;
  if (state != State::lost && !timers.deadline(Timer::reconnect_give_up)) {
    timers.set(Timer::reconnect_give_up, now + limits.reconnect_timeout);
    events.emplace_back(ConnectionLost{});
  }
  state = State::lost;
  for (const Timer timer : {Timer::handshake, Timer::keep_alive, Timer::silence, Timer::rotation}) {
    timers.cancel(timer);
  }
  if (role == Link::Role::client) {
    Duration pause = kFirstPause;
    for (std::uint32_t i = 0; i < attempts && pause < kLongestPause; ++i) pause *= 2;
    pause = std::min(pause, kLongestPause);
    ++attempts;
    // Half to all of it, so that a thousand clients do not return at once.
    ByteArray<2> random{};
    rng->fill(random);
    const int share = random[0] * 256 + random[1];
    timers.set(Timer::reconnect_try, now + pause / 2 + pause / 2 * share / 65536);
  }
}

void ChannelEnd::Machine::handle_timeout(TimePoint now) {
  if (timers.take_due(Timer::handshake, now)) {
    if (named && reconnect) return lose(now);
    return finish(Code::timeout, false, {Errc::handshake_timeout});
  }
  if (timers.take_due(Timer::silence, now)) {
    if (reconnect && named) return lose(now);
    return fault(Code::timeout, {Errc::idle_timeout}, now);
  }
  if (timers.take_due(Timer::keep_alive, now) && state == State::open) {
    receipt_due = true;
    // Silent for so long: what was held for a burst goes back.
    inbox.give_back();
    outbox.give_back();
  }
  if (timers.take_due(Timer::rotation, now) && (state == State::open || state == State::closing)) {
    if (role == Link::Role::server) return fault(Code::protocol, {Errc::protocol_broken}, now);
    rotation_wanted = true;
  }
  if (timers.take_due(Timer::close_receipts, now) && state == State::closing)
    close_due = Code::normal;
  if (timers.take_due(Timer::close_drain, now) && pending_outcome) {
    return finish(pending_outcome->code, pending_outcome->by_peer, pending_outcome->error);
  }
  if (timers.take_due(Timer::reconnect_give_up, now))
    return finish(Code::timeout, false, {Errc::gave_up});
  if (timers.take_due(Timer::reconnect_try, now)) events.emplace_back(ReconnectDue{});
}

void ChannelEnd::Machine::close(TimePoint now) {
  if (state == State::lost || state == State::handshake || state == State::confirming) {
    return finish(Code::normal, false, {});
  }
  close_wanted = true;
  if (state != State::open) return;
  state = State::closing;
  if (outbox.empty()) {
    close_due = Code::normal;
  } else {
    timers.set(Timer::close_receipts, now + limits.close_receipts_timeout);
  }
  timers.set(Timer::close_drain, now + limits.close_receipts_timeout + limits.close_drain_timeout);
}

// The end that has sent and received END closes, once its own has its receipt.
void ChannelEnd::Machine::close_if_both_ended(TimePoint now) {
  if (state == State::open && end_sent && end_received && outbox.empty()) close(now);
}

void ChannelEnd::Machine::fault(Code code, Error error, TimePoint now) {
  if (outcome || state == State::draining || state == State::answering) return;
  const bool open = state == State::open || state == State::closing || state == State::confirming;
  if (!open || !link || !is_wire_code(code)) return finish(code, false, error);
  pending_outcome = Outcome{.code = code, .error = error};
  close_due = code;
  receipt_due = false;
  state = State::draining;
  timers.cancel_all();
  timers.set(Timer::close_drain, now + limits.close_drain_timeout);
}

void ChannelEnd::Machine::finish(Code code, bool by_peer, Error error) {
  if (outcome) return;
  const std::uint64_t unknown = outbox.size() - (end_sent && !outbox.empty() ? 1 : 0);
  outcome = Outcome{.code = code,
                    .by_peer = by_peer,
                    .error = error,
                    .receipted = outbox_base,
                    .unknown = unknown};
  state = State::closed;
  link.reset();
  handshake.reset();
  rotation = {};
  timers.cancel_all();
  events.emplace_back(Closed{*outcome});
}

void ChannelEnd::Machine::heard(TimePoint now) {
  timers.set(Timer::silence, now + limits.silence_timeout);
}

}  // namespace sealine::scp
