// Bytes to messages: what a channel does with what comes. spec: scp.md#messages

#include "scp/detail/channel_machine.hpp"
#include "sealine/base/reader.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/kdf.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace sealine::scp {
namespace {

constexpr std::size_t kTurnBytes =
    std::size_t{256} * 1024;  // a receipt goes out at least once for so much

// The code of a fault in a head, a MAC or a tag.
Code code_of(Errc error) {
  if (error == Errc::version_refused) return Code::version;
  if (error == Errc::record_out_of_place) return Code::sequence;
  if (error == Errc::bad_length) return Code::too_large;
  if (error == Errc::mac_mismatch) return Code::authentication;
  if (error == Errc::record_not_authentic) return Code::decrypt;
  return Code::protocol;
}

}  // namespace

std::size_t ChannelEnd::Machine::handle_bytes(MutableBytes in, TimePoint now) {
  std::size_t consumed = 0;
  if (state == State::handshake) {
    consumed = handle_handshake(in, now);
    if (state == State::handshake) return consumed;
  }
  accepted_in_turn = 0;
  while (takes_messages() && accepted_in_turn < kTurnBytes) {
    const MutableBytes rest = in.subspan(consumed);
    std::array<Arrived, kRunMessages> run;
    const std::size_t count = link->verify(rest, run);
    if (count == 0) {
      if (rest.size() < kHeadBytes) return consumed;
      const auto head = link->check_head(rest.first<kHeadBytes>());
      if (head) return consumed;
      connection_fault(code_of(head.error().code), head.error(), now);
      return in.size();
    }
    consumed += handle_run(rest, std::span(run).first(count), now);
  }
  // What comes behind a CLOSE, ours or theirs, is read and dropped.
  const bool open = state == State::open || state == State::confirming || state == State::closing;
  return open ? consumed : in.size();
}

bool ChannelEnd::Machine::takes_messages() const noexcept {
  return link && (state == State::open || state == State::confirming || state == State::closing);
}

// As if each had come alone: none is opened behind a fault, behind a CLOSE, or in the next turn.
std::size_t ChannelEnd::Machine::handle_run(MutableBytes in, std::span<const Arrived> run,
                                            TimePoint now) {
  std::size_t consumed = 0;
  for (const Arrived& arrived : run) {
    if (!takes_messages() || accepted_in_turn >= kTurnBytes) break;
    const std::size_t plaintext_bytes = arrived.head.payload_bytes - crypto::kTagBytes;
    // DATA is opened where it is kept, unless it goes on with a message, or may not be kept at all.
    const bool may_be_kept = arrived.head.type == Type::data && !in_parts && plaintext_bytes > 0;
    const auto plaintext =
        link->open(arrived, in.subspan(consumed, arrived.head.message_bytes()),
                   may_be_kept ? inbox.reserve(plaintext_bytes) : MutableBytes{});
    if (!plaintext) {
      connection_fault(code_of(plaintext.error().code), plaintext.error(), now);
      return in.size();
    }
    consumed += arrived.head.message_bytes();
    accepted_in_turn += arrived.head.payload_bytes;
    heard(now);
    handle_message(arrived.head.type, *plaintext, now);
  }
  return consumed;
}

std::size_t ChannelEnd::Machine::handle_handshake(MutableBytes in, TimePoint now) {
  std::size_t consumed = 0;
  const auto progress = handshake->handle_bytes(in, consumed);
  if (!progress) {
    connection_fault(Code::authentication, progress.error(), now);
    return in.size();
  }
  if (*progress == Progress::key_shown) {
    if (!confirmed) {
      peer = handshake->peer();
      events.emplace_back(KeyShown{*peer.key});
    } else if (handshake->peer() == peer) {
      // A channel goes on with the key it began with, and with no other.
      accept_peer_key(now);
    } else {
      finish(Code::authentication, false, {Errc::peer_key_changed});
    }
  }
  if (*progress == Progress::done) finish_handshake(now);
  return consumed;
}

