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

namespace {

constexpr std::size_t kMaxInitBytes = 2 + 5;
/// INIT, message id, offset.
constexpr std::size_t kMaxPrefixBytes = kMaxInitBytes + (2 * wire::kMaxVarintBytes);
constexpr std::size_t kControlBytes = 2048;  ///< of one control frame's plaintext
constexpr std::size_t kPaddingTailBytes = 2;
/// No frame is begun in less: the largest one of control messages, padded or not.
constexpr std::size_t kMinRoomBytes = 4096 + kMaxFrameOverheadBytes;

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

// PayLen that a payload of `bytes` is filled up to.
std::size_t padded_payload(Padding padding, std::size_t bytes) {
  switch (padding) {
    case Padding::none:
      return bytes;
    case Padding::fixed_128:
      return 128;
    case Padding::fixed_256:
      return 256;
    case Padding::fixed_512:
      return 512;
    case Padding::fixed_1024:
      return 1024;
    case Padding::full:
      break;
  }
  return std::max<std::size_t>(128, std::bit_ceil(bytes));
}

// The most plaintext that a frame takes under a padding policy, its tail not counted.
std::size_t plaintext_limit(const SessionConfig& config) {
  const std::size_t tag = kMinPayloadBytes;
  switch (config.padding) {
    case Padding::none:
      return config.limits.frame_bytes;
    case Padding::fixed_128:
      return 128 - tag - kPaddingTailBytes;
    case Padding::fixed_256:
      return 256 - tag - kPaddingTailBytes;
    case Padding::fixed_512:
      return 512 - tag - kPaddingTailBytes;
    case Padding::fixed_1024:
      return 1024 - tag - kPaddingTailBytes;
    case Padding::full:
      break;
  }
  return 65536 - tag - kPaddingTailBytes;
}

}  // namespace

std::size_t Session::Machine::put_frame(FrameHead head, ByteView prefix, ByteView body,
                                        MutableBytes out, TimePoint now) {
  if (sending.advance(now)) {
    events.emplace_back(KeysRotated{.sender = role, .epoch = sending.epoch()});
  }
  head.session_id = id;
  head.number = next_sent++;
  const std::size_t plaintext_bytes = prefix.size() + body.size();
  if (config.padding != Padding::none) {
    head.flags |= flag::kPadded;
    const std::size_t least = plaintext_bytes + kPaddingTailBytes + kMinPayloadBytes;
    const std::size_t payload = padded_payload(config.padding, least);
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
  return sending.keys().seal(head, prefix, body, out);
}

std::size_t Session::Machine::put_close(MutableBytes out, TimePoint now) {
  std::array<std::uint8_t, kControlBytes> body{};
  ControlWriter writer(MutableBytes(body).first(std::min(body.size(), plaintext_limit(config))));
  if (!writer.put(CloseMessage{.code = closing->code, .reason = closing->reason})) {
    SEALINE_ASSERT(writer.put(CloseMessage{.code = closing->code, .reason = {}}));
  }
  closing.reset();
  state = SessionState::closed;
  return put_frame({.type = FrameType::control}, {}, writer.finish(), out, now);
}

std::size_t Session::Machine::put_control(MutableBytes out, TimePoint now) {
  std::array<std::uint8_t, kControlBytes> body{};
  ControlWriter writer(MutableBytes(body).first(std::min(body.size(), plaintext_limit(config))));
  // A rotation comes first, so that it always fits; what does not fit waits for the next frame.
  if (const auto rotate = sending.poll(now)) SEALINE_ASSERT(writer.put(*rotate));
  if (rotated_due && writer.put(*rotated_due)) rotated_due.reset();
  if (pong_due && writer.put(Pong{*pong_due})) pong_due.reset();
  if (ping_due && writer.put(Ping{*ping_due})) {
    ping = {.nonce = *ping_due, .at = now};
    ping_due.reset();
  }
  if (session_credit_due && writer.put(SessionCredit{receive_credit.next_limit()})) {
    receive_credit.grant(now, round_trip);
    session_credit_due = false;
  }
  if (writer.count() == 0) return 0;
  return put_frame({.type = FrameType::control}, {}, writer.finish(), out, now);
}

std::size_t Session::Machine::put_stream_control(MutableBytes out, TimePoint now) {
  while (!control_due.empty()) {
    const StreamId subject = control_due.front();
    control_due.pop_front();
    Stream* stream = find(subject);
    if (stream == nullptr) continue;

    Prefix prefix;
    if (stream->needs_init) prefix.init(stream->options);
    std::array<std::uint8_t, kControlBytes> body{};
    const std::size_t most = plaintext_limit(config) - prefix.view().size();
    ControlWriter writer(MutableBytes(body).first(std::min(body.size(), most)));
    if (stream->credit_due && writer.put(Credit{stream->receive_credit.next_limit()})) {
      stream->receive_credit.grant(now, round_trip);
      stream->credit_due = false;
    }
    if (stream->reset_due && writer.put(*stream->reset_due)) stream->reset_due.reset();
    if (stream->stop_due && writer.put(*stream->stop_due)) stream->stop_due.reset();
    if (stream->abandon_due && writer.put(Abandon{*stream->abandon_due})) {
      stream->abandon_due.reset();
    }
    if (stream->blocked_due && writer.put(Blocked{stream->send_credit.limit()})) {
      stream->blocked_due = false;
    }
    if (writer.count() == 0) continue;
    FrameHead head{.type = FrameType::stream_control, .stream = subject};
    if (stream->needs_init) head.flags = flag::kInit;
    stream->needs_init = false;
    const std::size_t length = put_frame(head, prefix.view(), writer.finish(), out, now);
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

std::size_t Session::Machine::put_data(MutableBytes out, TimePoint now) {
  if (sending.must_stop(now)) return 0;
  while (Stream* stream = next_of_schedule()) {
    // A turn is one full frame, or several small ones: nothing of it is left over for a crumb.
    if (stream->deficit == 0) stream->deficit = plaintext_limit(config) - kMaxPrefixBytes;
    const std::size_t length = put_data_of(*stream, out, now);
    if (length > 0) return length;
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
  const std::size_t most =
      std::min(plaintext_limit(config), out.size() - kMaxFrameOverheadBytes) - kMaxPrefixBytes;
  const bool is_ordered = stream.options.mode == StreamMode::ordered;
  const std::size_t room = is_ordered ? std::min(most, stream.deficit) : most;
  const auto credit = std::min(stream.send_credit.left(), send_credit.left());
  const std::optional<Outgoing> next = stream.sending.next(room, credit);
  if (!next) return 0;

  Prefix prefix;
  FrameHead head{.type = FrameType::data, .stream = stream.id};
  if (stream.needs_init) {
    prefix.init(stream.options);
    head.flags |= flag::kInit;
  }
  if (!is_ordered) prefix.varint(next->id);
  prefix.varint(next->offset);
  if (next->fin) head.flags |= flag::kFin;
  if (next->message_end) head.flags |= flag::kMessageEnd;
  const std::size_t length = put_frame(head, prefix.view(), next->bytes, out, now);

  stream.needs_init = false;
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
  SEALINE_ASSERT(out.size() >= kMinRoomBytes);
  return machine_->fill(out, now);
}

}  // namespace sealine::stt
