#include "sealine/base/assert.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/stt/handshake.hpp"
#include "stt/detail/handshake_messages.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace sealine::stt {

using detail::AuthProof;
using detail::Final;
using detail::Hello;
using detail::KeySchedule;
using detail::Response;

struct Initiator::Machine {
  /// A RESPONSE is awaited, to any HELLO of this dial: an injected RETRY stops nothing.
  struct AwaitingResponse {
    std::vector<Hello> hellos;  ///< one, or two after a RETRY
    std::optional<crypto::KeyPair> ephemeral;
  };

  struct AwaitingFinal {
    KeySchedule keys;
    std::vector<std::string> peer_capabilities;
  };

  struct Done {
    Established result;
  };

  struct Failed {};

  const HandshakeConfig& config;
  Transport transport;
  crypto::Engine& engine;
  crypto::Rng& rng;
  SessionId handshake_id{};
  TimePoint deadline{};
  TimePoint repeat_at{};
  Duration repeat_after{};
  detail::Bytes last_sent{};  ///< the frame that is repeated until it is answered
  bool transmit_waits = true;
  std::optional<Error> last_fault{};
  std::variant<AwaitingResponse, AwaitingFinal, Done, Failed> state{};

  void send(detail::Bytes frame, TimePoint now) {
    last_sent = std::move(frame);
    transmit_waits = true;
    repeat_after = config.limits.first_repeat;
    repeat_at = now + repeat_after;
  }

  static detail::Bytes framed(FrameType type, const SessionId& id, ByteView tlv) {
    detail::Bytes frame(detail::frame_bytes(tlv.size()));
    SEALINE_ASSERT(detail::encode_frame(type, id, tlv, frame) == frame.size());
    return frame;
  }

  /// Over UDP a HELLO fills its datagram, so that no answer is larger.
  void pad(Hello& hello) const {
    if (transport != Transport::udp) return;
    hello.pad_bytes = 0;
    while (detail::frame_bytes(hello.encode(true).size()) < kMinHelloDatagramBytes) {
      *hello.pad_bytes += kMinHelloDatagramBytes - detail::frame_bytes(hello.encode(true).size());
    }
  }

  void send_hello(Hello hello, TimePoint now) {
    pad(hello);
    hello.commitment = detail::commitment_of(engine, config.seed_key, hello);
    send(framed(FrameType::handshake, handshake_id, hello.encode(true)), now);
    std::get<AwaitingResponse>(state).hellos.push_back(std::move(hello));
  }

  Result<> handle_retry(AwaitingResponse& waiting, ByteView tlv, TimePoint now) {
    SEALINE_TRY(retry, detail::Retry::parse(tlv));
    if (waiting.hellos.size() > 1) return fail(Errc::wrong_state);
    Hello again = waiting.hellos.front();
    again.cookie = retry.cookie;
    rng.fill(again.nonce);  // the old HELLO may be in the responder's memory meanwhile
    send_hello(std::move(again), now);
    return {};
  }

  Result<> handle_response(AwaitingResponse& waiting, ByteView tlv, TimePoint now) {
    SEALINE_TRY(response, Response::parse(tlv));
    if (response.node_id == config.node_id) return fail(Errc::own_node);
    if (response.ephemeral.has_value() != waiting.ephemeral.has_value()) {
      return fail(Errc::bad_handshake_message);
    }
    std::optional<crypto::SharedSecret> shared;
    if (waiting.ephemeral) {
      SEALINE_TRY(engine.x25519(waiting.ephemeral->secret.expose(), *response.ephemeral,
                                shared.emplace().writable()));
    }
    for (const Hello& hello : waiting.hellos) {
      KeySchedule keys(engine, config.seed_key, hello, response, shared ? &*shared : nullptr);
      if (!keys.check_challenge(response)) continue;
      const AuthProof proof = keys.make_proof(rng);
      send(framed(FrameType::auth, keys.session_id(), proof.encode()), now);
      state.emplace<AwaitingFinal>(std::move(keys), std::vector<std::string>{});
      return {};
    }
    return fail(Errc::answer_not_authentic);
  }

