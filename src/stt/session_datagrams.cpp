// What UDP adds to a session: packet numbers in any order, acknowledgements, recovery, the size of
// a datagram, other paths.                    spec: stt.md#recovery, stt.md#migration, stt.md#mtu

#include "sealine/base/assert.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/stt/session.hpp"
#include "stt/detail/session_machine.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace sealine::stt {

using detail::SentFrame;
namespace carried = detail::carried;

namespace {

/// No control frame is begun in less: room for the largest message that cannot be cut, a ROTATE.
constexpr std::size_t kMinControlRoom = 192;
/// No data is sent in less: it would be a crumb.
constexpr std::size_t kMinDataRoom = 128;
/// Before an address is proven.
constexpr std::uint64_t kAmplification = 3;

// What answers is no larger than what came, or what every path takes: where the path has become
// narrower the other end's probes come through, and so must what they ask for, padding and all.
MutableBytes answer_room(const detail::Datagrams& udp, MutableBytes out) {
  const std::size_t most = std::max(detail::PathMtu::kBaseBytes, udp.arrival_bytes);
  return out.first(std::min(out.size(), most));
}

}  // namespace

/// Tells a session what became of its frames.
struct Session::Machine::Fates final : detail::FrameFates {
  explicit Fates(Machine& whose) : machine(whose) {}

  void frame_acked(const SentFrame& frame) override { machine.handle_acked(frame); }

  void frame_lost(const SentFrame& frame) override { machine.handle_lost(frame); }

  void datagram_acked(std::size_t bytes) override { machine.judge_size(bytes, false, true); }

  void datagram_lost(std::size_t bytes) override { machine.judge_size(bytes, false, false); }

  Machine& machine;
};

// --- what comes

bool Session::Machine::is_expected(PacketNumber number) const noexcept {
  return is_udp() ? datagrams->received.is_fresh(number) : number == next_received;
}

Duration Session::Machine::round_trip_now() const noexcept {
  return is_udp() ? datagrams->recovery.smoothed_rtt() : round_trip;
}

void Session::Machine::begin_datagram(const Arrival& from, std::size_t bytes, TimePoint now) {
  detail::Datagrams& udp = *datagrams;
  udp.heard_at = now;
  udp.arrival = from;
  if (udp.candidate && udp.candidate->path == from.path) udp.candidate->received_bytes += bytes;
  udp.arrival_bytes = bytes;
  // Whoever has not heard our CLOSE hears it again, once for each datagram.
  if (state == SessionState::closing && !closing) udp.close_due = true;
}

void Session::Machine::record_datagram(const FrameHead& head, TimePoint now) {
  detail::Datagrams& udp = *datagrams;
  const bool at_once = (head.flags & (flag::kAckNow | flag::kFin)) != 0;
  notice_path(head.number, now);
  udp.received.record(head.number, (head.flags & flag::kReliable) != 0, at_once, udp.arrival.mark,
                      now);
}

// The newest frame came from elsewhere: whether the peer is there has to be asked first.
void Session::Machine::notice_path(PacketNumber number, TimePoint now) {
  detail::Datagrams& udp = *datagrams;
  if (role == Role::initiator || udp.arrival.path == udp.path) return;
  const auto newest = udp.received.largest();
  if (newest && number < *newest) return;
  auto& candidate = udp.candidate;
  const bool is_known = candidate && candidate->path == udp.arrival.path;
  if (is_known && (candidate->is_due || now < candidate->ask_again_at)) return;
  if (!is_known) {
    candidate.emplace();
    candidate->path = udp.arrival.path;
    candidate->received_bytes = udp.arrival_bytes;
  }
  candidate->is_due = true;
}

void Session::Machine::handle_path_response(const PathResponse& response, TimePoint now) {
  detail::Datagrams& udp = *datagrams;
  if (!udp.candidate || udp.candidate->path != udp.arrival.path || udp.candidate->asked == 0)
    return;
  if (!crypto::ct_equal(response.bytes, udp.candidate->challenge.bytes)) return;
  udp.path = udp.candidate->path;
  udp.candidate.reset();
  udp.recovery.handle_new_path(now);
  udp.begin_mtu(config, now);
  events.emplace_back(PathChanged{udp.path});
}

