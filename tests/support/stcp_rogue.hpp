#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stcp/connection.hpp"
#include "stcp/detail/handshake.hpp"
#include "stcp/detail/record.hpp"
#include "stcp/detail/record_ratchet.hpp"
#include "stcp/detail/role.hpp"
#include "support/hex.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace sealine::test {

/// What one record says.
struct PlainRecord {
  std::uint8_t type = 0;
  Bytes data;
  std::size_t pad = 0;
};

/// A peer that holds good keys and does with them what it likes: records of any type, size and
/// padding, at any time. So a test reaches what stands behind the tag.
class StcpRogue {
 public:
  StcpRogue(const stcp::ClientConfig& config, crypto::Engine& engine, crypto::Rng& rng);
  StcpRogue(const stcp::ServerConfig& config, crypto::Engine& engine, crypto::Rng& rng);

  /// Does the whole handshake with a machine of the other role; a client sends FINISH if
  /// `with_finish`. Verdicts are given. Returns false if the machine did not get so far.
  bool shake_hands(stcp::Connection& honest, TimePoint now, bool with_finish = true);

  /// Client: step 1.
  Bytes hello();
  /// Client: takes step 2 and gives step 3, if the mode has one. FINISH is not part of it.
  Bytes take_answer(ByteView answer);
  /// Client: the true FINISH.
  Bytes finish();
  /// Server: takes step 1 and gives step 2.
  Bytes take_hello(ByteView hello);
  /// Server: takes what follows step 2: step 3, where there is one, and FINISH.
  bool take_last_flight(ByteView flight);

  /// One record of anything. `length_change` is added to the true Length field.
  Bytes seal(std::uint8_t type, ByteView data = {}, std::size_t pad = 0,
             std::int64_t length_change = 0);
  /// A record whose trailer claims `claimed_pad`, whatever stands before it.
  Bytes seal_with_trailer(std::uint8_t type, ByteView body, std::uint32_t claimed_pad);
  /// Opens the record at the front of `wire`, if it is the next one, and cuts it off.
  std::optional<PlainRecord> open(Bytes& wire);

  stcp::detail::HandshakeContext context;
  stcp::detail::HandshakeStage stage;
  stcp::detail::Agreement agreement;
  stcp::detail::RecordRatchet send;
  stcp::detail::RecordRatchet receive;

 private:
  void take_keys();
  Bytes take_outbox();

  stcp::detail::Role role_;
};

// --- how

inline StcpRogue::StcpRogue(const stcp::ClientConfig& config, crypto::Engine& engine,
                            crypto::Rng& rng)
    : context(engine, rng, &config, nullptr),
      stage(stcp::detail::ExpectHello{}),
      role_(stcp::detail::Role::client) {}

inline StcpRogue::StcpRogue(const stcp::ServerConfig& config, crypto::Engine& engine,
                            crypto::Rng& rng)
    : context(engine, rng, nullptr, &config),
      stage(stcp::detail::ExpectHello{}),
      role_(stcp::detail::Role::server) {}

inline bool StcpRogue::shake_hands(stcp::Connection& honest, TimePoint now, bool with_finish) {
  Bytes wire(1024);
  const auto poll = [&] {
    Bytes some(1024);
    some.resize(honest.poll_transmit(some, now));
    return some;
  };
  const auto give = [&](Bytes bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const auto opened = honest.handle_bytes(MutableBytes(bytes).subspan(at), {}, now);
      if (!opened || opened->consumed == 0) return false;
      at += opened->consumed;
      while (const auto event = honest.poll_event()) {
        if (std::holds_alternative<stcp::PeerKeyShown>(*event)) honest.accept_peer_key(now);
      }
    }
    return true;
  };
  if (role_ == stcp::detail::Role::client) {
    if (!give(hello())) return false;
    Bytes flight = take_answer(poll());
    if (with_finish) {
      const Bytes last = finish();
      flight.insert(flight.end(), last.begin(), last.end());
    }
    return give(std::move(flight));
  }
  if (!give(take_hello(poll()))) return false;
  return take_last_flight(poll());
}

inline Bytes StcpRogue::hello() {
  auto next = stcp::detail::start_client(context);
  if (!next) return {};
  stage = std::move(*next);
  return take_outbox();
}

inline Bytes StcpRogue::take_answer(ByteView answer) {
  auto* state = std::get_if<stcp::detail::ExpectAnswer>(&stage);
  if (state == nullptr || answer.size() < stcp::kRecordHeadBytes) return {};
  auto verified =
      stcp::detail::on_answer(std::move(*state), answer.subspan(stcp::kRecordHeadBytes), context);
  if (!verified) return {};
  auto done = stcp::detail::finish_client(std::move(*verified), context);
  if (!done) return {};
  agreement = std::move(*done);
  take_keys();
  return take_outbox();
}

inline Bytes StcpRogue::finish() {
  const ByteView reveal =
      ByteView(agreement.nonce_a).first(stcp::detail::finish_data_bytes(agreement.mode));
  return seal(0x05, reveal);
}

