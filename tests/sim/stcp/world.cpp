#include "tests/sim/stcp/world.hpp"

#include "sealine/crypto/engine.hpp"
#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/stcp/end.hpp"
#include "tests/sim/stcp/link.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <malloc.h>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::sim {

StcpWorld::StcpWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner,
                     const Keys& keys)
    : keys_(keys),
      dice_(seed),
      rng_(mix(seed) ^ 0x5ea11e),
      engine_(inner, book_, stcp::kRecordHeadBytes),
      events_(events) {
  draw_rates(seed);
  draw_servers();
}

RunResult StcpWorld::run() {
  while (result_.events < events_) {
    step();
    ++result_.events;
  }
  if (rates_.is_liveness) settle();
  for (auto& link : links_) finish(*link);
  return {.trace = trace_.value(),
          .events = result_.events,
          .counts = {{"ends encrypted", result_.established},
                     {"clean", result_.clean},
                     {"faults", result_.faults},
                     {"rekeys", result_.rekeys},
                     {"keys", book_.count()},
                     {"idle events", result_.idle}}};
}

stcp::Limits StcpWorld::draw_limits() {
  stcp::Limits limits;
  limits.max_record_log2 = static_cast<std::uint8_t>(dice_.pick({12, 12, 13, 16}));
  limits.rekey_bytes = static_cast<std::uint64_t>(dice_.pick({1000, 5000, 60000, 1 << 30}));
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
      return stcp::PadToMultiple{static_cast<std::uint32_t>(dice_.pick({2, 64, 256, 2048}))};
    case 1:
      return stcp::PadPadme{};
    case 2:
      return stcp::PadConstantRate{static_cast<std::uint32_t>(dice_.pick({64, 300, 1000})),
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

void StcpWorld::step() {
  const std::size_t roll = dice_.below(1000);
  if (roll < rates_.tamper_permille) return tamper();
  if (roll < rates_.tamper_permille + rates_.cut_permille) return cut();
  if (roll < rates_.tamper_permille + rates_.cut_permille + rates_.stall_permille) return stall();
  if (links_.size() < rates_.links && opened_ < rates_.handshakes &&
      (links_.empty() || dice_.chance(5))) {
    return open();
  }
  if (dice_.chance(rates_.tick_percent) || links_.empty()) return tick();
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

void StcpWorld::tick() {
  note(1, 0);
  Duration by = std::chrono::microseconds(dice_.between(1, 3000));
  if (dice_.chance(10)) by = std::chrono::milliseconds(dice_.between(1, 400));
  if (dice_.chance(1) && !rates_.is_liveness) by = std::chrono::seconds(dice_.between(1, 40));
  now_ += by;
  // Where nothing more can be opened, time is all there is.
  if (links_.empty()) {
    now_ += 1s;
    ++result_.idle;
  }
  fire_timers();
  for (auto& link : links_) {
    look_at(*link);
    for (const StcpEnd* end : {link->client.get(), link->server.get()}) {
      require(end == nullptr || end->connection().state() != stcp::State::key_exchange ||
                  now_ - link->opened < kHandshakeTime,
              "a handshake ends at its deadline");
    }
  }
  collect();
}

void StcpWorld::fire_timers() {
  for (auto& link : links_) {
    for (StcpEnd* end : {link->client.get(), link->server.get()}) {
      if (end == nullptr || !end->deadline() || *end->deadline() > now_) continue;
      // Each call may leave another deadline that has passed as well, but no endless row of them.
      for (int i = 0; i < 8 && end->deadline() && *end->deadline() <= now_; ++i) {
        end->timeout(now_);
      }
      require(!end->deadline() || *end->deadline() > now_, "a timer that fired is over");
      trace_.add(static_cast<std::uint64_t>(end->connection().state()));
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
  std::size_t count = pipe.size();
  switch (dice_.below(6)) {
    case 0:
      count = std::min<std::size_t>(count, 1);
      break;
    case 1:
      count = std::min<std::size_t>(count, dice_.between(1, 30));
      break;
    case 2:
      count = std::min<std::size_t>(count, dice_.between(1, 400));
      break;
    default:
      break;
  }
  hand_over(link, pipe, *end, count, dice_.chance(rates_.slow_percent));
}

void StcpWorld::hand_over(StcpLink& link, Pipe& pipe, StcpEnd& end, std::size_t count,
                          bool is_slow) {
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
  static_cast<void>(link);
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
  if (pipe.size() > rates_.window_bytes) return;
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

void StcpWorld::stall() {
  note(5, 0);
  if (links_.empty()) return;
  StcpLink& link = *links_[dice_.below(links_.size())];
  const Duration length = std::chrono::milliseconds(dice_.chance(10) && !rates_.is_liveness
                                                        ? dice_.between(1000, 120'000)
                                                        : dice_.between(1, 900));
  if (dice_.chance(60)) link.up.stalled_until = now_ + length;
  if (dice_.chance(60)) link.down.stalled_until = now_ + length;
}

void StcpWorld::cut() {
  note(6, 0);
  if (links_.empty()) return;
  StcpLink& link = *links_[dice_.below(links_.size())];
  link.is_cut = true;
  const bool is_reset = dice_.chance(50);
  for (Pipe* pipe : {&link.up, &link.down}) {
    if (dice_.chance(30)) continue;  // one direction alone
    if (is_reset) pipe->drop_all();
    pipe->is_ended = true;
    pipe->is_deaf = true;
  }
}

void StcpWorld::tamper() {
  note(7, 0);
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
  if (opened_ >= rates_.handshakes || links_.size() > rates_.links + 2) return;
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
  const std::size_t before = ::mallinfo2().uordblks;
  auto machine = stcp::ServerConnection::create(config, engine_, rng_, now_);
  require(machine.has_value(), "a server can be made");
  require(::mallinfo2().uordblks - before <= kUnprovedBytes, "a stranger costs 8 KiB at most");
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
  note(8, 0);
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
  for (std::size_t i = 0; i < links_.size();) {
    StcpLink& link = *links_[i];
    const bool client_over = !link.client || link.client->is_over();
    const bool server_over = !link.server || link.server->is_over();
    if (client_over && server_over) {
      finish(link);
      links_.erase(links_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

void StcpWorld::finish(StcpLink& link) {
  for (StcpEnd* end : {link.client.get(), link.server.get()}) {
    if (end == nullptr) continue;
    judge(link, *end, end->is_client() ? link.server.get() : link.client.get());
    if (end->was_established()) ++result_.established;
    if (end->connection().fault()) ++result_.faults;
    if (end->data_ended()) ++result_.clean;
    result_.rekeys += end->rekeys();
    end->observe(trace_, now_);
  }
}

void StcpWorld::judge(const StcpLink& link, const StcpEnd& end, const StcpEnd* other) const {
  const auto fault = end.connection().fault();
  if (!fault || link.is_tampered() || link.is_attack()) return;
  const Duration age = now_ - link.opened;
  const Errc code = fault->code;
  const bool peer_failed = other->connection().fault() || other->abort_sent();
  if (code == Errc::truncated) {
    require(end.end_given(), "truncation needs an end of the stream");
    require(link.is_cut || peer_failed, "truncation needs a cut or a peer that failed");
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
    require(other->is_dead() || link.is_cut, "a peer falls silent for a reason");
  } else {
    throw Violation("false alarm: " + std::string(to_string(code)));
  }
}

void StcpWorld::settle() {
  for (auto& link : links_) {
    link->up.stalled_until = link->down.stalled_until = now_;
    for (StcpEnd* end : {link->client.get(), link->server.get()}) {
      // A slow pace takes its time, and that is no fault.
      if (link->has_constant_rate) end->offer_no_more_than(1000);
    }
  }
  const TimePoint limit = now_ + kSettleTime;
  while (!links_.empty()) {
    if (now_ > limit) {
      for (const auto& link : links_) {
        for (const StcpEnd* end : {link->client.get(), link->server.get()}) end->print();
      }
      throw Violation("all is done a minute after the last fault");
    }
    for (auto& link : links_) {
      for (const bool is_client : {true, false}) {
        StcpEnd& end = is_client ? *link->client : *link->server;
        Pipe& in = is_client ? link->down : link->up;
        for (int i = 0; i < 8 && end.left() > 0 && end.connection().can_send(); ++i) {
          end.send(5000, 12000, now_);
        }
        if (end.left() == 0 && end.connection().can_send()) end.close(now_);
        hand_over(*link, in, end, in.size(), false);
      }
      look_at(*link);
      const bool works = link->expectation == Expectation::works;
      if (works && link->client->is_over() && link->server->is_over()) {
        require_completed(*link);
      }
    }
    now_ += 5ms;
    fire_timers();
    collect();
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

void StcpWorld::note(std::uint64_t what, std::uint64_t detail) {
  trace_.add(what << 56U ^ detail << 32U ^
             static_cast<std::uint64_t>(now_.time_since_epoch().count()));
}

}  // namespace sealine::sim
