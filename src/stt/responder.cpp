#include "sealine/base/assert.hpp"
#include "sealine/crypto/constant_time.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/stt/handshake.hpp"
#include "stt/detail/handshake_messages.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <utility>

namespace sealine::stt {

using detail::AuthProof;
using detail::Bytes;
using detail::Hello;
using detail::KeySchedule;
using detail::Response;

namespace {

using CookieKey = Secret<32, struct SttCookieKeyTag>;
using HelloName = std::pair<NodeId, ByteArray<32>>;  ///< who, and its nonce

constexpr std::size_t kMaxRatedAddresses = 4096;
constexpr std::size_t kPortBytes = 2;

Bytes copy_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

bool in_time(UnixMillis theirs, UnixMillis ours, Duration tolerance) {
  const UnixMillis apart = theirs > ours ? theirs - ours : ours - theirs;
  const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(tolerance).count();
  return apart <= static_cast<UnixMillis>(limit);
}

}  // namespace

struct Responder::Machine {
  struct HalfOpen {
    Bytes address;
    Bytes hello;     ///< as it came, to know its repeat
    Bytes response;  ///< the message
    unsigned repeats = 0;
    TimePoint until{};
    KeySchedule keys;
    std::vector<std::string> peer_capabilities;
  };

  /// A session that stands: its AUTH_PROOF may come again, for FINAL may have been lost.
  struct Standing {
    Bytes address;
    Bytes proof;
    Bytes final_frame;
  };

  struct Rate {
    TimePoint second{};
    std::uint32_t count = 0;
  };

  const HandshakeConfig& config;
  crypto::Engine& engine;
  crypto::Rng& rng;
  std::array<CookieKey, 2> cookie_keys;  ///< current, last
  TimePoint cookie_change_at{};
  std::map<SessionId, HalfOpen> half_open{};
  std::deque<std::pair<TimePoint, SessionId>> half_open_order{};  ///< by their end
  std::map<HelloName, SessionId> hellos{};
  std::deque<std::pair<TimePoint, HelloName>> hello_order{};
  std::map<SessionId, Standing> standing{};
  std::map<Bytes, Rate> rates{};

  ByteArray<16> cookie(const CookieKey& key, ByteView address, const NodeId& node) const {
    ByteArray<32> mac{};
    engine.hmac_sha256(key.expose(), {address, node}, mac);
    ByteArray<16> out{};
    std::copy_n(mac.begin(), out.size(), out.begin());
    return out;
  }

  bool is_right_cookie(const Hello& hello, ByteView address) const {
    bool right = false;
    for (const CookieKey& key : cookie_keys) {
      right = crypto::ct_equal(*hello.cookie, cookie(key, address, hello.node_id)) || right;
    }
    return right;
  }

  // Of an address with all of its ports: they cost nobody anything.
  bool is_over_rate(ByteView address_and_port, TimePoint now) {
    SEALINE_ASSERT(address_and_port.size() > kPortBytes);
    const ByteView address = address_and_port.first(address_and_port.size() - kPortBytes);
    if (rates.size() >= kMaxRatedAddresses) {
      std::erase_if(rates, [now](const auto& row) {
        return now - row.second.second >= std::chrono::seconds(1);
      });
      if (rates.size() >= kMaxRatedAddresses) return true;
    }
    Rate& rate = rates[copy_of(address)];
    if (now - rate.second >= std::chrono::seconds(1)) rate = {.second = now, .count = 0};
    return ++rate.count > config.limits.hellos_per_second;
  }

  void expire(TimePoint now) {
    while (!half_open_order.empty() && half_open_order.front().first <= now) {
      const auto [until, id] = half_open_order.front();
      const auto found = half_open.find(id);
      if (found != half_open.end() && found->second.until == until) half_open.erase(found);
      half_open_order.pop_front();
    }
    while (!hello_order.empty() && hello_order.front().first <= now) {
      hellos.erase(hello_order.front().second);
      hello_order.pop_front();
    }
    if (now >= cookie_change_at) {
      cookie_keys[1] = std::move(cookie_keys[0]);
      rng.fill(cookie_keys[0].writable());
      cookie_change_at = now + config.limits.cookie_change;
    }
  }

  // --- HELLO, in the order of the specification

