#include "sealine/websocket/connection.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"
#include "sealine/wire/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace sealine::websocket {
namespace {

enum class Opcode : std::uint8_t {
  continuation = 0x0,
  text = 0x1,
  binary = 0x2,
  close = 0x8,
  ping = 0x9,
  pong = 0xA,
};

constexpr std::uint8_t kFin = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::size_t kMaxControlBytes = 125;
constexpr std::size_t kMaxHeadBytes = 14;
using Mask = ByteArray<4>;

bool is_control(Opcode opcode) noexcept { return static_cast<std::uint8_t>(opcode) >= 0x8; }

bool is_known(std::uint8_t opcode) noexcept {
  return opcode <= 0x2 || (opcode >= 0x8 && opcode <= 0xA);
}

bool may_be_sent(std::uint16_t code) noexcept {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

// XORs `bytes` with the mask, the first byte being the payload's byte number `at`.
void apply_mask(MutableBytes bytes, const Mask& mask, std::uint64_t at) noexcept {
  std::array<std::uint8_t, 8> turned{};
  for (std::size_t i = 0; i < turned.size(); ++i) turned[i] = mask[(at + i) % 4];
  std::uint64_t word_mask = 0;
  std::memcpy(&word_mask, turned.data(), sizeof(word_mask));
  std::size_t i = 0;
  // Eight words a turn: the compiler makes vectors of a loop whose length it knows.
  constexpr std::size_t kRun = 64;
  for (; i + kRun <= bytes.size(); i += kRun) {
    std::array<std::uint64_t, kRun / 8> words;
    std::memcpy(words.data(), bytes.data() + i, kRun);
    for (std::uint64_t& word : words) word ^= word_mask;
    std::memcpy(bytes.data() + i, words.data(), kRun);
  }
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, sizeof(word));
    word ^= word_mask;
    std::memcpy(bytes.data() + i, &word, sizeof(word));
  }
  for (; i < bytes.size(); ++i) bytes[i] ^= turned[i % 8];
}

struct Head {
  Opcode opcode{};
  bool fin = false;
  std::uint64_t payload_bytes = 0;
  std::optional<Mask> mask;
  std::size_t head_bytes = 0;
};

// How long the head is that begins so; at least two bytes are there.
std::size_t head_length(ByteView head) noexcept {
  const std::uint8_t length = head[1] & 0x7FU;
  return 2 + (length == 126 ? 2U : length == 127 ? 8U : 0U) + ((head[1] & kMasked) != 0 ? 4U : 0U);
}

// Every rule of a head that is one of its own. Errors: protocol_broken.
Result<Head> parse_head(ByteView bytes, Role reader) {
  const bool is_masked = (bytes[1] & kMasked) != 0;
  if ((bytes[0] & kReserved) != 0 || !is_known(bytes[0] & 0x0FU) ||
      is_masked != (reader == Role::server)) {
    return fail(Errc::protocol_broken);
  }
  Head head{.opcode = static_cast<Opcode>(bytes[0] & 0x0FU),
            .fin = (bytes[0] & kFin) != 0,
            .payload_bytes = bytes[1] & 0x7FU,
            .mask = {},
            .head_bytes = head_length(bytes)};
  const std::size_t extra = head.payload_bytes == 126 ? 2 : head.payload_bytes == 127 ? 8 : 0;
  if (extra != 0) {
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < extra; ++i) length = (length << 8U) | bytes[2 + i];
    const std::uint64_t least = extra == 2 ? 126 : 65536;
    if (length < least || (length >> 63U) != 0) return fail(Errc::protocol_broken);
    head.payload_bytes = length;
  }
  if (is_masked) {
    head.mask.emplace();
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(2 + extra), 4, head.mask->begin());
  }
  if (is_control(head.opcode) && (!head.fin || head.payload_bytes > kMaxControlBytes)) {
    return fail(Errc::protocol_broken);
  }
  return head;
}