void Session::Machine::handle_ack(const Ack& ack, TimePoint now) {
  if (!is_udp()) {
    fail_with(CloseCode::protocol, {Errc::protocol_broken, 0});  // a stream acknowledges by itself
    return;
  }
  Fates fates(*this);
  const auto handled = datagrams->recovery.handle_ack(ack, fates, now);
  if (!handled) {
    fail_with(CloseCode::protocol, handled.error());
    return;
  }
  datagrams->received.set_round_trip(datagrams->recovery.smoothed_rtt());
  choose_ack_frequency();
}

// What waits for its ACK at the other end is no part of what fills the path: of a small window ten
// frames are too much. Eight ACKs for a window, then, at least one for two frames; and where the
// path is so fast that ten frames take less than a millisecond, one for what it takes in that time.
void Session::Machine::choose_ack_frequency() {
  detail::Datagrams& udp = *datagrams;
  const std::size_t window = udp.recovery.window_bytes() / udp.mtu.bytes();
  const auto whole = std::max<Duration>(round_trip_now(), std::chrono::microseconds(1));
  const auto in_a_millisecond = static_cast<std::size_t>(
      static_cast<std::int64_t>(window) * Duration(std::chrono::milliseconds(1)) / whole);
  const std::size_t most = std::clamp<std::size_t>(in_a_millisecond, detail::kUsualAckFrequency,
                                                   detail::kMaxAckFrequency);
  const auto best = static_cast<std::uint16_t>(std::clamp<std::size_t>(window / 8, 2, most));
  const bool is_far_off = best * 3 <= udp.acks_every * 2 || best * 2 >= udp.acks_every * 3;
  if (!is_far_off) return;
  udp.acks_every = best;
  udp.ack_frequency_due = true;
}

// What became of a datagram tells how large they may be.
void Session::Machine::judge_size(std::size_t bytes, bool is_probe, bool arrived) {
  detail::Datagrams& udp = *datagrams;
  if (arrived) {
    udp.mtu.handle_acked(bytes, is_probe, udp.heard_at);
  } else {
    udp.mtu.handle_lost(bytes, is_probe, udp.heard_at);
  }
  udp.recovery.set_datagram_bytes(udp.mtu.bytes());
}

void Session::Machine::handle_acked(const SentFrame& frame) {
  detail::Datagrams& udp = *datagrams;
  if ((frame.carried & carried::kMtuProbe) != 0) judge_size(frame.bytes, true, true);
  if ((frame.carried & carried::kAckFrequency) != 0)
    udp.recovery.set_max_ack_delay(udp.ack_delay_asked);
  if ((frame.carried & carried::kAck) != 0) udp.received.handle_ack_of(frame.ack_largest);
  Stream* stream = frame.stream == 0 ? nullptr : find(frame.stream);
  if (stream == nullptr) return;
  if (frame.has_init) stream->needs_init = false;
  if (frame.is_data) stream->sending.acked(frame);
  if ((frame.carried & carried::kReset) != 0) stream->reset.handle_acked();
  if ((frame.carried & carried::kStop) != 0) stream->stop.handle_acked();
  if ((frame.carried & carried::kAbandon) != 0 && stream->abandon.is_open() &&
      stream->abandon.message().up_to == frame.offset) {
    stream->abandon.handle_acked();
  }
  wake(*stream);
  forget_if_over(*stream);
}

// A control frame is not sent again as it was: what still matters is said anew.
void Session::Machine::handle_lost(const SentFrame& frame) {
  if ((frame.carried & carried::kMtuProbe) != 0) judge_size(frame.bytes, true, false);
  if ((frame.carried & carried::kRotate) != 0) sending.handle_lost();
  if ((frame.carried & carried::kRotated) != 0) rotated_due = receiving.last_answer();
  if ((frame.carried & carried::kSessionCredit) != 0) session_credit_due = true;
  if ((frame.carried & carried::kAckFrequency) != 0) datagrams->ack_frequency_due = true;
  Stream* stream = frame.stream == 0 ? nullptr : find(frame.stream);
  if (stream == nullptr) return;
  if (frame.is_data) {
    stream->sending.lost(frame);
    wake(*stream);
    return;
  }
  if ((frame.carried & carried::kCredit) != 0 && !stream->receiving.has_all()) {
    stream->credit_due = true;
  }
  if ((frame.carried & carried::kReset) != 0) stream->reset.handle_lost();
  if ((frame.carried & carried::kStop) != 0) stream->stop.handle_lost();
  if ((frame.carried & carried::kAbandon) != 0) stream->abandon.handle_lost();
  control_due.push_back(stream->id);
}

// --- time

