#include "tests/sim/stcp/world.hpp"

#include "sealine/crypto/engine.hpp"
#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/keys.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/timers.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/wire.hpp"
#include "tests/sim/base/world.hpp"
#include "tests/sim/stcp/end.hpp"
#include "tests/sim/stcp/link.hpp"
#include "tests/support/no_alloc.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::sim {

StcpWorld::StcpWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner,
                     const Keys& keys)
    : World(seed, 0x5ea11e, events, inner, stcp::kRecordHeadBytes), keys_(keys) {
  draw_rates(seed);
  draw_servers();
}

void StcpWorld::draw_rates(std::uint64_t seed) {
  rates_.is_liveness = seed % 4 == 0;
  rates_.nodes = dice_.between(1, 7);
  rates_.stall_permille = dice_.pick<unsigned>({0, 0, 1, 5});
  rates_.control_percent = dice_.pick<unsigned>({0, 2, 5, 20});
  rates_.tick_percent = dice_.pick<unsigned>({2, 8, 20});
  rates_.slow_percent = dice_.pick<unsigned>({0, 0, 10, 80});
  rates_.capacity = dice_.pick<std::size_t>({1000, 16384, 65536});
  rates_.abort_percent = dice_.pick<unsigned>({0, 0, 2, 10});
  if (rates_.is_liveness) {
    rates_.longest_stall_ms = 0;
  } else {
    rates_.tamper_permille = dice_.pick<unsigned>({0, 2, 8, 20});
    rates_.cut_permille = dice_.pick<unsigned>({0, 1, 4});
  }
}

stcp::Limits StcpWorld::draw_limits() {
  stcp::Limits limits;
  limits.max_record_log2 = dice_.pick<std::uint8_t>({12, 12, 13, 16});
  limits.rekey_bytes = dice_.pick<std::uint64_t>({1000, 5000, 60000, 1 << 30});
  limits.rekey_after = dice_.pick<Duration>({3s, 60s, 3600s});
  limits.ping_interval = dice_.pick<Duration>({0s, 0s, 2s, 25s});
  if (!rates_.is_liveness) {
    limits.idle_timeout = dice_.pick<Duration>({300s, 300s, 20s, 0s});
    if (dice_.chance(3)) limits.max_sequence = dice_.between(3, 60);
  }
  return limits;
}

stcp::Padding StcpWorld::draw_padding() {
  switch (dice_.below(8)) {
    case 0:
      return stcp::PadToMultiple{dice_.pick<std::uint32_t>({2, 64, 256, 2048})};
    case 1:
      return stcp::PadPadme{};
    case 2:
      return stcp::PadConstantRate{dice_.pick<std::uint32_t>({64, 300, 1000}),
                                   dice_.pick<Duration>({20ms, 50ms, 500ms})};
    default:
      return stcp::PadNone{};
  }
}

void StcpWorld::draw_servers() {
  const std::size_t count = dice_.between(1, 3);
  for (std::size_t i = 0; i < count; ++i) {
    auto config = std::make_unique<stcp::ServerConfig>();
    config->modes = {Mode::anonymous, Mode::tofu, Mode::mutual, Mode::psk};
    config->identity = keys_.pairs[i];
    const std::size_t secrets = dice_.between(1, 3);
    for (std::size_t k = 0; k < secrets; ++k) {
      config->psks.push_back(stcp::ServerPsk::make(engine_, keys_.psks[k]->clone()));
    }
    config->limits = draw_limits();
    config->padding = draw_padding();
    servers_.push_back(std::move(config));
  }
}

bool StcpWorld::is_time_to_open() {
  return links_.size() < rates_.nodes && opened_ < rates_.dials &&
         (links_.empty() || dice_.chance(5));
}