  Result<> handle_final(AwaitingFinal& waiting, ByteView tlv) {
    SEALINE_TRY(message, Final::parse(tlv));
    SEALINE_TRY(waiting.keys.check_final(message));
    Established result = waiting.keys.establish(Role::initiator);
    last_sent.clear();
    transmit_waits = false;
    state.emplace<Done>(std::move(result));
    return {};
  }

  Result<> handle(const FrameView& frame, TimePoint now) {
    SEALINE_TRY(tlv, detail::payload_of(frame));
    if (auto* waiting = std::get_if<AwaitingResponse>(&state)) {
      if (frame.head.type != FrameType::handshake || frame.head.session_id != handshake_id) {
        return fail(Errc::wrong_state);
      }
      SEALINE_TRY(type, detail::message_type(tlv));
      if (type == "RETRY") return handle_retry(*waiting, tlv, now);
      return handle_response(*waiting, tlv, now);
    }
    if (auto* waiting = std::get_if<AwaitingFinal>(&state)) {
      if (frame.head.type != FrameType::auth ||
          frame.head.session_id != waiting->keys.session_id()) {
        return fail(Errc::wrong_state);
      }
      return handle_final(*waiting, tlv);
    }
    return fail(Errc::wrong_state);
  }
};

Initiator::Initiator(const HandshakeConfig& config, Transport transport, crypto::Engine& engine,
                     crypto::Rng& rng, UnixMillis unix_ms, TimePoint now)
    : machine_(std::make_unique<Machine>(
          Machine{.config = config, .transport = transport, .engine = engine, .rng = rng})) {
  Machine& m = *machine_;
  rng.fill(m.handshake_id);
  m.deadline = now + config.limits.dial_timeout;
  auto& waiting = std::get<Machine::AwaitingResponse>(m.state);
  Hello hello{.node_id = config.node_id, .timestamp = unix_ms, .capabilities = config.capabilities};
  if (config.ephemeral) {
    waiting.ephemeral = crypto::KeyPair::generate(engine, rng);
    hello.ephemeral = waiting.ephemeral->public_key.bytes;
  }
  rng.fill(hello.nonce);
  m.send_hello(std::move(hello), now);
}

Initiator::Initiator(Initiator&&) noexcept = default;
Initiator& Initiator::operator=(Initiator&&) noexcept = default;
Initiator::~Initiator() = default;

Result<> Initiator::handle_frame(const FrameView& frame, TimePoint now) {
  const auto done = machine_->handle(frame, now);
  if (!done) machine_->last_fault = done.error();
  return done;
}

void Initiator::handle_timeout(TimePoint now) {
  Machine& m = *machine_;
  if (is_done() || has_failed()) return;
  if (now >= m.deadline) {
    m.state.emplace<Machine::Failed>();
    m.transmit_waits = false;
  } else if (m.transport == Transport::udp && now >= m.repeat_at) {
    m.transmit_waits = true;
    m.repeat_after *= 2;
    m.repeat_at = now + m.repeat_after;
  }
}

std::size_t Initiator::poll_transmit(MutableBytes out) {
  if (!machine_->transmit_waits) return 0;
  machine_->transmit_waits = false;
  SEALINE_ASSERT(out.size() >= machine_->last_sent.size());
  std::ranges::copy(machine_->last_sent, out.begin());
  return machine_->last_sent.size();
}

std::optional<TimePoint> Initiator::poll_timeout() const {
  if (is_done() || has_failed()) return std::nullopt;
  if (machine_->transport == Transport::websocket) return machine_->deadline;
  return std::min(machine_->deadline, machine_->repeat_at);
}

bool Initiator::has_proved() const noexcept {
  return std::holds_alternative<Machine::AwaitingFinal>(machine_->state) || is_done();
}

bool Initiator::is_done() const noexcept {
  return std::holds_alternative<Machine::Done>(machine_->state);
}

bool Initiator::has_failed() const noexcept {
  return std::holds_alternative<Machine::Failed>(machine_->state);
}

const std::optional<Error>& Initiator::last_fault() const noexcept { return machine_->last_fault; }

Established Initiator::take() && {
  SEALINE_ASSERT(is_done());
  return std::move(std::get<Machine::Done>(machine_->state).result);
}

}  // namespace sealine::stt