void Session::Machine::handle_datagram_timeout(TimePoint now) {
  detail::Datagrams& udp = *datagrams;
  if (state == SessionState::closing && !closing && now >= udp.linger_until) {
    state = SessionState::closed;
  }
  if (is_over()) return;
  udp.heard_at = now;
  receiving.handle_timeout(now);
  if (const auto due = udp.recovery.poll_timeout(); due && *due <= now) {
    Fates fates(*this);
    udp.recovery.handle_timeout(fates, now);
  }
}

std::optional<TimePoint> Session::Machine::next_datagram_timeout() const {
  if (!is_udp()) return std::nullopt;
  const detail::Datagrams& udp = *datagrams;
  std::optional<TimePoint> next;
  // A probe of the path's size comes along with other things: it wakes nobody.
  for (const auto& each : {udp.recovery.poll_timeout(), udp.received.poll_timeout(),
                           receiving.poll_timeout(), udp.paced_until}) {
    if (each && (!next || *each < *next)) next = each;
  }
  return next;
}

// --- what goes

void Session::Machine::add_ack(ControlWriter& writer, SentFrame& sent, TimePoint now) {
  detail::ReceivedPackets& received = datagrams->received;
  if (!received.has_news()) return;
  Ack ack = received.take_ack(now);
  // The newest ranges matter most.
  while (!writer.put(ack) && ack.range_count > 1) ack.range_count /= 2;
  sent.carried |= carried::kAck;
  sent.ack_largest = ack.ranges[0].last;
}

std::size_t Session::Machine::put_ack(MutableBytes out, TimePoint now) {
  if (!datagrams->received.has_news()) return 0;
  ByteArray<kControlBytes> body;
  const FrameHead head{.type = FrameType::control};
  ControlWriter writer(MutableBytes(body).first(std::min(body.size(), plaintext_room(head, out))));
  SentFrame sent;
  add_ack(writer, sent, now);
  if (writer.count() == 0) return 0;
  return put_frame(head, {.body = writer.finish(), .sent = sent}, out, now);
}

// A PING that asks for an answer at once, where nothing else waits.
std::size_t Session::Machine::put_probe(MutableBytes out, TimePoint now) {
  ByteArray<kControlBytes> body;
  const FrameHead head{.type = FrameType::control,
                       .flags = static_cast<std::uint8_t>(flag::kReliable | flag::kAckNow)};
  ControlWriter writer(MutableBytes(body).first(std::min(body.size(), plaintext_room(head, out))));
  SEALINE_ASSERT(writer.put(Ping{next_sent}));
  return put_frame(head, {.body = writer.finish(), .sent = {.carried = carried::kPing}}, out, now);
}

Departure Session::Machine::put_mtu_probe(MutableBytes out, TimePoint now) {
  detail::Datagrams& udp = *datagrams;
  const auto size = udp.mtu.poll_probe(now);
  if (!size || *size > out.size()) return {};
  // A probe is likely to be lost, and must leave room for what is not.
  const bool has_room =
      udp.recovery.in_flight_bytes() + *size + udp.mtu.bytes() <= udp.recovery.window_bytes();
  if (!has_room || udp.recovery.probes_due() > 0) return {};
  ByteArray<kControlBytes> body;
  const FrameHead head{.type = FrameType::control,
                       .flags = static_cast<std::uint8_t>(flag::kReliable | flag::kAckNow)};
  ControlWriter writer(body);
  SEALINE_ASSERT(writer.put(Ping{next_sent}));
  const SentFrame sent{.carried = carried::kMtuProbe, .bytes = static_cast<std::uint32_t>(*size)};
  const std::size_t length = put_frame(
      head, {.body = writer.finish(), .sent = sent, .fills_room = true}, out.first(*size), now);
  udp.recovery.end_datagram(length, now);
  udp.mtu.handle_probe_sent(*size, now);
  return {.bytes = length, .path = udp.path};
}