void StcpWorld::take_turn() {
  StcpLink& link = *links_[dice_.below(links_.size())];
  const bool is_client = dice_.chance(50);
  if (dice_.chance(rates_.control_percent)) {
    control(link, is_client);
  } else if (dice_.chance(45)) {
    write(link, is_client);
  } else {
    deliver(link, is_client);
  }
  look_at(link);
}

void StcpWorld::pass() {
  if (links_.empty()) ++sums_.idle;
  for (auto& link : links_) {
    for (StcpEnd* end : link->ends()) {
      if (fire(*end, now_)) trace_.add(static_cast<std::uint64_t>(end->connection().state()));
    }
  }
  for (auto& link : links_) {
    look_at(*link);
    for (const StcpEnd* end : link->ends()) {
      require(end->connection().state() != stcp::State::key_exchange ||
                  now_ - link->opened < kHandshakeTime,
              "a handshake ends at its deadline");
    }
  }
}

void StcpWorld::deliver(StcpLink& link, bool to_client) {
  Pipe& pipe = to_client ? link.down : link.up;
  StcpEnd* const end = to_client ? link.client.get() : link.server.get();
  note(2, pipe.size());
  if (end == nullptr) {
    pipe.take(pipe.size());
    return;
  }
  if (pipe.stalled_until > now_) return;
  const std::size_t count = draw_piece(pipe.size(), {1, 30, 400});
  hand_over(pipe, *end, count, dice_.chance(rates_.slow_percent));
}

void StcpWorld::hand_over(Pipe& pipe, StcpEnd& end, std::size_t count, bool is_slow) {
  if (end.is_over()) {
    pipe.take(count);  // nobody reads any more
    return;
  }
  end.receive(pipe.front(count));
  trace_.add(pipe.front(count));
  pipe.take(count);
  end.process(now_, is_slow);
  require(!end.was_established() || end.consumed() <= pipe.good_bytes,
          "nothing that was changed on its way is taken as good");
  if (pipe.size() == 0 && pipe.is_ended && !end.end_given() && !end.is_over()) {
    end.process(now_);
    if (!end.is_over()) end.end_of_stream(now_);
  }
}

void StcpWorld::write(StcpLink& link, bool by_client) {
  StcpEnd* const end = by_client ? link.client.get() : link.server.get();
  note(3, 0);
  if (end == nullptr) return;
  const Pipe& pipe = by_client ? link.up : link.down;
  if (end->left() == 0) {
    const bool closes = by_client ? link.client_closes : link.server_closes;
    if (closes && end->connection().can_send()) end->close(now_);
    return;
  }
  if (pipe.size() > rates_.capacity) return;
  const std::size_t most = dice_.pick({1UL, 40UL, 300UL, 300UL, 1500UL, 5000UL});
  const std::size_t room = dice_.pick({0UL, 44UL, 45UL, 400UL, 12000UL, 12000UL, 12000UL});
  end->send(dice_.between(1, most), room, now_);
  trace_.add(end->sent());
}

void StcpWorld::control(StcpLink& link, bool by_client) {
  StcpEnd* const end = by_client ? link.client.get() : link.server.get();
  const std::size_t what = dice_.below(12);
  note(4, what);
  if (end == nullptr) return;
  switch (what) {
    case 0:
      // Honest ends do not flood (section 5 counts what brings no data).
      if (dice_.chance(20)) end->ping(now_);
      break;
    case 1:
    case 2:
      end->request_rekey(now_);
      break;
    case 3:
      end->run_ahead(now_);
      break;
    case 4:
      end->timeout(now_);
      break;  // early: harmless
    case 5:
      if (dice_.chance(rates_.abort_percent)) {
        end->abort(static_cast<std::uint8_t>(dice_.between(1, 255)), now_);
      }
      break;
    case 6:
      if (dice_.chance(5)) {
        end->offer_no_more_than(0);
        end->close(now_);
      }
      break;
    case 7:
      if (!by_client && dice_.chance(20)) {
        end->announce(keys_.pairs[4 + dice_.below(2)]->public_key, now_);
      }
      break;
    case 8:
      end->send(0, 200, now_);
      break;
    case 9:
      if (end->close_asked()) end->close(now_);  // again: nothing
      break;
    default:
      end->process(now_);
      break;
  }
}