inline Bytes StcpRogue::take_hello(ByteView hello) {
  auto next = stcp::detail::on_hello(hello, context);
  if (!next) return {};
  if (auto* auth = std::get_if<stcp::detail::ExpectAuth>(&*next)) {
    stage = std::move(*auth);
  } else {
    agreement = std::move(std::get<stcp::detail::ExpectFinish>(*next).agreement);
    take_keys();
  }
  return take_outbox();
}

inline bool StcpRogue::take_last_flight(ByteView flight) {
  Bytes rest = copy_of(flight);
  if (auto* auth = std::get_if<stcp::detail::ExpectAuth>(&stage)) {
    const std::size_t step =
        stcp::kRecordHeadBytes +
        stcp::detail::message_bytes(stcp::Mode::mutual, stcp::detail::Step::auth);
    if (rest.size() < step) return false;
    auto verified = stcp::detail::on_auth(std::move(*auth), flight.subspan(24, step - 24), context);
    if (!verified) return false;
    agreement = std::move(verified->agreement);
    take_keys();
    rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(step));
  }
  const auto finish = open(rest);
  return finish && finish->type == 0x05;
}

inline Bytes StcpRogue::seal(std::uint8_t type, ByteView data, std::size_t pad,
                             std::int64_t length_change) {
  Bytes body = copy_of(data);
  body.resize(data.size() + pad);
  const std::size_t length = body.size() + stcp::detail::kMinRecordLength;
  Bytes wire(stcp::kRecordHeadBytes + length);
  send.prepare(context.engine);
  stcp::detail::store_be64(length + static_cast<std::uint64_t>(length_change), wire.data());
  std::ranges::copy(send.iv(), wire.begin() + 8);
  const MutableBytes sealed = MutableBytes(wire).subspan(stcp::kRecordHeadBytes);
  std::ranges::copy(body, sealed.begin());
  stcp::detail::encode_trailer({static_cast<stcp::detail::RecordType>(type), pad},
                               sealed.subspan(body.size()).first<4>());
  context.engine.gcm_seal(send.key(), send.nonce(), ByteView(wire).first(24), {}, sealed);
  send.advance();
  return wire;
}

inline Bytes StcpRogue::seal_with_trailer(std::uint8_t type, ByteView body,
                                          std::uint32_t claimed_pad) {
  const std::size_t length = body.size() + stcp::detail::kMinRecordLength;
  Bytes wire(stcp::kRecordHeadBytes + length);
  send.prepare(context.engine);
  stcp::detail::store_be64(length, wire.data());
  std::ranges::copy(send.iv(), wire.begin() + 8);
  const MutableBytes sealed = MutableBytes(wire).subspan(stcp::kRecordHeadBytes);
  std::ranges::copy(body, sealed.begin());
  stcp::detail::encode_trailer({static_cast<stcp::detail::RecordType>(type), claimed_pad},
                               sealed.subspan(body.size()).first<4>());
  context.engine.gcm_seal(send.key(), send.nonce(), ByteView(wire).first(24), {}, sealed);
  send.advance();
  return wire;
}

inline std::optional<PlainRecord> StcpRogue::open(Bytes& wire) {
  if (wire.size() < stcp::kRecordHeadBytes + stcp::detail::kMinRecordLength) return std::nullopt;
  const std::uint64_t length = stcp::detail::load_be64(wire.data());
  if (length < stcp::detail::kMinRecordLength || length > wire.size() - stcp::kRecordHeadBytes)
    return std::nullopt;
  receive.prepare(context.engine);
  if (!std::ranges::equal(receive.iv(), ByteView(wire).subspan(8, 16))) return std::nullopt;
  const MutableBytes sealed = MutableBytes(wire).subspan(24, static_cast<std::size_t>(length));
  if (!context.engine.gcm_open(receive.key(), receive.nonce(), ByteView(wire).first(24), sealed,
                               {}))
    return std::nullopt;
  receive.advance();
  const std::size_t body = sealed.size() - stcp::detail::kMinRecordLength;
  PlainRecord record;
  record.type = sealed[body];
  record.pad = std::size_t{sealed[body + 1]} << 16U | std::size_t{sealed[body + 2]} << 8U |
               std::size_t{sealed[body + 3]};
  record.data = copy_of(sealed.first(body - std::min(body, record.pad)));
  wire.erase(wire.begin(), wire.begin() + 24 + static_cast<std::ptrdiff_t>(length));
  return record;
}

inline void StcpRogue::take_keys() {
  const bool is_client = role_ == stcp::detail::Role::client;
  const stcp::detail::KeySchedule& keys = agreement.keys;
  send.start(is_client ? keys.client_to_server : keys.server_to_client);
  receive.start(is_client ? keys.server_to_client : keys.client_to_server);
}

inline Bytes StcpRogue::take_outbox() {
  Bytes bytes = copy_of(context.outbox.bytes());
  context.outbox.clear();
  return bytes;
}

}  // namespace sealine::test