/// Writes the head of a whole frame; a client's with its mask. Returns its length.
std::size_t write_head(Opcode opcode, std::size_t payload_bytes, const Mask* mask,
                       MutableBytes out) {
  const std::uint8_t masked = mask != nullptr ? kMasked : 0;
  Writer writer(out);
  writer.be(static_cast<std::uint8_t>(kFin | static_cast<std::uint8_t>(opcode)));
  if (payload_bytes < 126) {
    writer.be(static_cast<std::uint8_t>(masked | payload_bytes));
  } else if (payload_bytes < 65536) {
    writer.be(static_cast<std::uint8_t>(masked | 126U))
        .be(static_cast<std::uint16_t>(payload_bytes));
  } else {
    writer.be(static_cast<std::uint8_t>(masked | 127U))
        .be(static_cast<std::uint64_t>(payload_bytes));
  }
  if (mask != nullptr) writer.bytes(*mask);
  SEALINE_ASSERT(writer.finish().has_value());
  return writer.used();
}

}  // namespace

struct Connection::Machine {
  enum class State : std::uint8_t {
    open,
    closing,  ///< our Close is on its way; theirs is awaited, everything else thrown away
    closed,
  };

  Machine(Role who, const ConnectionConfig& how, crypto::Rng& random, TimePoint now)
      : role(who), config(how), rng(random), last_heard(now), last_ping(now) {}

  // --- parsing

  Taken take(MutableBytes in, TimePoint now);
  std::optional<Event> take_payload(MutableBytes& in);
  std::optional<Event> finish_frame(MutableBytes payload);
  std::optional<Event> begin_frame();
  std::optional<Event> take_control(ByteView payload);
  std::optional<Event> take_close(ByteView payload);
  Event fault(std::uint16_t code);

  // --- sending

  void put_frame(Opcode opcode, ByteView payload);
  [[nodiscard]] std::optional<Mask> fresh_mask();
  void put_close(std::uint16_t code, std::string_view reason);

  Role role;
  ConnectionConfig config;
  crypto::Rng& rng;
  State state = State::open;

  std::array<std::uint8_t, kMaxHeadBytes> head_bytes{};
  std::size_t head_have = 0;
  std::optional<Head> frame;  ///< its payload is being read
  std::uint64_t payload_have = 0;
  std::array<std::uint8_t, kMaxControlBytes> control{};
  std::optional<Opcode> message;  ///< text or binary: one is under way
  std::vector<std::uint8_t> assembled;
  std::size_t fragments = 0;
  wire::Utf8 text;

  std::vector<std::uint8_t> out;                  ///< frames that wait
  std::optional<std::vector<std::uint8_t>> pong;  ///< to the newest ping
  bool ping_due = false;
  unsigned missed = 0;
  TimePoint last_heard;
  TimePoint last_ping;
  std::optional<TimePoint> close_deadline;
};

void Connection::Machine::put_frame(Opcode opcode, ByteView payload) {
  const std::optional<Mask> mask = fresh_mask();
  std::array<std::uint8_t, kMaxHeadBytes> head{};
  const std::size_t length = write_head(opcode, payload.size(), mask ? &*mask : nullptr, head);
  out.insert(out.end(), head.begin(), head.begin() + static_cast<std::ptrdiff_t>(length));
  out.insert(out.end(), payload.begin(), payload.end());
  if (mask) apply_mask(MutableBytes(out).last(payload.size()), *mask, 0);
}

std::optional<Mask> Connection::Machine::fresh_mask() {
  if (role == Role::server) return std::nullopt;
  Mask mask{};
  rng.fill(mask);
  return mask;
}

void Connection::Machine::put_close(std::uint16_t code, std::string_view reason) {
  std::array<std::uint8_t, kMaxControlBytes> payload{};
  Writer writer(payload);
  if (code != close_code::kNone) {
    writer.be(code).bytes(as_bytes(reason.substr(0, kMaxControlBytes - 2)));
  }
  pong.reset();
  ping_due = false;
  put_frame(Opcode::close, *writer.finish());
}

Event Connection::Machine::fault(std::uint16_t code) {
  if (state == State::open) put_close(code, {});
  state = State::closed;
  return Closed{.code = code, .reason = {}, .by_peer = false, .close_tcp = true};
}

std::optional<Event> Connection::Machine::begin_frame() {
  const auto parsed = parse_head(ByteView(head_bytes).first(head_have), role);
  head_have = 0;
  if (!parsed) return fault(close_code::kProtocol);
  if (!is_control(parsed->opcode)) {
    const bool continues = parsed->opcode == Opcode::continuation;
    if (continues != message.has_value()) return fault(close_code::kProtocol);
    if (!continues) {
      message = parsed->opcode;
      fragments = 0;
      text = {};
      if (message == Opcode::text && !config.accepts_text) return fault(close_code::kUnsupported);
    }
    const bool fits = parsed->payload_bytes <= config.max_message_bytes - assembled.size();
    if (!fits || ++fragments > config.max_fragments) return fault(close_code::kTooBig);
  }
  frame = *parsed;
  payload_have = 0;
  return std::nullopt;
}

