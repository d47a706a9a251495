#include "sealine/base/reader.hpp"
#include "sealine/stt/session.hpp"
#include "sealine/wire/varint.hpp"
#include "stt/detail/session_machine.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace sealine::stt {

using detail::DataBody;
using detail::ReceiveStream;

namespace {

constexpr std::size_t kPaddingTailBytes = 2;
constexpr Duration kOldEpochTime = std::chrono::seconds(5);

// A PADDED plaintext ends with 0^p | BE16 p; what the filling holds is not looked at.
Result<ByteView> without_padding(const FrameHead& head, ByteView plaintext) {
  if ((head.flags & flag::kPadded) == 0) return plaintext;
  if (plaintext.size() < kPaddingTailBytes) return fail(Errc::protocol_broken);
  const ByteView tail = plaintext.last(kPaddingTailBytes);
  const std::size_t padding = (std::size_t{tail[0]} << 8U) + tail[1] + kPaddingTailBytes;
  if (padding > plaintext.size()) return fail(Errc::protocol_broken);
  return plaintext.first(plaintext.size() - padding);
}

// `mode u8 | prio u8 | deadline_ms varint` at the front of a body.
Result<StreamOptions> take_init(ByteView& body) {
  Reader reader(body);
  StreamOptions options;
  const auto mode = reader.be<std::uint8_t>();
  const auto priority = reader.be<std::uint8_t>();
  const auto deadline = wire::read_varint(reader);
  if (!mode || !priority || !deadline || *mode > 3 || *deadline > UINT32_MAX) {
    return fail(Errc::protocol_broken);
  }
  options.mode = static_cast<StreamMode>(*mode);
  options.priority = *priority;
  options.deadline_ms = static_cast<std::uint32_t>(*deadline);
  body = reader.rest();
  return options;
}

}  // namespace

Result<> Session::handle_datagram(MutableBytes datagram, TimePoint now) {
  return handle_datagram(datagram, Arrival{}, now);
}

Result<> Session::handle_datagram(MutableBytes datagram, const Arrival& from, TimePoint now) {
  Machine& m = *machine_;
  const bool may_drop = m.is_udp();
  if (may_drop) m.begin_datagram(from, datagram.size(), now);
  while (!datagram.empty() && !m.is_over()) {
    const auto frame = parse_frame(datagram);
    const auto handled =
        frame ? m.handle_frame(*frame, now) : Result<>(std::unexpected(frame.error()));
    if (!handled) {
      ++m.statistics.frames_dropped;
      if (may_drop) return {};
      m.events.emplace_back(SessionClosed{.code = static_cast<std::uint16_t>(CloseCode::protocol),
                                          .reason = {},
                                          .by_peer = false,
                                          .fault = handled.error()});
      m.state = SessionState::closed;
      return handled;
    }
    datagram = datagram.subspan(frame->frame_bytes);
  }
  return {};
}

// Errors are faults from before the tag verified, or frames to be dropped as if they had not come.
// What is wrong behind the tag only the peer can have made: it ends the session.
Result<> Session::Machine::handle_frame(const FrameView& frame, TimePoint now) {
  const FrameHead& head = frame.head;
  if (head.is_handshake()) return fail(Errc::wrong_state);
  if (head.session_id != id) return fail(Errc::bad_record_head);
  if (!is_expected(head.number)) return fail(Errc::record_out_of_place);
  EpochKeys* keys = receiving.keys(head.epoch, head.number);
  if (keys == nullptr) return fail(Errc::record_out_of_place);
  SEALINE_TRY(plaintext, keys->open(frame));

  const auto stripped = without_padding(head, plaintext);
  if (!stripped) {
    fail_with(CloseCode::protocol, stripped.error());
    return {};
  }
  ByteView body = *stripped;
  Stream* stream = nullptr;
  if (head.type != FrameType::control) {
    SEALINE_TRY(found, stream_of(head, body));
    stream = found;
  }
  if (is_over()) return {};
  if (head.type == FrameType::data && stream != nullptr) {
    SEALINE_TRY(handle_data(*stream, head, body));
  }
  record(head, now);
  if (is_over() || head.type == FrameType::data) return {};
  // A stream that is closed: read over.
  if (head.type == FrameType::control || stream != nullptr) {
    handle_control(head.type, stream, body, now);
  }
  return {};
}

