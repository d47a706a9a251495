#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/stt/session.hpp"
#include "sealine/wire/varint.hpp"
#include "stt/detail/session_machine.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace sealine::stt {

using detail::Outgoing;
using detail::SentFrame;
namespace carried = detail::carried;

namespace {

constexpr std::size_t kMaxInitBytes = 2 + 5;
/// INIT, message id, offset.
constexpr std::size_t kMaxPrefixBytes = kMaxInitBytes + (2 * wire::kMaxVarintBytes);
constexpr std::size_t kPaddingTailBytes = 2;
/// No frame is begun in less: the largest one of control messages, padded or not.
constexpr std::size_t kMinRoomBytes = 4096 + kMaxFrameOverheadBytes;
constexpr std::uint64_t kStreamWindows = 4;  ///< in the session's window, as at the beginning

/// A prefix that is written into a place of its own.
class Prefix {
 public:
  void init(const StreamOptions& options) {
    writer_.be(static_cast<std::uint8_t>(options.mode)).be(options.priority);
    wire::put_varint(writer_, options.deadline_ms);
  }

  void varint(std::uint64_t value) { wire::put_varint(writer_, value); }

  [[nodiscard]] ByteView view() const { return ByteView(bytes_).first(writer_.used()); }

 private:
  std::array<std::uint8_t, kMaxPrefixBytes> bytes_{};
  Writer writer_{bytes_};
};

// PayLen of every frame under a policy of one size; 0: there is none.
std::size_t fixed_payload(Padding padding) {
  switch (padding) {
    case Padding::fixed_128:
      return 128;
    case Padding::fixed_256:
      return 256;
    case Padding::fixed_512:
      return 512;
    case Padding::fixed_1024:
      return 1024;
    case Padding::none:
    case Padding::full:
      break;
  }
  return 0;
}

// PayLen that a payload of `bytes` is filled up to; `most`: what there is room for.
std::size_t padded_payload(const SessionConfig& config, std::size_t bytes, std::size_t most) {
  if (config.padding != Padding::full) return fixed_payload(config.padding);
  if (config.transport == Transport::udp) return most;
  return std::max<std::size_t>(128, std::bit_ceil(bytes));
}

// The most plaintext that a frame takes under a padding policy, its tail not counted.
std::size_t plaintext_limit(const SessionConfig& config) {
  if (config.padding == Padding::none) return config.limits.frame_bytes;
  const std::size_t payload =
      config.padding == Padding::full ? 65536 : fixed_payload(config.padding);
  return payload - kMinPayloadBytes - kPaddingTailBytes;
}

}  // namespace

// A message of mode unreliable is one frame, on UDP one datagram of this path.
std::size_t Session::Machine::largest_unreliable() const noexcept {
  const std::size_t most = plaintext_limit(config) - kMaxPrefixBytes;
  if (!is_udp()) return most;
  const std::size_t around = kMaxFrameOverheadBytes + kMaxPrefixBytes + kPaddingTailBytes;
  return std::min(most, datagrams->mtu.bytes() - around);
}

// What a frame's payload may have in `out`, its tag included.
std::size_t Session::Machine::payload_room(const FrameHead& head, MutableBytes out) const noexcept {
  FrameHead worst = head;
  worst.number = next_sent;
  worst.payload_bytes = static_cast<std::uint32_t>(std::min(out.size(), kMaxPayloadBytes));
  worst.epoch = sending.epoch() + 1;
  const std::size_t around = header_bytes(worst) + meta_bytes(worst);
  return out.size() <= around ? 0 : std::min(out.size() - around, kMaxPayloadBytes);
}

// What a frame's plaintext may have there, padding left out.
std::size_t Session::Machine::plaintext_room(const FrameHead& head,
                                             MutableBytes out) const noexcept {
  const std::size_t around =
      kMinPayloadBytes + (config.padding == Padding::none ? 0 : kPaddingTailBytes);
  const std::size_t room = payload_room(head, out);
  if (room < fixed_payload(config.padding)) return 0;
  return room <= around ? 0 : std::min(room - around, plaintext_limit(config));
}

// The least room in which a frame is begun: `bytes`, or the one size of them all.
std::size_t Session::Machine::least_room(std::size_t bytes) const noexcept {
  return std::max(bytes, fixed_payload(config.padding) + kMaxFrameOverheadBytes);
}