  Result<Reply> handle_hello(const FrameView& frame, const Origin& origin, UnixMillis unix_ms,
                             TimePoint now, MutableBytes out) {
    if (origin.transport == Transport::udp && origin.datagram_bytes < kMinHelloDatagramBytes) {
      return fail(Errc::bad_handshake_message);
    }
    SEALINE_TRY(tlv, detail::payload_of(frame));
    SEALINE_TRY(hello, Hello::parse(tlv));
    const auto expected = detail::commitment_of(engine, config.seed_key, hello);
    if (!crypto::ct_equal(expected, hello.commitment)) return fail(Errc::hello_not_authentic);
    if (hello.suite != detail::kSuite) return fail(Errc::mode_refused);
    if (hello.node_id == config.node_id) return fail(Errc::own_node);

    const HelloName name(hello.node_id, hello.nonce);
    if (const auto known = hellos.find(name); known != hellos.end()) {
      return repeat_response(known->second, frame, tlv, origin, out);
    }
    if (hello.cookie) {
      if (!is_right_cookie(hello, origin.address)) return fail(Errc::hello_not_authentic);
    } else if (is_over_rate(origin.address, now) ||
               half_open.size() > config.limits.half_open / 2 ||
               !in_time(hello.timestamp, unix_ms, config.limits.clock_tolerance)) {
      return retry(frame, hello, origin, out);
    }
    if (hellos.size() >= config.limits.hello_memory_entries) return fail(Errc::too_many_handshakes);
    if (half_open.size() >= config.limits.half_open) return fail(Errc::half_open_full);
    if (config.demand_ephemeral && !hello.ephemeral) return fail(Errc::mode_refused);
    return respond(frame, std::move(hello), tlv, origin, now, out);
  }

  // The id of the dial is not authentic: a copy that had another one, and came first, must not take
  // the answer with it.
  Result<Reply> repeat_response(const SessionId& id, const FrameView& frame, ByteView tlv,
                                const Origin& origin, MutableBytes out) {
    const auto found = half_open.find(id);
    if (found == half_open.end()) return fail(Errc::wrong_state);
    HalfOpen& entry = found->second;
    if (!std::ranges::equal(entry.hello, tlv) ||
        !std::ranges::equal(entry.address, origin.address) ||
        entry.repeats >= config.limits.response_repeats) {
      return fail(Errc::wrong_state);
    }
    ++entry.repeats;
    const std::size_t length =
        detail::encode_frame(FrameType::handshake, frame.head.session_id, entry.response, out);
    return Reply{.reply_bytes = length, .established = std::nullopt};
  }

  Result<Reply> retry(const FrameView& frame, const Hello& hello, const Origin& origin,
                      MutableBytes out) const {
    const detail::Retry message{cookie(cookie_keys[0], origin.address, hello.node_id)};
    const std::size_t length =
        detail::encode_frame(FrameType::handshake, frame.head.session_id, message.encode(), out);
    return Reply{.reply_bytes = length, .established = std::nullopt};
  }

  // The nonce decides the session id, the first of its bytes alone: where many workers share an
  // address, they are made for an id that comes back to this one.
  void draw_nonce(const Hello& hello, Response& response) {
    rng.fill(response.nonce);
    if (!config.session_ids) return;
    const SessionId id = draw_session_id(*config.session_ids, engine, rng);
    for (std::size_t i = 0; i < id.size(); ++i) {
      response.nonce[i] = id[i] ^ hello.nonce[i] ^ hello.node_id[i] ^ config.node_id[i];
    }
  }

  Result<Reply> respond(const FrameView& frame, Hello hello, ByteView tlv, const Origin& origin,
                        TimePoint now, MutableBytes out) {
    Response response{.node_id = config.node_id};
    draw_nonce(hello, response);
    std::optional<crypto::SharedSecret> shared;
    if (hello.ephemeral) {
      const auto pair = crypto::KeyPair::generate(engine, rng);
      SEALINE_TRY(
          engine.x25519(pair.secret.expose(), *hello.ephemeral, shared.emplace().writable()));
      response.ephemeral = pair.public_key.bytes;
    }
    std::optional<KeySchedule> keys;
    do {  // until the id is free: a clash is one in 2^64, unless somebody seeks it
      if (keys) draw_nonce(hello, response);
      keys.emplace(engine, config.seed_key, hello, response, shared ? &*shared : nullptr);
    } while (half_open.contains(keys->session_id()) || standing.contains(keys->session_id()));
    keys->seal_challenge(rng, response);

    Bytes message = response.encode(true);
    const std::size_t length =
        detail::encode_frame(FrameType::handshake, frame.head.session_id, message, out);
    const SessionId id = keys->session_id();
    const TimePoint until = now + config.limits.half_open_timeout;
    half_open.emplace(id, HalfOpen{.address = copy_of(origin.address),
                                   .hello = copy_of(tlv),
                                   .response = std::move(message),
                                   .until = until,
                                   .keys = std::move(*keys),
                                   .peer_capabilities = std::move(hello.capabilities)});
    half_open_order.emplace_back(until, id);
    const HelloName name(hello.node_id, hello.nonce);
    hellos.emplace(name, id);
    hello_order.emplace_back(now + config.limits.hello_memory, name);
    return Reply{.reply_bytes = length, .established = std::nullopt};
  }