std::optional<World::Target> StcpWorld::draw_target() {
  if (links_.empty()) return std::nullopt;
  StcpLink& link = *links_[dice_.below(links_.size())];
  return Target{.up = &link.up, .down = &link.down, .was_cut = &link.was_cut};
}

void StcpWorld::tamper() {
  if (links_.empty()) return;
  if (dice_.chance(15)) return attack();
  StcpLink& link = *links_[dice_.below(links_.size())];
  Pipe& pipe = dice_.chance(50) ? link.up : link.down;
  // Once is enough, and a bit that is turned back would be as if nothing had happened.
  if (pipe.size() == 0 || pipe.is_tampered) return;
  const StcpLink& other = *links_[dice_.below(links_.size())];
  sim::tamper(pipe, dice_.chance(50) ? other.up.seen() : other.down.seen(), dice_);
}

void StcpWorld::attack() {
  if (opened_ >= rates_.dials || links_.size() > rates_.nodes + 2) return;
  const StcpLink& source = *links_[dice_.below(links_.size())];
  if (source.expectation != Expectation::works || !source.client || !source.server) return;
  const bool to_server = dice_.chance(60);
  const std::vector<std::uint8_t> captured = to_server ? source.up.seen() : source.down.seen();
  auto link = std::make_unique<StcpLink>();
  link->opened = now_;
  if (to_server) {
    link->server = make_server(*servers_[dice_.below(servers_.size())], link->down, {});
    link->up.write(captured);
    link->up.is_tampered = true;
  } else {
    auto& config = *clients_[dice_.below(clients_.size())];
    link->client = make_client(config, link->up, {});
    // A client that is bounced its own bytes, or another session's answer.
    if (dice_.chance(50)) {
      link->down.write(captured);
    } else {
      link->down.write(link->up.front(link->up.size()));
    }
    link->down.is_tampered = true;
  }
  ++opened_;
  links_.push_back(std::move(link));
}

std::unique_ptr<StcpEnd> StcpWorld::make_client(const stcp::ClientConfig& config, Wire& wire,
                                                StcpEnd::Setup setup) {
  auto machine = stcp::ClientConnection::create(config, engine_, rng_, now_);
  require(machine.has_value(), "a client can be made");
  setup.is_paced = std::holds_alternative<stcp::PadConstantRate>(config.padding);
  return start(std::move(*machine), setup, wire);
}

std::unique_ptr<StcpEnd> StcpWorld::make_server(const stcp::ServerConfig& config, Wire& wire,
                                                StcpEnd::Setup setup) {
  const std::size_t before = test::allocated_bytes();
  auto machine = stcp::ServerConnection::create(config, engine_, rng_, now_);
  require(machine.has_value(), "a server can be made");
  require(test::allocated_bytes() - before <= kUnprovedBytes, "a stranger costs 8 KiB at most");
  setup.is_paced = std::holds_alternative<stcp::PadConstantRate>(config.padding);
  return start(std::move(*machine), setup, wire);
}

std::unique_ptr<StcpEnd> StcpWorld::start(StcpEnd::Machine machine, const StcpEnd::Setup& setup,
                                          Wire& wire) {
  auto end = std::make_unique<StcpEnd>(std::move(machine), setup, engine_, book_, wire,
                                       Dice(dice_.next()));
  end->start(now_);
  return end;
}