// The frame counts: it was authentic, and what it says is taken.
void Session::Machine::record(const FrameHead& head, TimePoint now) {
  next_received = head.number + 1;
  ++statistics.frames_received;
  last_heard = now;
  std::optional<TimePoint> keep_old_until;
  if (is_udp()) {
    record_datagram(head, now);
    if (head.epoch != receiving.epoch()) {
      keep_old_until =
          now + std::max<Duration>(3 * datagrams->recovery.probe_timeout(), kOldEpochTime);
    }
  }
  if (receiving.handle_opened(head.epoch, head.number, keep_old_until)) {
    events.emplace_back(KeysRotated{.sender = other(role), .epoch = head.epoch});
  }
}

Result<Session::Machine::Stream*> Session::Machine::stream_of(const FrameHead& head,
                                                              ByteView& body) {
  const bool has_init = (head.flags & flag::kInit) != 0;
  const bool ours = is_ours(head.stream);
  const bool was_opened =
      ours ? (own_ids_used_up || head.stream < next_own) : seen_of_peer.test(head.stream / 2);
  if ((ours && has_init) || (ours && !was_opened)) {
    fail_with(CloseCode::stream, {Errc::protocol_broken, head.stream});
    return nullptr;
  }
  if (!was_opened && !has_init) return fail(Errc::wrong_state);
  StreamOptions options;
  if (has_init) {
    const auto parsed = take_init(body);
    if (!parsed) {
      fail_with(CloseCode::protocol, parsed.error());
      return nullptr;
    }
    options = *parsed;
  }
  if (was_opened) return find(head.stream);  // a later INIT is read over
  if (open_of_peer >= kMaxStreamsOfPeer) {
    fail_with(CloseCode::limit, {Errc::stream_limit, 0});
    return nullptr;
  }
  seen_of_peer.set(head.stream / 2);
  Stream& stream = add_stream(head.stream, options);
  events.emplace_back(StreamOpened{.stream = head.stream, .options = options});
  return &stream;
}

// The credit that a frame used, of its stream and of the session; a fault ends the session.
bool Session::Machine::take_credit(Stream& stream, const ReceiveStream::Added& added) {
  if (added.fault) {
    fail_with(added.fault->code, {Errc::protocol_broken, stream.id});
    return false;
  }
  if (!stream.receive_credit.use(added.credit) || !receive_credit.use(added.credit)) {
    fail_with(CloseCode::flow, {Errc::protocol_broken, stream.id});
    return false;
  }
  return true;
}

// Errors: what is dropped as if it had not come, for want of room. Other faults end the session.
Result<> Session::Machine::handle_data(Stream& stream, const FrameHead& head, ByteView body) {
  const auto data = detail::parse_data(stream.options.mode, head.flags, body);
  if (!data) {
    fail_with(CloseCode::protocol, data.error());
    return {};
  }
  // An empty DATA frame that opens a stream says nothing else.
  const std::uint64_t allowed = std::min(stream.receive_credit.left(), receive_credit.left());
  const bool was_readable = stream.receiving.is_readable();
  const ReceiveStream::Added added = stream.receiving.add(*data, allowed);
  if (added.is_dropped) return fail(Errc::window_full);
  if (!take_credit(stream, added)) return {};
  consume(stream);
  if (!was_readable && stream.receiving.is_readable()) {
    events.emplace_back(StreamReadable{stream.id});
  }
  if (stream.receiving.is_over()) forget_if_over(stream);
  return {};
}