std::optional<Event> Connection::Machine::take_close(ByteView payload) {
  std::uint16_t code = close_code::kNone;
  std::string reason;
  if (payload.size() == 1) return fault(close_code::kProtocol);
  if (payload.size() >= 2) {
    code = static_cast<std::uint16_t>((payload[0] << 8U) | payload[1]);
    if (!may_be_sent(code)) return fault(close_code::kProtocol);
    if (!wire::is_utf8(payload.subspan(2))) return fault(close_code::kBadText);
    reason = as_text(payload.subspan(2));
  }
  const bool by_peer = state == State::open;
  if (by_peer) put_close(code, {});
  state = State::closed;
  return Closed{.code = code,
                .reason = std::move(reason),
                .by_peer = by_peer,
                .close_tcp = role == Role::server};
}

std::optional<Event> Connection::Machine::take_control(ByteView payload) {
  switch (frame->opcode) {
    case Opcode::close:
      return take_close(payload);
    case Opcode::ping:
      if (state == State::open) pong.emplace(payload.begin(), payload.end());
      return std::nullopt;
    case Opcode::pong:
    case Opcode::continuation:
    case Opcode::text:
    case Opcode::binary:
      break;
  }
  return std::nullopt;
}

// The payload of a data frame is whole, in `payload` or at the end of what was assembled.
std::optional<Event> Connection::Machine::finish_frame(MutableBytes payload) {
  if (!frame->fin) {
    if (!payload.empty()) assembled.insert(assembled.end(), payload.begin(), payload.end());
    return std::nullopt;
  }
  const bool is_text = message == Opcode::text;
  message.reset();
  if (is_text && !text.is_whole()) return fault(close_code::kBadText);
  if (state != State::open) {
    assembled.clear();  // thrown away: it must not count against the next one
    return std::nullopt;
  }
  return Message{.bytes = payload, .is_text = is_text};
}

// Uses up what is there of the present frame's payload.
std::optional<Event> Connection::Machine::take_payload(MutableBytes& in) {
  const auto left = frame->payload_bytes - payload_have;
  const MutableBytes some =
      in.first(static_cast<std::size_t>(std::min<std::uint64_t>(left, in.size())));
  in = in.subspan(some.size());
  if (frame->mask) apply_mask(some, *frame->mask, payload_have);
  const std::uint64_t at = payload_have;
  payload_have += some.size();
  const bool is_whole = payload_have == frame->payload_bytes;

  if (is_control(frame->opcode)) {
    std::ranges::copy(some, control.begin() + static_cast<std::ptrdiff_t>(at));
    if (!is_whole) return std::nullopt;
    auto event = take_control(ByteView(control).first(static_cast<std::size_t>(payload_have)));
    frame.reset();
    return event;
  }
  if (message == Opcode::text && !text.feed(some)) return fault(close_code::kBadText);
  const bool in_place = is_whole && at == 0 && assembled.empty();
  if (!in_place) assembled.insert(assembled.end(), some.begin(), some.end());
  if (!is_whole) return std::nullopt;
  auto event = finish_frame(in_place     ? some
                            : frame->fin ? MutableBytes(assembled)
                                         : MutableBytes());
  frame.reset();
  return event;
}

Connection::Taken Connection::Machine::take(MutableBytes in, TimePoint now) {
  const std::size_t all = in.size();
  // The last message was a view into this until now.
  if (!message) assembled.clear();
  while (state != State::closed) {
    std::optional<Event> event;
    if (!frame) {
      const std::size_t wanted = head_have < 2 ? 2 : head_length(head_bytes);
      const std::size_t some = std::min(wanted - head_have, in.size());
      std::copy_n(in.begin(), some, head_bytes.begin() + static_cast<std::ptrdiff_t>(head_have));
      in = in.subspan(some);
      head_have += some;
      if (head_have < 2 || head_have < head_length(head_bytes)) {
        if (some == 0) break;
        continue;
      }
      event = begin_frame();
      last_heard = now;
      missed = 0;
    } else {
      if (in.empty() && payload_have < frame->payload_bytes) break;
      event = take_payload(in);
    }
    if (event) return {.consumed = all - in.size(), .event = std::move(event)};
  }
  return {.consumed = state == State::closed ? all : all - in.size(), .event = std::nullopt};
}

