// Messages to bytes: what a channel writes, and in which order. spec: scp.md#messages

#include "scp/detail/channel_machine.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"

#include <algorithm>

namespace sealine::scp {

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

std::size_t ChannelEnd::Machine::poll_transmit(MutableBytes out, TimePoint now) {
  SEALINE_ASSERT(out.size() >= kMaxWireMessageBytes);
  std::size_t written = 0;
  if (handshake && handshake->has_transmit()) {
    written = handshake->poll_transmit(out);
    if (link) handshake.reset();
  }
  if (state != State::confirming && state != State::handshake && link) {
    while (out.size() - written >= kMaxWireMessageBytes) {
      const std::size_t one = write_next(out.subspan(written));
      if (one == 0) break;
      written += one;
    }
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
std::size_t ChannelEnd::Machine::write_next(MutableBytes out) {
  if (state == State::draining && !close_due) return 0;
  if (confirmation_due) {
    confirmation_due = false;
    confirmed = true;
    return write_receipt(out);
  }
  if (resume_due) {
    const ByteArray<41> body = *resume_due;
    resume_due.reset();
    return write(Type::data, body, {}, out);
  }
  if (receipt_due || (book.is_due() && state != State::draining)) return write_receipt(out);
  if (close_due) {
    const auto code = static_cast<std::uint8_t>(*close_due);
    if (!pending_outcome) pending_outcome = Outcome{.code = *close_due};
    close_due.reset();
    state = State::draining;
    return write(Type::close, ByteView(&code, 1), {}, out);
  }
  if (state != State::open && state != State::closing) return 0;

  switch (rotation.step) {
    case Rotation::Step::idle:
      if (role == Link::Role::client &&
          (rotation_wanted || link->payload_sent() >= limits.rotate_bytes ||
           link->payload_received() >= limits.rotate_bytes)) {
        rotation_wanted = false;
        rotation.ours.emplace(crypto::KeyPair::generate(*engine, *rng));
        rotation.step = Rotation::Step::expect_response;
        return write(Type::init, rotation.ours->public_key.view(), {}, out);
      }
      break;
    case Rotation::Step::response_due: {
      const std::size_t size = write(Type::response, rotation.ours->public_key.view(), {}, out);
      rotation.ours.reset();
      link->switch_sending();
      rotation.step = Rotation::Step::expect_ack;
      return size;
    }
    case Rotation::Step::ack_due: {
      const std::size_t size = write(Type::ack, {}, {}, out);
      link->switch_sending();
      rotation = {};
      events.emplace_back(Rotated{link->rotations()});
      return size;
    }
    case Rotation::Step::init_due:
    case Rotation::Step::expect_response:
    case Rotation::Step::expect_ack:
      break;
  }
  return write_part(out);
}

std::size_t ChannelEnd::Machine::write(Type type, ByteView first, ByteView second,
                                       MutableBytes out) {
  const auto size = link->seal(type, first, second, out);
  if (!size) {
    finish(Code::internal, false, size.error());
    return 0;
  }
  return *size;
}

std::size_t ChannelEnd::Machine::write_receipt(MutableBytes out) {
  receipt_due = false;
  const ByteArray<8> n = be_bytes(book.due());
  book.on_written();
  return write(Type::ack, n, {}, out);
}

std::size_t ChannelEnd::Machine::write_part(MutableBytes out) {
  if (!part_open) {
    if (begun == outbox_base + outbox.size()) return 0;
    ++begun;
    part_open = true;
    part_offset = 0;
  }
  const auto index = static_cast<std::size_t>(begun - 1 - outbox_base);
  if (outbox.kind(index) == MessageQueue::Kind::end) {
    part_open = false;
    const auto kind = static_cast<std::uint8_t>(DataKind::end);
    return write(Type::data, ByteView(&kind, 1), {}, out);
  }
  const ByteView rest = outbox[index].subspan(part_offset);
  const bool last = rest.size() <= kPartBytes;
  const ByteView data = rest.first(std::min(rest.size(), kPartBytes));
  const auto kind = static_cast<std::uint8_t>(last ? DataKind::last : DataKind::part);
  part_offset += data.size();
  if (last) part_open = false;
  return write(Type::data, ByteView(&kind, 1), data, out);
}

}  // namespace sealine::scp