std::size_t Session::Machine::put_frame(FrameHead head, const Content& content, MutableBytes out,
                                        TimePoint now) {
  if (sending.advance(now)) {
    events.emplace_back(KeysRotated{.sender = role, .epoch = sending.epoch()});
  }
  head.session_id = id;
  head.number = next_sent++;
  const std::size_t plaintext_bytes = content.prefix.size() + content.body.size();
  ByteView prefix = content.prefix;
  ByteView body = content.body;
  if (config.padding != Padding::none || content.fills_room) {
    head.flags |= flag::kPadded;
    const std::size_t least = plaintext_bytes + kPaddingTailBytes + kMinPayloadBytes;
    const std::size_t most = payload_room(head, out);
    const std::size_t payload =
        content.fills_room ? most : std::max(least, padded_payload(config, least, most));
    padded.assign(payload - kMinPayloadBytes, 0);
    Writer writer(padded);
    writer.bytes(prefix).bytes(body).zeros(payload - least);
    writer.be(static_cast<std::uint16_t>(payload - least));
    SEALINE_ASSERT(writer.used() == padded.size());
    prefix = {};
    body = padded;
  }
  sending.count(plaintext_bytes);
  ++statistics.frames_sent;
  const std::size_t length = sending.keys().seal(head, prefix, body, out);
  if (is_udp()) {
    const bool is_reliable = (head.flags & flag::kReliable) != 0;
    datagrams->recovery.handle_sent(head.number, length, is_reliable, content.sent, now);
  }
  return length;
}

std::size_t Session::Machine::put_close(MutableBytes out, TimePoint now) {
  ByteArray<kControlBytes> body;
  const FrameHead head{.type = FrameType::control};
  ControlWriter writer(MutableBytes(body).first(std::min(body.size(), plaintext_room(head, out))));
  if (!writer.put(CloseMessage{.code = closing->code, .reason = closing->reason})) {
    SEALINE_ASSERT(writer.put(CloseMessage{.code = closing->code, .reason = {}}));
  }
  closing.reset();
  state = SessionState::closed;
  return put_frame(head, {.body = writer.finish()}, out, now);
}

// Beside a rotation.
bool Session::Machine::has_control_due(TimePoint now) const noexcept {
  if (rotated_due || pong_due || ping_due || session_credit_due) return true;
  if (!is_udp()) return false;
  return datagrams->response_due || datagrams->ack_frequency_due ||
         datagrams->received.is_ack_due(now);
}

std::size_t Session::Machine::put_control(MutableBytes out, TimePoint now) {
  const auto rotate = sending.poll(now);
  if (!rotate && !has_control_due(now)) return 0;
  ByteArray<kControlBytes> body;
  FrameHead head{.type = FrameType::control};
  ControlWriter writer(MutableBytes(body).first(std::min(body.size(), plaintext_room(head, out))));
  SentFrame sent;
  const auto put = [&](const ControlMessage& message, std::uint16_t bit) {
    if (!writer.put(message)) return false;
    sent.carried |= bit;
    return true;
  };
  // A rotation comes first, so that it always fits; what does not fit waits for the next frame.
  if (rotate) SEALINE_ASSERT(put(*rotate, carried::kRotate));
  if (rotated_due && put(*rotated_due, carried::kRotated)) rotated_due.reset();
  if (is_udp() && datagrams->response_due && put(*datagrams->response_due, 0)) {
    datagrams->response_due.reset();
  }
  if (is_udp() && datagrams->ack_frequency_due) {
    const Duration delay = detail::ReceivedPackets::delay_for(round_trip_now());
    const AckFrequency wish{
        .packets = datagrams->acks_every,
        .max_delay_us = static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(delay).count())};
    datagrams->ack_delay_asked = std::chrono::microseconds(wish.max_delay_us);
    datagrams->ack_frequency_due = !put(wish, carried::kAckFrequency);
  }
  if (pong_due && put(Pong{*pong_due}, 0)) pong_due.reset();
  if (ping_due && put(Ping{*ping_due}, carried::kPing)) {
    ping = {.nonce = *ping_due, .at = now};
    ping_due.reset();
  }
  if (session_credit_due &&
      put(SessionCredit{receive_credit.next_limit()}, carried::kSessionCredit)) {
    receive_credit.grant(now, round_trip_now());
    session_credit_due = false;
  }
  if (is_udp()) {
    // Only an ACK, or a CLOSE, goes without being acknowledged itself.
    if (writer.count() > 0) head.flags |= flag::kReliable;
    if (writer.count() > 0 || datagrams->received.is_ack_due(now)) add_ack(writer, sent, now);
  }
  if (writer.count() == 0) return 0;
  return put_frame(head, {.body = writer.finish(), .sent = sent}, out, now);
}