void ChannelEnd::Machine::handle_message(Type type, ByteView plaintext, TimePoint now) {
  if (state == State::confirming) return handle_confirmation(type, plaintext, now);
  // A client that does not rotate leaves its keys in use for too long.
  if (role == Link::Role::server &&
      std::max(link->payload_received(), link->payload_sent()) >= 2 * limits.rotate_bytes) {
    return fault(Code::protocol, {Errc::protocol_broken}, now);
  }
  switch (type) {
    case Type::data:
      return handle_data(plaintext, now);
    case Type::ack:
      return handle_ack(plaintext, now);
    case Type::init:
      return handle_rotation_init(plaintext, now);
    case Type::response:
      return handle_rotation_response(plaintext, now);
    case Type::close:
      return handle_close(plaintext, now);
  }
}

// The server's first message to a client that may reconnect: ACK{0} on a new channel; RESUME, if
// asked.
void ChannelEnd::Machine::handle_confirmation(Type type, ByteView plaintext, TimePoint now) {
  if (type == Type::close) return handle_close(plaintext, now);
  if (confirmed) {
    const bool is_resume = type == Type::data && plaintext.size() == 41 &&
                           plaintext[0] == static_cast<std::uint8_t>(DataKind::resume);
    if (!is_resume || !handle_resumed(plaintext.subspan(1), now)) {
      return fault(is_resume ? Code::unknown_channel : Code::protocol, {Errc::protocol_broken},
                   now);
    }
    return;
  }
  const bool is_first_ack =
      type == Type::ack && plaintext.size() == 8 &&
      std::ranges::all_of(plaintext, [](std::uint8_t byte) { return byte == 0; });
  if (!is_first_ack) return fault(Code::protocol, {Errc::protocol_broken}, now);
  confirmed = true;
  become_open(false, now);
}

bool ChannelEnd::Machine::handle_resumed(ByteView body, TimePoint now) {
  Reader reader(body);
  const std::uint64_t have = reader.be<std::uint64_t>().value_or(0);
  ByteArray<32> proof{};
  crypto::labelled(*engine, resume_key.expose(), "scp1 resume s", link->handshake_hash(), proof);
  if (!crypto::ct_equal(proof, reader.rest()) || !rewind_to(have)) return false;
  receipt_due = true;
  become_open(true, now);
  return true;
}

void ChannelEnd::Machine::handle_data(ByteView plaintext, TimePoint now) {
  if (plaintext.empty()) return fault(Code::protocol, {Errc::protocol_broken}, now);
  const ByteView data = plaintext.subspan(1);
  switch (static_cast<DataKind>(plaintext[0])) {
    case DataKind::last:
      return handle_part(true, data, now);
    case DataKind::part:
      return handle_part(false, data, now);
    case DataKind::pad:
      return;
    case DataKind::end:
      if (!data.empty() || in_parts || end_received) break;
      if (!book.may_begin()) return fault(Code::too_large, {Errc::message_too_large}, now);
      end_received = true;
      inbox.push({}, MessageQueue::Kind::end);
      book.on_whole(0, inbox);
      events.emplace_back(PeerEnded{});
      return close_if_both_ended(now);
    case DataKind::resume:
      break;
  }
  fault(Code::protocol, {Errc::protocol_broken}, now);
}

void ChannelEnd::Machine::handle_part(bool last, ByteView data, TimePoint now) {
  const bool wrong_size =
      last ? data.size() > kPartBytes || (in_parts && data.empty()) : data.size() != kPartBytes;
  if (end_received || wrong_size) return fault(Code::protocol, {Errc::protocol_broken}, now);
  if (!in_parts && !book.may_begin()) return fault(Code::too_large, {Errc::message_too_large}, now);
  const std::size_t so_far = in_parts ? inbox.open_bytes() : 0;
  if (so_far + data.size() > limits.max_message_bytes) {
    return fault(Code::too_large, {Errc::message_too_large}, now);
  }
  if ((!in_parts && !message_rate.take(1, now)) || !byte_rate.take(data.size(), now)) {
    return fault(Code::rate_limited, {Errc::too_many_messages}, now);
  }
  if (in_parts) {
    inbox.append_open(data);
  } else {
    inbox.keep_open(1 + data.size());  // opened there already
  }
  in_parts = !last;
  if (!last) return;
  inbox.finish_open();
  book.on_whole(so_far + data.size(), inbox);
  if (events.empty() || !std::holds_alternative<MessageReady>(events.back()))
    events.emplace_back(MessageReady{});
}

