#include "support/stcp_pair.hpp"

#include "sealine/base/assert.hpp"

#include <algorithm>
#include <utility>

namespace sealine::test {
namespace {

using stcp::State;

std::string words_of(const stcp::Event& event) {
  struct Words {
    std::string operator()(const stcp::PeerKeyShown& e) const {
      return "key " + to_hex(e.key.bytes).substr(0, 8);
    }

    std::string operator()(const stcp::Established&) const { return "established"; }

    std::string operator()(const stcp::DataEnded&) const { return "data ended"; }

    std::string operator()(const stcp::Aborted& e) const {
      return "aborted " + std::to_string(e.reason);
    }

    std::string operator()(const stcp::PinUpdated& e) const {
      return "pin " + to_hex(e.next_key.bytes).substr(0, 8);
    }

    std::string operator()(const stcp::Rekeyed& e) const {
      return "rekeyed " + std::to_string(e.epoch);
    }
  };

  return std::visit(Words{}, event);
}

crypto::Psk make_psk(crypto::Rng& rng) {
  crypto::Psk psk;
  rng.fill(psk.writable());
  return psk;
}

}  // namespace

bool StcpEnd::saw(std::size_t event_index) const {
  return std::ranges::any_of(
      events, [&](const stcp::Event& event) { return event.index() == event_index; });
}

StcpPair::StcpPair(Options options)
    : rng(options.seed), options_(std::move(options)), split_rng_(options_.seed + 1) {
  auto made = crypto::make_engine(options_.engine);
  SEALINE_ASSERT(made.has_value());
  engine = std::move(*made);

  const stcp::Mode mode = options_.mode;
  client_config.mode = mode;
  client_config.limits = options_.client_limits;
  client_config.padding = options_.client_padding;
  server_config.modes = {mode};
  server_config.limits = options_.server_limits;
  server_config.padding = options_.server_padding;
  if (mode == stcp::Mode::mutual) {
    client_config.identity =
        std::make_shared<crypto::KeyPair>(crypto::KeyPair::generate(*engine, rng));
  }
  if (mode == stcp::Mode::tofu || mode == stcp::Mode::mutual) {
    server_config.identity =
        std::make_shared<crypto::KeyPair>(crypto::KeyPair::generate(*engine, rng));
  }
  if (mode == stcp::Mode::psk) {
    for (std::size_t i = 0; i < options_.psk_count; ++i) {
      server_config.psks.push_back(stcp::ServerPsk::make(*engine, make_psk(rng)));
    }
    client_config.psk = std::make_shared<crypto::Psk>(server_config.psks.back().psk.clone());
  }
  restart();
}

void StcpPair::restart() {
  const std::pair verdicts{client.verdict, server.verdict};
  const std::pair out_bytes{client.out_bytes, server.out_bytes};
  client = {};
  server = {};
  client.verdict = verdicts.first;
  server.verdict = verdicts.second;
  client.out_bytes = out_bytes.first;
  server.out_bytes = out_bytes.second;
  auto c = stcp::ClientConnection::create(client_config, *engine, rng, now);
  auto s = stcp::ServerConnection::create(server_config, *engine, rng, now);
  SEALINE_ASSERT(c.has_value() && s.has_value());
  client.machine = std::make_unique<stcp::ClientConnection>(std::move(*c));
  server.machine = std::make_unique<stcp::ServerConnection>(std::move(*s));
  drain_events(client);
  drain_events(server);
}

void StcpPair::run() {
  bool busy = true;
  while (busy) {
    busy = step(client, server, client_to_server);
    busy = step(server, client, server_to_client) || busy;
  }
}

void StcpPair::advance(Duration duration) {
  const TimePoint until = now + duration;
  run();
  while (true) {
    TimePoint next = until;
    for (StcpEnd* end : {&client, &server}) {
      if (const auto deadline = end->machine->poll_timeout()) next = std::min(next, *deadline);
    }
    now = std::max(now, next);
    for (StcpEnd* end : {&client, &server}) {
      end->machine->handle_timeout(now);
      drain_events(*end);
    }
    run();
    if (now >= until) return;
  }
}

void StcpPair::send(StcpEnd& from, ByteView data) {
  from.to_send.insert(from.to_send.end(), data.begin(), data.end());
}

void StcpPair::end_stream(StcpEnd& from) {
  StcpEnd& to = other(from);
  to.stream_ended = true;
  to.machine->handle_end_of_stream(now);
  drain_events(to);
}

bool StcpPair::step(StcpEnd& from, StcpEnd& to, const Tamper& tamper) {
  Bytes wire = take_output(from);
  if (wire.empty()) return false;
  if (tamper) tamper(wire);
  if (options_.max_chunk_bytes == 0) {
    const std::size_t first = wire.empty() ? 0 : options_.split_at % wire.size();
    if (first != 0) deliver(to, ByteView(wire).first(first));
    deliver(to, ByteView(wire).subspan(first));
    return true;
  }
  for (std::size_t at = 0; at < wire.size();) {
    const auto count = static_cast<std::size_t>(1 + split_rng_.below(options_.max_chunk_bytes));
    const ByteView rest = ByteView(wire).subspan(at);
    const ByteView chunk = rest.first(std::min(count, rest.size()));
    deliver(to, chunk);
    at += chunk.size();
  }
  return true;
}

Bytes StcpPair::take_output(StcpEnd& end) {
  Bytes wire;
  Bytes& buffer = buffer_;
  while (!end.to_send.empty() && end.machine->can_send()) {
    const auto sealed = end.machine->seal(end.to_send, buffer, now);
    if (!sealed || (sealed->taken == 0 && sealed->written == 0)) break;
    end.to_send.erase(end.to_send.begin(),
                      end.to_send.begin() + static_cast<std::ptrdiff_t>(sealed->taken));
    wire.insert(wire.end(), buffer.begin(),
                buffer.begin() + static_cast<std::ptrdiff_t>(sealed->written));
  }
  while (const std::size_t written = end.machine->poll_transmit(buffer, now)) {
    wire.insert(wire.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(written));
  }
  drain_events(end);
  end.sent_wire.insert(end.sent_wire.end(), wire.begin(), wire.end());
  return wire;
}

void StcpPair::deliver(StcpEnd& end, ByteView bytes) {
  if (end.error) return;  // nobody reads any more
  end.inbox.insert(end.inbox.end(), bytes.begin(), bytes.end());
  feed(end);
}

void StcpPair::feed(StcpEnd& end) {
  Bytes out(end.out_bytes);
  while (true) {
    // A small run gets memory of its own: AddressSanitizer then sees every byte read beyond it.
    constexpr std::size_t kSmall = 4096;
    Bytes copy;
    if (end.inbox.size() <= kSmall) copy = end.inbox;
    const MutableBytes in = copy.empty() ? MutableBytes(end.inbox) : MutableBytes(copy);
    const auto opened = end.machine->handle_bytes(in, out, now);
    if (!opened) {
      if (!end.error) end.error = opened.error();
      drain_events(end);
      return;
    }
    end.received.insert(end.received.end(), out.begin(),
                        out.begin() + static_cast<std::ptrdiff_t>(opened->delivered));
    end.received.insert(end.received.end(), opened->spill.begin(), opened->spill.end());
    end.inbox.erase(end.inbox.begin(),
                    end.inbox.begin() + static_cast<std::ptrdiff_t>(opened->consumed));
    const std::size_t events_before = end.events.size();
    drain_events(end);
    const bool moved = opened->consumed != 0 || end.events.size() != events_before;
    if (!moved || end.inbox.empty()) return;
  }
}

void StcpPair::drain_events(StcpEnd& end) {
  while (const auto event = end.machine->poll_event()) {
    end.events.push_back(*event);
    end.history.push_back(words_of(*event));
    if (std::holds_alternative<stcp::PeerKeyShown>(*event)) {
      if (end.verdict == Verdict::accept) end.machine->accept_peer_key(now);
      if (end.verdict == Verdict::refuse) end.machine->refuse_peer_key(Errc::peer_key_refused);
    }
  }
  if (end.machine->state() != end.last_state) {
    end.last_state = end.machine->state();
    end.history.emplace_back(stcp::to_string(end.last_state));
  }
}

}  // namespace sealine::test