  // --- AUTH_PROOF

  Result<Reply> handle_proof(const FrameView& frame, const Origin& origin, MutableBytes out) {
    SEALINE_TRY(tlv, detail::payload_of(frame));
    SEALINE_TRY(message, AuthProof::parse(tlv));
    if (message.session_id != frame.head.session_id) return fail(Errc::bad_handshake_message);
    if (const auto found = standing.find(message.session_id); found != standing.end()) {
      return repeat_final(found->second, tlv, origin, out);
    }
    const auto found = half_open.find(message.session_id);
    if (found == half_open.end()) return fail(Errc::wrong_state);
    HalfOpen& entry = found->second;
    if (!std::ranges::equal(entry.address, origin.address)) return fail(Errc::wrong_state);
    SEALINE_TRY(entry.keys.check_proof(message));  // a wrong one does not end the entry

    Established result = entry.keys.establish(Role::responder);
    result.peer_capabilities = std::move(entry.peer_capabilities);
    const std::size_t length = detail::encode_frame(FrameType::auth, message.session_id,
                                                    entry.keys.make_final().encode(), out);
    standing.emplace(message.session_id, Standing{.address = std::move(entry.address),
                                                  .proof = copy_of(tlv),
                                                  .final_frame = copy_of(out.first(length))});
    half_open.erase(found);
    return Reply{.reply_bytes = length, .established = std::move(result)};
  }

  static Result<Reply> repeat_final(const Standing& session, ByteView tlv, const Origin& origin,
                                    MutableBytes out) {
    if (!std::ranges::equal(session.proof, tlv) ||
        !std::ranges::equal(session.address, origin.address)) {
      return fail(Errc::wrong_state);
    }
    std::ranges::copy(session.final_frame, out.begin());
    return Reply{.reply_bytes = session.final_frame.size(), .established = std::nullopt};
  }
};

Responder::Responder(const HandshakeConfig& config, crypto::Engine& engine, crypto::Rng& rng,
                     TimePoint now)
    : machine_(std::make_unique<Machine>(
          Machine{.config = config, .engine = engine, .rng = rng, .cookie_keys = {}})) {
  rng.fill(machine_->cookie_keys[0].writable());
  // Until there is a last key, the current one stands in its place too: zeros would be a known key.
  machine_->cookie_keys[1] = machine_->cookie_keys[0].clone();
  machine_->cookie_change_at = now + config.limits.cookie_change;
}

Responder::Responder(Responder&&) noexcept = default;
Responder& Responder::operator=(Responder&&) noexcept = default;
Responder::~Responder() = default;

Result<Reply> Responder::handle_frame(const FrameView& frame, const Origin& origin,
                                      UnixMillis unix_ms, TimePoint now, MutableBytes out) {
  SEALINE_ASSERT(out.size() >= kMaxHandshakeFrameBytes);
  machine_->expire(now);
  if (frame.head.type == FrameType::handshake) {
    return machine_->handle_hello(frame, origin, unix_ms, now, out);
  }
  if (frame.head.type == FrameType::auth) return machine_->handle_proof(frame, origin, out);
  return fail(Errc::wrong_state);
}

void Responder::handle_timeout(TimePoint now) { machine_->expire(now); }

std::optional<TimePoint> Responder::poll_timeout() const {
  const Machine& m = *machine_;
  TimePoint next = m.cookie_change_at;
  if (!m.half_open_order.empty()) next = std::min(next, m.half_open_order.front().first);
  return next;
}

void Responder::release(const SessionId& session) { machine_->standing.erase(session); }

std::size_t Responder::half_open_count() const noexcept { return machine_->half_open.size(); }

}  // namespace sealine::stt