std::uint64_t StcpWorld::draw_offer() {
  constexpr std::size_t kMost[] = {0, 300, 30'000, 300'000, 300'000};
  return dice_.between(0, dice_.pick(kMost));
}

void StcpWorld::open() {
  const std::size_t which = dice_.below(servers_.size());
  const stcp::ServerConfig* server = servers_[which].get();
  auto config = std::make_unique<stcp::ClientConfig>();
  config->mode = dice_.pick({Mode::anonymous, Mode::tofu, Mode::tofu, Mode::mutual, Mode::psk});
  auto link = std::make_unique<StcpLink>();
  const auto& identity = keys_.pairs[3 + dice_.below(3)];
  if (config->mode == Mode::mutual) config->identity = identity;
  if (config->mode == Mode::psk) {
    const std::size_t secret = dice_.below(4);
    config->psk = keys_.psks[secret];
    if (secret >= server->psks.size()) link->expectation = Expectation::refused;
  }
  config->limits = draw_limits();
  config->padding = draw_padding();
  std::optional<crypto::PublicKey> pinned;
  std::optional<crypto::PublicKey> allowed;
  if (config->mode == Mode::tofu || config->mode == Mode::mutual) {
    pinned = server->identity->public_key;
    if (dice_.chance(5)) {
      pinned = keys_.pairs[7]->public_key;
      link->expectation = Expectation::wrong_server;
    }
  }
  if (config->mode == Mode::mutual) allowed = identity->public_key;

  const std::uint64_t stream = ++streams_ * 2;
  link->opened = now_;
  link->has_constant_rate = std::holds_alternative<stcp::PadConstantRate>(config->padding) ||
                            std::holds_alternative<stcp::PadConstantRate>(server->padding);
  link->has_last_sequence = config->limits.max_sequence < 100 || server->limits.max_sequence < 100;
  link->client = make_client(
      *config, link->up,
      {.sends = stream, .receives = stream + 1, .expected_key = pinned, .offers = draw_offer()});
  link->server = make_server(
      *server, link->down,
      {.sends = stream + 1, .receives = stream, .expected_key = allowed, .offers = draw_offer()});
  link->client_closes = rates_.is_liveness || dice_.chance(90);
  link->server_closes = rates_.is_liveness || dice_.chance(90);
  clients_.push_back(std::move(config));
  ++opened_;
  links_.push_back(std::move(link));
}

void StcpWorld::look_at(StcpLink& link) {
  if (link.is_attack()) {
    const StcpEnd& honest = link.client ? *link.client : *link.server;
    require(!honest.was_established(), "an attacker's bytes are never ENCRYPTED");
  } else {
    StcpEnd::compare(*link.client, *link.server);
    if (link.expectation == Expectation::refused) {
      require(link.server->wire_bytes() == 0, "who is refused gets no byte");
      require(!link.client->was_established(), "who is refused is not ENCRYPTED");
    }
    if (link.expectation == Expectation::wrong_server) {
      require(!link.client->was_established(), "a changed key is never ENCRYPTED");
      require(!link.server->was_established(), "a changed key is told nothing");
    }
  }
  end_stream_of(link.client.get(), link.up);
  end_stream_of(link.server.get(), link.down);
}

void StcpWorld::end_stream_of(StcpEnd* end, Pipe& pipe) {
  if (end == nullptr) {
    if (pipe.size() == 0) pipe.is_ended = true;
    return;
  }
  if (!end->is_over() || pipe.is_ended) return;
  require(!end->connection().has_transmit(), "an end that is over has nothing to say");
  pipe.is_ended = true;
}

void StcpWorld::collect() {
  take_away(
      links_,
      [](const StcpLink& link) {
        return std::ranges::all_of(link.ends(), [](const StcpEnd* end) { return end->is_over(); });
      },
      [this](StcpLink& link) { finish(link); });
}

void StcpWorld::finish_all() {
  for (auto& link : links_) finish(*link);
}

void StcpWorld::finish(StcpLink& link) {
  for (StcpEnd* end : link.ends()) {
    judge(link, *end, end->is_client() ? link.server.get() : link.client.get());
    if (end->was_established()) ++sums_.established;
    if (end->connection().fault()) ++sums_.faults;
    if (end->data_ended()) ++sums_.clean;
    sums_.rekeys += end->rekeys();
    end->observe(trace_, now_);
  }
  if (is_settling() && link.expectation == Expectation::works) require_completed(link);
}

void StcpWorld::judge(const StcpLink& link, const StcpEnd& end, const StcpEnd* other) const {
  const auto fault = end.connection().fault();
  if (!fault || link.is_tampered() || link.is_attack()) return;
  const Duration age = now_ - link.opened;
  const Errc code = fault->code;
  const bool peer_failed = other->connection().fault() || other->abort_sent();
  if (code == Errc::truncated) {
    require(end.end_given(), "truncation needs an end of the stream");
    require(link.was_cut || peer_failed, "truncation needs a cut or a peer that failed");
  } else if (code == Errc::aborted) {
    require(end.abort_sent() || peer_failed, "an abort needs somebody who aborts");
  } else if (code == Errc::cancelled) {
    require(end.is_cancelled(), "nothing is cancelled by itself");
  } else if (code == Errc::handshake_timeout) {
    require(age >= 10s, "the handshake has its time");
  } else if (code == Errc::idle_timeout) {
    require(age >= 20s, "idleness takes its time");
  } else if (code == Errc::too_slow) {
    require(age >= 30s, "slowness takes its time");
  } else if (code == Errc::peer_key_changed) {
    require(end.refused_key() && link.expectation == Expectation::wrong_server,
            "a key is refused because it changed");
  } else if (code == Errc::unknown_hint || code == Errc::hello_not_authentic) {
    require(link.expectation == Expectation::refused, "a holder of the secret is let in");
  } else if (code == Errc::too_many_empty) {
    // Empty records that a stall has held back come at once (section 5).
    require(link.has_constant_rate || link.has_last_sequence, "no flood without padding");
  } else if (code == Errc::sequence_exhausted) {
    require(link.has_last_sequence, "sequence numbers end where they are told to");
  } else if (code == Errc::peer_fell_silent) {
    require(other->is_dead() || link.was_cut, "a peer falls silent for a reason");
  } else {
    throw Violation("false alarm: " + std::string(to_string(code)));
  }
}

// --- liveness

void StcpWorld::calm() {
  for (auto& link : links_) {
    link->go_on(now_);
    // A slow pace takes its time, and that is no fault.
    for (StcpEnd* end : link->ends()) {
      if (link->has_constant_rate) end->offer_no_more_than(1000);
    }
  }
}

void StcpWorld::settle_turn() {
  for (auto& link : links_) {
    for (StcpEnd* end : link->ends()) {
      Pipe& in = end->is_client() ? link->down : link->up;
      for (int i = 0; i < 8 && end->left() > 0 && end->connection().can_send(); ++i) {
        end->send(5000, 12000, now_);
      }
      if (end->left() == 0 && end->connection().can_send()) end->close(now_);
      hand_over(in, *end, in.size(), false);
    }
    look_at(*link);
  }
}

void StcpWorld::require_completed(const StcpLink& link) {
  for (const auto& [end, other] : {std::pair(link.client.get(), link.server.get()),
                                   std::pair(link.server.get(), link.client.get())}) {
    const auto fault = end->connection().fault();
    const bool is_excused =
        end->abort_sent() || other->abort_sent() || fault || other->connection().fault();
    require(is_excused || (end->data_ended() && end->delivered() == other->sent()),
            "all data arrives");
  }
}

void StcpWorld::print() const {
  for (const auto& link : links_) {
    for (const StcpEnd* end : link->ends()) end->print();
  }
}

World::Counts StcpWorld::counts() const {
  return {{"ends encrypted", sums_.established},
          {"clean", sums_.clean},
          {"faults", sums_.faults},
          {"rekeys", sums_.rekeys},
          {"keys", book_.count()},
          {"idle events", sums_.idle}};
}

}  // namespace sealine::sim
