#include "support/stcp_rogue.hpp"

#include <algorithm>
#include <utility>

namespace sealine::test {

using namespace stcp::detail;

StcpRogue::StcpRogue(const stcp::ClientConfig& config, crypto::Engine& engine, crypto::Rng& rng)
    : context(engine, rng, &config, nullptr), stage(ExpectHello{}), role_(Role::client) {}

StcpRogue::StcpRogue(const stcp::ServerConfig& config, crypto::Engine& engine, crypto::Rng& rng)
    : context(engine, rng, nullptr, &config), stage(ExpectHello{}), role_(Role::server) {}

bool StcpRogue::shake_hands(stcp::Connection& honest, TimePoint now, bool with_finish) {
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
  if (role_ == Role::client) {
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

Bytes StcpRogue::hello() {
  auto next = start_client(context);
  if (!next) return {};
  stage = std::move(*next);
  return take_outbox();
}

Bytes StcpRogue::take_answer(ByteView answer) {
  auto* state = std::get_if<ExpectAnswer>(&stage);
  if (state == nullptr || answer.size() < stcp::kRecordHeadBytes) return {};
  auto verified = on_answer(std::move(*state), answer.subspan(stcp::kRecordHeadBytes), context);
  if (!verified) return {};
  auto done = finish_client(std::move(*verified), context);
  if (!done) return {};
  agreement = std::move(*done);
  take_keys();
  return take_outbox();
}

Bytes StcpRogue::finish() {
  const ByteView reveal = ByteView(agreement.nonce_a).first(finish_data_bytes(agreement.mode));
  return seal(0x05, reveal);
}

Bytes StcpRogue::take_hello(ByteView hello) {
  auto next = on_hello(hello, context);
  if (!next) return {};
  if (auto* auth = std::get_if<ExpectAuth>(&*next)) {
    stage = std::move(*auth);
  } else {
    agreement = std::move(std::get<ExpectFinish>(*next).agreement);
    take_keys();
  }
  return take_outbox();
}

bool StcpRogue::take_last_flight(ByteView flight) {
  Bytes rest = copy_of(flight);
  if (auto* auth = std::get_if<ExpectAuth>(&stage)) {
    const std::size_t step = stcp::kRecordHeadBytes + message_bytes(stcp::Mode::mutual, Step::auth);
    if (rest.size() < step) return false;
    auto verified = on_auth(std::move(*auth), flight.subspan(24, step - 24), context);
    if (!verified) return false;
    agreement = std::move(verified->agreement);
    take_keys();
    rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(step));
  }
  const auto finish = open(rest);
  return finish && finish->type == 0x05;
}

Bytes StcpRogue::seal(std::uint8_t type, ByteView data, std::size_t pad,
                      std::int64_t length_change) {
  Bytes body = copy_of(data);
  body.resize(data.size() + pad);
  const std::size_t length = body.size() + kMinRecordLength;
  Bytes wire(stcp::kRecordHeadBytes + length);
  send.prepare(context.engine);
  store_be64(length + static_cast<std::uint64_t>(length_change), wire.data());
  std::ranges::copy(send.iv(), wire.begin() + 8);
  const MutableBytes sealed = MutableBytes(wire).subspan(stcp::kRecordHeadBytes);
  std::ranges::copy(body, sealed.begin());
  encode_trailer({static_cast<RecordType>(type), pad}, sealed.subspan(body.size()).first<4>());
  context.engine.gcm_seal(send.key(), send.nonce(), ByteView(wire).first(24), {}, sealed);
  send.advance();
  return wire;
}

Bytes StcpRogue::seal_with_trailer(std::uint8_t type, ByteView body, std::uint32_t claimed_pad) {
  const std::size_t length = body.size() + kMinRecordLength;
  Bytes wire(stcp::kRecordHeadBytes + length);
  send.prepare(context.engine);
  store_be64(length, wire.data());
  std::ranges::copy(send.iv(), wire.begin() + 8);
  const MutableBytes sealed = MutableBytes(wire).subspan(stcp::kRecordHeadBytes);
  std::ranges::copy(body, sealed.begin());
  encode_trailer({static_cast<RecordType>(type), claimed_pad},
                 sealed.subspan(body.size()).first<4>());
  context.engine.gcm_seal(send.key(), send.nonce(), ByteView(wire).first(24), {}, sealed);
  send.advance();
  return wire;
}

std::optional<PlainRecord> StcpRogue::open(Bytes& wire) {
  if (wire.size() < stcp::kRecordHeadBytes + kMinRecordLength) return std::nullopt;
  const std::uint64_t length = load_be64(wire.data());
  if (length < kMinRecordLength || length > wire.size() - stcp::kRecordHeadBytes)
    return std::nullopt;
  receive.prepare(context.engine);
  if (!std::ranges::equal(receive.iv(), ByteView(wire).subspan(8, 16))) return std::nullopt;
  const MutableBytes sealed = MutableBytes(wire).subspan(24, static_cast<std::size_t>(length));
  if (!context.engine.gcm_open(receive.key(), receive.nonce(), ByteView(wire).first(24), sealed,
                               {}))
    return std::nullopt;
  receive.advance();
  const std::size_t body = sealed.size() - kMinRecordLength;
  PlainRecord record;
  record.type = sealed[body];
  record.pad = std::size_t{sealed[body + 1]} << 16U | std::size_t{sealed[body + 2]} << 8U |
               std::size_t{sealed[body + 3]};
  record.data = copy_of(sealed.first(body - std::min(body, record.pad)));
  wire.erase(wire.begin(), wire.begin() + 24 + static_cast<std::ptrdiff_t>(length));
  return record;
}

void StcpRogue::take_keys() {
  const bool is_client = role_ == Role::client;
  const KeySchedule& keys = agreement.keys;
  send.start(is_client ? keys.client_to_server : keys.server_to_client);
  receive.start(is_client ? keys.server_to_client : keys.client_to_server);
}

Bytes StcpRogue::take_outbox() {
  Bytes bytes = copy_of(context.outbox.bytes());
  context.outbox.clear();
  return bytes;
}

}  // namespace sealine::test