void Session::Machine::handle_control(FrameType type, Stream* stream, ByteView body,
                                      TimePoint now) {
  ControlReader reader(type, body);
  while (!is_over()) {
    const auto message = reader.next();
    if (!message) {
      fail_with(CloseCode::protocol, message.error());
      return;
    }
    if (!*message) return;
    if (type == FrameType::control) {
      handle_session_message(**message, now);
      continue;
    }
    const StreamId subject = stream->id;
    handle_stream_message(*stream, **message);
    stream = find(subject);
    if (stream == nullptr) return;  // closed by it
  }
}

void Session::Machine::handle_session_message(const ControlMessage& message, TimePoint now) {
  if (const auto* question = std::get_if<Ping>(&message)) {
    pong_due = question->nonce;
  } else if (const auto* pong = std::get_if<Pong>(&message)) {
    if (ping && ping->nonce == pong->nonce) {
      round_trip = now - ping->at;
      ping.reset();
    }
  } else if (const auto* ack = std::get_if<Ack>(&message)) {
    handle_ack(*ack, now);
  } else if (const auto* grant = std::get_if<SessionCredit>(&message)) {
    send_credit.raise(grant->limit);
    for (auto& [stream_id, stream] : streams) wake(*stream);
  } else if (const auto* rotate = std::get_if<Rotate>(&message)) {
    const auto answer = receiving.handle_rotate(*rotate);
    if (!answer) {
      fail_with(CloseCode::keys, answer.error());
      return;
    }
    rotated_due = *answer;
  } else if (const auto* rotated = std::get_if<Rotated>(&message)) {
    const auto done = sending.handle_rotated(*rotated);
    if (!done) fail_with(CloseCode::keys, done.error());
  } else if (is_udp() && std::holds_alternative<PathChallenge>(message)) {
    datagrams->response_due = PathResponse{std::get<PathChallenge>(message).bytes};
  } else if (const auto* proof = std::get_if<PathResponse>(&message)) {
    if (is_udp()) handle_path_response(*proof, now);
  } else if (const auto* pace = std::get_if<AckFrequency>(&message)) {
    if (is_udp()) {
      datagrams->received.set_frequency(pace->packets,
                                        std::chrono::microseconds(pace->max_delay_us));
    }
  } else if (const auto* last = std::get_if<CloseMessage>(&message)) {
    end(last->code, std::string(last->reason), true,
        last->code == 0 ? Error{} : Error{Errc::aborted, last->code});
  }
}

void Session::Machine::handle_stream_message(Stream& stream, const ControlMessage& message) {
  if (const auto* grant = std::get_if<Credit>(&message)) {
    stream.send_credit.raise(grant->limit);
    wake(stream);
  } else if (const auto* blocked = std::get_if<Blocked>(&message)) {
    if (stream.receive_credit.next_limit() > blocked->at && !stream.credit_due) {
      stream.credit_due = true;
      control_due.push_back(stream.id);
    }
  } else if (const auto* reset = std::get_if<Reset>(&message)) {
    const std::uint64_t allowed = std::min(stream.receive_credit.left(), receive_credit.left());
    const bool had_all = stream.receiving.has_all();
    if (!take_credit(stream, stream.receiving.reset(reset->final_size, allowed))) return;
    consume(stream);
    if (!had_all) events.emplace_back(StreamReset{.stream = stream.id, .code = reset->code});
    forget_if_over(stream);
  } else if (const auto* stop = std::get_if<Stop>(&message)) {
    if (stream.sending.is_over()) return;
    stream.sending.reset();
    stream.reset.promise(Reset{.code = stop->code, .final_size = stream.send_credit.used()});
    control_due.push_back(stream.id);
    events.emplace_back(StreamStopped{.stream = stream.id, .code = stop->code});
  } else if (const auto* abandon = std::get_if<Abandon>(&message)) {
    const bool was_readable = stream.receiving.is_readable();
    stream.receiving.abandon(abandon->up_to);
    if (!was_readable && stream.receiving.is_readable()) {
      events.emplace_back(StreamReadable{stream.id});
    }
  }
}

}  // namespace sealine::stt