Connection::Connection(Role role, const ConnectionConfig& config, crypto::Rng& rng, TimePoint now)
    : machine_(std::make_unique<Machine>(role, config, rng, now)) {}

Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Connection::Taken Connection::handle_bytes(MutableBytes in, TimePoint now) {
  return machine_->take(in, now);
}

std::optional<Closed> Connection::handle_end_of_stream(TimePoint /*now*/) {
  Machine& m = *machine_;
  if (m.state == Machine::State::closed) return std::nullopt;
  m.state = Machine::State::closed;
  return Closed{.code = close_code::kAbnormal, .reason = {}, .by_peer = true, .close_tcp = true};
}

std::optional<Closed> Connection::handle_timeout(TimePoint now) {
  Machine& m = *machine_;
  if (m.state == Machine::State::closed) return std::nullopt;
  const bool too_long = m.close_deadline && now >= *m.close_deadline;
  const bool pings =
      m.role == Role::server && m.config.ping_after.count() > 0 && m.state == Machine::State::open;
  const bool due = pings && now >= std::max(m.last_heard, m.last_ping) + m.config.ping_after;
  if (too_long || (due && m.missed >= m.config.missed_pings)) {
    m.state = Machine::State::closed;
    return Closed{.code = close_code::kAbnormal, .reason = {}, .by_peer = false, .close_tcp = true};
  }
  if (due) {
    m.ping_due = true;
    m.last_ping = now;
    ++m.missed;
  }
  return std::nullopt;
}

std::size_t Connection::head_bytes(std::size_t payload_bytes) const noexcept {
  const std::size_t mask = machine_->role == Role::client ? 4 : 0;
  return 2 + (payload_bytes < 126 ? 0U : payload_bytes < 65536 ? 2U : 8U) + mask;
}

void Connection::frame_binary(MutableBytes frame, std::size_t payload_bytes) {
  const std::optional<Mask> mask = machine_->fresh_mask();
  const std::size_t length =
      write_head(Opcode::binary, payload_bytes, mask ? &*mask : nullptr, frame);
  SEALINE_ASSERT(length == head_bytes(payload_bytes) && frame.size() >= length + payload_bytes);
  if (mask) apply_mask(frame.subspan(length, payload_bytes), *mask, 0);
}

void Connection::send_text(std::string_view text) {
  SEALINE_ASSERT(wire::is_utf8(as_bytes(text)));
  if (machine_->state == Machine::State::open) machine_->put_frame(Opcode::text, as_bytes(text));
}

void Connection::close(std::uint16_t code, std::string_view reason, TimePoint now) {
  Machine& m = *machine_;
  SEALINE_ASSERT(may_be_sent(code));
  if (m.state != Machine::State::open) return;
  m.put_close(code, reason);
  m.state = Machine::State::closing;
  m.close_deadline = now + m.config.close_timeout;
}

std::size_t Connection::poll_transmit(MutableBytes out) {
  Machine& m = *machine_;
  if (m.pong) {
    const auto payload = std::move(*m.pong);
    m.pong.reset();
    m.put_frame(Opcode::pong, payload);
  }
  if (m.ping_due) {
    m.ping_due = false;
    m.put_frame(Opcode::ping, {});
  }
  const std::size_t count = std::min(out.size(), m.out.size());
  std::copy_n(m.out.begin(), count, out.begin());
  m.out.erase(m.out.begin(), m.out.begin() + static_cast<std::ptrdiff_t>(count));
  return count;
}

std::optional<TimePoint> Connection::poll_timeout() const {
  const Machine& m = *machine_;
  if (m.state == Machine::State::closed) return std::nullopt;
  if (m.close_deadline) return m.close_deadline;
  if (m.role == Role::client || m.config.ping_after.count() == 0) return std::nullopt;
  return std::max(m.last_heard, m.last_ping) + m.config.ping_after;
}

bool Connection::is_closing() const noexcept { return machine_->state != Machine::State::open; }

}  // namespace sealine::websocket