// Nothing else goes to an address that is not proven, and no more than three times what came.
Departure Session::Machine::put_path_challenge(MutableBytes out, TimePoint now) {
  detail::Datagrams& udp = *datagrams;
  if (!udp.candidate || !udp.candidate->is_due) return {};
  detail::PathCandidate& candidate = *udp.candidate;
  const std::uint64_t most = (kAmplification * candidate.received_bytes) - candidate.sent_bytes;
  // Of that path nothing is known: what every path takes, with all its padding.
  const MutableBytes room =
      out.first(std::min<std::uint64_t>({out.size(), most, detail::PathMtu::kBaseBytes}));
  if (room.size() < least_room(kMinDataRoom)) return {};
  // Not before: the answer to the last one may come with the very frame that asked for this.
  rng->fill(candidate.challenge.bytes);
  ByteArray<kControlBytes> body;
  const FrameHead head{.type = FrameType::control, .flags = flag::kReliable};
  ControlWriter writer(MutableBytes(body).first(std::min(body.size(), plaintext_room(head, room))));
  SEALINE_ASSERT(writer.put(candidate.challenge));
  const std::size_t length = put_frame(head, {.body = writer.finish()}, room, now);
  udp.recovery.end_datagram(length, now);
  candidate.is_due = false;
  // The new path may be much longer than the old one, whose time this is: more of it each time.
  candidate.ask_again_at =
      now + (udp.recovery.probe_timeout() * (std::int64_t{1} << std::min(candidate.asked, 6U)));
  ++candidate.asked;
  candidate.sent_bytes += length;
  return {.bytes = length, .path = candidate.path};
}

Departure Session::Machine::repeat_close(MutableBytes out) {
  detail::Datagrams& udp = *datagrams;
  if (!udp.close_due || out.size() < udp.last_close.size()) return {};
  udp.close_due = false;
  std::ranges::copy(udp.last_close, out.begin());
  return {.bytes = udp.last_close.size(), .path = udp.path};
}

// What congestion control and pacing let go, to the path of the session.
std::size_t Session::Machine::fill_path(MutableBytes out, TimePoint now) {
  const detail::Recovery& recovery = datagrams->recovery;
  const bool is_probing = recovery.probes_due() > 0;
  std::size_t used = put_control(answer_room(*datagrams, out), now);
  const auto room = [&] { return out.subspan(used); };
  const auto put = [&](auto what, std::size_t least) {
    while (room().size() >= least && !is_over()) {
      const std::size_t length = (this->*what)(room(), now);
      if (length == 0) return;
      used += length;
    }
  };
  put(&Machine::put_stream_control, least_room(kMinControlRoom));
  put(&Machine::put_data, least_room(kMinDataRoom));
  if (used == 0 && is_probing) return put_probe(out, now);
  if (used > 0 && room().size() >= least_room(kMinControlRoom)) used += put_ack(room(), now);
  return used;
}

// Something is to be sent, as soon as it may.
bool Session::Machine::has_waiting(TimePoint now) const noexcept {
  const bool has_turn =
      std::ranges::any_of(schedule, [](const auto& turns) { return !turns.second.empty(); });
  return has_turn || !control_due.empty() || has_control_due(now) || sending.is_due(now);
}

Departure Session::Machine::fill_datagram(MutableBytes out, TimePoint now) {
  rings.watch(now);
  detail::Datagrams& udp = *datagrams;
  udp.paced_until.reset();
  if (state == SessionState::closed) return {};
  // A probe is of a size that passes everywhere: a black hole shows by it.
  const std::size_t most =
      udp.recovery.probes_due() > 0 ? detail::PathMtu::kBaseBytes : udp.mtu.bytes();
  const MutableBytes room = out.first(std::min({out.size(), udp.mtu.bytes(), most}));
  if (closing) {
    const std::size_t length = put_close(answer_room(udp, room), now);
    udp.last_close.assign(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(length));
    udp.linger_until = now + (3 * udp.recovery.probe_timeout());
    state = SessionState::closing;
    return {.bytes = length, .path = udp.path};
  }
  if (state == SessionState::closing) return repeat_close(out);
  if (const Departure asked = put_path_challenge(out, now); asked.bytes > 0) return asked;

  std::size_t used = 0;
  const auto next = udp.recovery.next_send(now);
  if (udp.recovery.probes_due() > 0 || (next && *next <= now)) {
    if (const Departure probe = put_mtu_probe(out, now); probe.bytes > 0) return probe;
    used = fill_path(room, now);
    if (used == 0) udp.recovery.handle_app_limited(now);
  } else {
    if (has_waiting(now)) udp.paced_until = next;
    // Who has moved hears no ACK until it answers: the window is no reason to wait.
    const MutableBytes answer = answer_room(udp, room);
    if (udp.response_due) used = put_control(answer, now);
    if (used == 0 && udp.received.is_ack_due(now)) used = put_ack(answer, now);
  }
  if (used > 0) udp.recovery.end_datagram(used, now);
  return {.bytes = used, .path = udp.path};
}

Departure Session::poll_datagram(MutableBytes out, TimePoint now) {
  return machine_->fill_datagram(out, now);
}

}  // namespace sealine::stt
