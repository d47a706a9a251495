// Messages to bytes: what a channel writes, and in which order. spec: scp.md#messages

#include "scp/detail/channel_machine.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"

#include <algorithm>

namespace sealine::scp {
namespace {

/// PAD that waits is a number, not bytes: more of it than two windows is not worth anybody's time.
constexpr std::size_t kMaxPadDue = std::size_t{2} << 20U;

}  // namespace

namespace {

// The largest of those that are no part of a message: RESUME. A part asks for the room that it
// needs itself.
constexpr std::size_t kSmallMessageBytes = Link::sealed_size(41);

}  // namespace

bool ChannelEnd::Machine::can_send() const noexcept {
  const bool alive = state == State::open || state == State::confirming ||
                     state == State::handshake || state == State::lost;
  return alive && !end_sent && outbox.size() < limits.window_messages &&
         outbox.bytes() < limits.window_bytes;
}

Result<std::uint64_t> ChannelEnd::Machine::send(ByteView message) {
  if (outcome || end_sent || state == State::closing || state == State::draining ||
      state == State::answering) {
    return fail(outcome || pending_outcome ? Errc::not_encrypted : Errc::already_closed);
  }
  if (!named) return fail(Errc::not_encrypted);
  if (message.size() > their_max_message) return fail(Errc::message_too_large);
  if (!can_send()) return fail(Errc::window_full);
  outbox.push(message);
  return outbox_base + outbox.size() - 1;
}

void ChannelEnd::Machine::end() {
  if (outcome || end_sent || !named) return;
  end_sent = true;
  outbox.push({}, MessageQueue::Kind::end);
}

void ChannelEnd::Machine::pad(std::size_t bytes) {
  if (state != State::open || bytes == 0) return;
  if (pad_due == 0) {
    ByteArray<1> coin{};
    rng->fill(coin);
    pad_first = (coin[0] & 1U) != 0;
  }
  pad_due += std::min(bytes, kMaxPadDue - std::min(pad_due, kMaxPadDue));
}

std::size_t ChannelEnd::Machine::poll_transmit(MutableBytes out, TimePoint now) {
  SEALINE_ASSERT(out.size() >= kMaxWireMessageBytes);
  const State before = state;
  std::size_t written = 0;
  if (handshake && handshake->has_transmit()) {
    written = handshake->poll_transmit(out);
    if (link) handshake.reset();
  }
  if (state != State::confirming && state != State::handshake && link) {
    SealRun run(out.subspan(written));
    while (run.room() >= kSmallMessageBytes && write_next(run)) {
    }
    if (link) link->finish(run);
    written += run.used();
  }
  // The end of input is all that is waited for now; the silence until then is no loss.
  if (state == State::draining && before != State::draining) {
    timers.cancel_all();
    timers.set(Timer::close_drain, now + limits.close_drain_timeout);
  }
  if (written > 0 && limits.keep_alive_after.count() > 0 &&
      (state == State::open || state == State::closing)) {
    timers.set(Timer::keep_alive, now + limits.keep_alive_after);
  }
  // The states that only waited for their last message to be written.
  if (state == State::answering && !receipt_due && pending_outcome) {
    finish(pending_outcome->code, pending_outcome->by_peer, pending_outcome->error);
  }
  return written;
}

// Receipts first, so that a sender that waits goes on; rotation before data, since data is what it
// is due for.
bool ChannelEnd::Machine::write_next(SealRun& run) {
  if (state == State::draining && !close_due) return false;
  if (confirmation_due) {
    confirmation_due = false;
    confirmed = true;
    return write_receipt(run);
  }
  if (resume_due) {
    const ByteArray<41> body = *resume_due;
    resume_due.reset();
    return write(Type::data, body, {}, run);
  }
  if (receipt_due || (book.is_due() && state != State::draining)) return write_receipt(run);
  if (close_due) {
    const auto code = static_cast<std::uint8_t>(*close_due);
    if (!pending_outcome) pending_outcome = Outcome{.code = *close_due};
    close_due.reset();
    state = State::draining;
    return write(Type::close, ByteView(&code, 1), {}, run);
  }
  if (state != State::open && state != State::closing) return false;

  switch (rotation.step) {
    case Rotation::Step::idle:
      if (role == Link::Role::client &&
          (rotation_wanted || link->payload_sent() >= limits.rotate_bytes ||
           link->payload_received() >= limits.rotate_bytes)) {
        rotation_wanted = false;
        rotation.ours.emplace(crypto::KeyPair::generate(*engine, *rng));
        rotation.step = Rotation::Step::expect_response;
        return write(Type::init, rotation.ours->public_key.view(), {}, run);
      }
      break;
    case Rotation::Step::response_due: {
      if (!write(Type::response, rotation.ours->public_key.view(), {}, run)) return false;
      rotation.ours.reset();
      link->switch_sending(run);
      rotation.step = Rotation::Step::expect_ack;
      return true;
    }
    case Rotation::Step::ack_due: {
      if (!write(Type::ack, {}, {}, run)) return false;
      link->switch_sending(run);
      rotation = {};
      events.emplace_back(Rotated{link->rotations()});
      return true;
    }
    case Rotation::Step::expect_response:
    case Rotation::Step::expect_ack:
      break;
  }
  const bool waits = part_open || begun != outbox_base + outbox.size();
  if (pad_due > 0 && (pad_first || !waits)) return write_pad(run);
  return write_part(run);
}

bool ChannelEnd::Machine::write_pad(SealRun& run) {
  static constexpr ByteArray<kPartBytes> kNothing{};
  const ByteView data = ByteView(kNothing).first(std::min(pad_due, kNothing.size()));
  if (run.room() < Link::sealed_size(1 + data.size())) return false;
  pad_due -= data.size();
  const auto kind = static_cast<std::uint8_t>(DataKind::pad);
  return write(Type::data, ByteView(&kind, 1), data, run);
}

bool ChannelEnd::Machine::write(Type type, ByteView first, ByteView second, SealRun& run) {
  const auto sealed = link->seal(type, first, second, run);
  if (sealed) return true;
  link->finish(run);
  finish(Code::internal, false, sealed.error());
  return false;
}

bool ChannelEnd::Machine::write_receipt(SealRun& run) {
  receipt_due = false;
  const ByteArray<8> n = be_bytes(book.due());
  book.on_written();
  return write(Type::ack, n, {}, run);
}

bool ChannelEnd::Machine::write_part(SealRun& run) {
  if (!part_open && begun == outbox_base + outbox.size()) return false;
  const std::uint64_t number = part_open ? begun - 1 : begun;
  const auto index = static_cast<std::size_t>(number - outbox_base);
  // END is queued however full the window is, and begins, as every message, when there is room.
  const bool is_end = end_sent && index + 1 == outbox.size();
  if (is_end && (index >= limits.window_messages || outbox.bytes() >= limits.window_bytes)) {
    return false;
  }
  const std::size_t offset = part_open ? part_offset : 0;
  const ByteView rest = outbox[index].subspan(offset);
  const bool last = rest.size() <= kPartBytes;
  const ByteView data = rest.first(std::min(rest.size(), kPartBytes));
  if (run.room() < Link::sealed_size(1 + data.size())) return false;
  begun = number + 1;
  part_open = !last;
  part_offset = offset + data.size();
  // A message of one part, and END, stand in the outbox as they are sealed.
  if (last && offset == 0) return write(Type::data, outbox.plaintext(index), {}, run);
  const auto kind = static_cast<std::uint8_t>(last ? DataKind::last : DataKind::part);
  return write(Type::data, ByteView(&kind, 1), data, run);
}

}  // namespace sealine::scp