void ChannelEnd::Machine::handle_ack(ByteView plaintext, TimePoint now) {
  if (plaintext.empty()) {
    if (role != Link::Role::server || rotation.step != Rotation::Step::expect_ack) {
      return fault(Code::protocol, {Errc::protocol_broken}, now);
    }
    link->switch_receiving();
    rotation = {};
    timers.set(Timer::rotation, now + 2 * limits.rotate_after);
    events.emplace_back(Rotated{link->rotations()});
    return;
  }
  Reader reader(plaintext);
  const auto n = reader.be<std::uint64_t>();
  if (!n || !reader.finish() || *n < outbox_base || *n > begun - (part_open ? 1 : 0)) {
    return fault(Code::protocol, {Errc::protocol_broken}, now);
  }
  if (*n == outbox_base) return;
  while (outbox_base < *n) {
    outbox.pop_front();
    ++outbox_base;
  }
  if (events.empty() || !std::holds_alternative<Receipts>(events.back()))
    events.emplace_back(Receipts{});
  std::get<Receipts>(events.back()).up_to = outbox_base;
  if (state == State::closing && outbox.empty()) close_due = Code::normal;
  close_if_both_ended(now);
}

void ChannelEnd::Machine::handle_rotation_init(ByteView plaintext, TimePoint now) {
  if (role != Link::Role::server || rotation.step != Rotation::Step::idle ||
      plaintext.size() != 32) {
    return fault(Code::protocol, {Errc::protocol_broken}, now);
  }
  std::ranges::copy(plaintext, rotation.theirs.bytes.begin());
  rotation.ours.emplace(crypto::KeyPair::generate(*engine, *rng));
  crypto::SharedSecret x;
  if (!engine->x25519(rotation.ours->secret.expose(), rotation.theirs.view(), x.writable())) {
    return fault(Code::protocol, {Errc::dh_all_zero}, now);
  }
  link->prepare_rotation(rotation.theirs, rotation.ours->public_key, x);
  rotation.step = Rotation::Step::response_due;
}

void ChannelEnd::Machine::handle_rotation_response(ByteView plaintext, TimePoint now) {
  if (rotation.step != Rotation::Step::expect_response || plaintext.size() != 32) {
    return fault(Code::protocol, {Errc::protocol_broken}, now);
  }
  std::ranges::copy(plaintext, rotation.theirs.bytes.begin());
  crypto::SharedSecret x;
  if (!engine->x25519(rotation.ours->secret.expose(), rotation.theirs.view(), x.writable())) {
    return fault(Code::protocol, {Errc::dh_all_zero}, now);
  }
  link->prepare_rotation(rotation.ours->public_key, rotation.theirs, x);
  rotation.ours.reset();
  link->switch_receiving();
  rotation.step = Rotation::Step::ack_due;
  timers.set(Timer::rotation, now + limits.rotate_after);
}

void ChannelEnd::Machine::handle_close(ByteView plaintext, TimePoint now) {
  if (plaintext.size() != 1 || !is_wire_code(static_cast<Code>(plaintext[0]))) {
    return fault(Code::protocol, {Errc::protocol_broken}, now);
  }
  const auto code = static_cast<Code>(plaintext[0]);
  pending_outcome = Outcome{.code = code, .by_peer = true, .error = {errc_of(code)}};
  timers.cancel_all();
  timers.set(Timer::close_drain, now + limits.close_drain_timeout);
  receipt_due = true;
  state = State::answering;
}

}  // namespace sealine::scp