std::size_t Session::Machine::put_stream_control(MutableBytes out, TimePoint now) {
  while (!control_due.empty()) {
    const StreamId subject = control_due.front();
    control_due.pop_front();
    Stream* stream = find(subject);
    if (stream == nullptr) continue;

    FrameHead head{.type = FrameType::stream_control, .stream = subject};
    SentFrame sent{.stream = subject, .has_init = stream->needs_init};
    Prefix prefix;
    if (stream->needs_init) {
      prefix.init(stream->options);
      head.flags |= flag::kInit;
    }
    ByteArray<kControlBytes> body;
    const std::size_t most = plaintext_room(head, out) - prefix.view().size();
    ControlWriter writer(MutableBytes(body).first(std::min(body.size(), most)));
    const auto put = [&](const ControlMessage& message, std::uint16_t bit) {
      if (!writer.put(message)) return false;
      sent.carried |= bit;
      return true;
    };
    if (stream->credit_due && put(Credit{stream->receive_credit.next_limit()}, carried::kCredit)) {
      stream->receive_credit.grant(now, round_trip_now());
      stream->credit_due = false;
      // What one stream holds unread must leave the others enough that a grant becomes due again.
      receive_credit.widen(kStreamWindows * stream->receive_credit.window());
      session_credit_due = session_credit_due || receive_credit.is_due();
    }
    if (stream->reset.is_due() && put(stream->reset.message(), carried::kReset)) {
      stream->reset.handle_sent(is_udp());
    }
    if (stream->stop.is_due() && put(stream->stop.message(), carried::kStop)) {
      stream->stop.handle_sent(is_udp());
    }
    if (stream->abandon.is_due() && put(stream->abandon.message(), carried::kAbandon)) {
      sent.offset = stream->abandon.message().up_to;
      stream->abandon.handle_sent(is_udp());
    }
    if (stream->blocked_due && put(Blocked{stream->send_credit.limit()}, 0)) {
      stream->blocked_due = false;
    }
    if (writer.count() == 0) continue;
    if (is_udp()) head.flags |= flag::kReliable;
    if (!is_udp()) stream->needs_init = false;
    const std::size_t length =
        put_frame(head, {.prefix = prefix.view(), .body = writer.finish(), .sent = sent}, out, now);
    forget_if_over(*stream);
    return length;
  }
  return 0;
}

// Whose turn it is: the highest priority first, and within it each stream in turn.
Session::Machine::Stream* Session::Machine::next_of_schedule() {
  while (!schedule.empty()) {
    auto& turns = schedule.begin()->second;
    if (turns.empty()) {
      schedule.erase(schedule.begin());
      continue;
    }
    Stream* stream = find(turns.front());
    if (stream != nullptr && stream->sending.has_waiting()) return stream;
    if (stream != nullptr) stream->is_queued = false;
    turns.pop_front();
  }
  return nullptr;
}

void Session::Machine::end_turn(Stream& stream, bool goes_on) {
  auto& turns = schedule.begin()->second;
  turns.pop_front();
  stream.deficit = 0;
  stream.is_queued = goes_on;
  if (goes_on) turns.push_back(stream.id);
}

// A turn is one full frame of WebSocket or some datagrams, or several small frames.
std::size_t Session::Machine::turn_bytes() const noexcept {
  return is_udp() ? 4 * datagrams->mtu.bytes() : plaintext_limit(config) - kMaxPrefixBytes;
}

std::size_t Session::Machine::put_data(MutableBytes out, TimePoint now) {
  if (sending.must_stop(now)) return 0;
  while (Stream* stream = next_of_schedule()) {
    if (stream->deficit == 0) stream->deficit = turn_bytes();
    const std::size_t length = put_data_of(*stream, out, now);
    if (length > 0) return length;
    if (stream->options.mode == StreamMode::unreliable && stream->sending.has_waiting()) {
      // One frame or nothing: it waits for a datagram of its own, and goes if that is too small.
      if (!is_udp() || out.size() < datagrams->mtu.bytes()) return 0;
      stream->sending.drop_message();
      continue;
    }
    // Nothing that credit or room allows: woken again by CREDIT.
    if (stream->sending.is_blocked(stream->send_credit.left()) &&
        stream->send_credit.take_blocked()) {
      stream->blocked_due = true;
      control_due.push_back(stream->id);
    }
    end_turn(*stream, false);
  }
  return 0;
}

std::size_t Session::Machine::put_data_of(Stream& stream, MutableBytes out, TimePoint now) {
  FrameHead head{.type = FrameType::data, .stream = stream.id};
  Prefix prefix;
  if (stream.needs_init) {
    prefix.init(stream.options);
    head.flags |= flag::kInit;
  }
  const std::size_t least = prefix.view().size() + (2 * wire::kMaxVarintBytes);
  const std::size_t space = plaintext_room(head, out);
  if (space <= least) return 0;
  const bool is_ordered = stream.options.mode == StreamMode::ordered;
  // On WebSocket the frame ends with the turn: nothing of it is left over for a crumb.
  const bool ends_with_turn = is_ordered && !is_udp();
  const std::size_t most =
      ends_with_turn ? std::min(space - least, stream.deficit) : space - prefix.view().size() - 2;
  const auto credit = std::min(stream.send_credit.left(), send_credit.left());
  std::optional<Outgoing> next = stream.sending.next(most, credit);
  if (!next) return 0;

  if (!is_ordered) prefix.varint(next->id);
  prefix.varint(next->offset);
  if (const std::size_t room = space - prefix.view().size(); next->bytes.size() > room) {
    next = stream.sending.next(room, credit);
    if (!next) return 0;
  }
  if (next->fin) head.flags |= flag::kFin;
  if (next->message_end) head.flags |= flag::kMessageEnd;
  if (is_udp()) head.flags |= flag::kReliable;
  const SentFrame sent{.stream = stream.id,
                       .is_data = true,
                       .has_init = stream.needs_init,
                       .fin = next->fin,
                       .message_end = next->message_end,
                       .bytes = static_cast<std::uint32_t>(next->bytes.size()),
                       .message = next->id,
                       .offset = next->offset};
  const std::size_t length =
      put_frame(head, {.prefix = prefix.view(), .body = next->bytes, .sent = sent}, out, now);

  if (!is_udp()) stream.needs_init = false;
  stream.send_credit.use(next->credit);
  send_credit.use(next->credit);
  stream.deficit -= std::min(stream.deficit, next->bytes.size() + 1);
  stream.sending.sent(*next);
  const bool goes_on = stream.sending.has_waiting();
  if (stream.deficit == 0 || !goes_on) end_turn(stream, goes_on);
  if (stream.wants_writable &&
      2 * stream.sending.writable_bytes() >= config.limits.send_buffer_bytes) {
    stream.wants_writable = false;
    events.emplace_back(StreamWritable{stream.id});
  }
  forget_if_over(stream);
  return length;
}

std::size_t Session::Machine::fill(MutableBytes out, TimePoint now) {
  rings.watch(now);
  std::size_t used = 0;
  const auto room = [&] { return out.subspan(used); };
  while (used < config.limits.frame_bytes && room().size() >= kMinRoomBytes) {
    if (closing) return used + put_close(room(), now);
    if (state == SessionState::closed) break;
    std::size_t length = put_control(room(), now);
    if (length == 0) length = put_stream_control(room(), now);
    if (length == 0) length = put_data(room(), now);
    if (length == 0) break;
    used += length;
  }
  return used;
}

std::size_t Session::poll_transmit(MutableBytes out, TimePoint now) {
  if (machine_->is_udp()) return machine_->fill_datagram(out, now).bytes;
  SEALINE_ASSERT(out.size() >= kMinRoomBytes);
  return machine_->fill(out, now);
}

}  // namespace sealine::stt
