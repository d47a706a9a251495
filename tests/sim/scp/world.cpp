#include "tests/sim/scp/world.hpp"

#include "sealine/crypto/engine.hpp"
#include "sealine/scp/channel.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/keys.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/timers.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/world.hpp"
#include "tests/sim/scp/end.hpp"
#include "tests/sim/scp/judge.hpp"
#include "tests/sim/scp/talk.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sealine::sim {

ScpWorld::ScpWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner,
                   const Keys& keys)
    : World(seed, 0x5c9, events, inner), keys_(keys) {
  draw_rates(seed);
  draw_limits();
  draw_servers();
}

void ScpWorld::draw_rates(std::uint64_t seed) {
  rates_.is_liveness = seed % 3 == 0;
  rates_.nodes = dice_.between(1, 6);
  rates_.stall_permille = dice_.pick<unsigned>({0, 0, 1, 5});
  rates_.control_percent = dice_.pick<unsigned>({0, 2, 5, 20});
  rates_.tick_percent = dice_.pick<unsigned>({2, 8, 20});
  rates_.slow_percent = dice_.pick<unsigned>({0, 0, 10, 80});
  rates_.capacity = dice_.pick<std::size_t>({1000, 16384, 65536});
  rates_.abort_percent = dice_.pick<unsigned>({0, 0, 2, 10});
  rates_.tamper_permille = dice_.pick<unsigned>({0, 2, 4, 8});
  rates_.cut_permille = dice_.pick<unsigned>({0, 2, 5});
  rates_.crash_permille = dice_.pick<unsigned>({0, 0, 0, 1});
}

void ScpWorld::draw_limits() {
  limits_.window_messages = dice_.pick<std::uint32_t>({4, 64, 1024});
  limits_.window_bytes = dice_.pick<std::uint32_t>({3000, 65536, 1 << 20});
  limits_.max_message_bytes = 1U << 18U;
  // More than a window and a message, so that no honest end comes to twice as much.
  limits_.rotate_bytes = dice_.chance(30) ? std::uint64_t{2} * (limits_.window_bytes + 300'000)
                                          : std::uint64_t{1} << 30U;
  limits_.rotate_after = dice_.pick<Duration>({20s, 3600s, 3600s});
  const bool is_short = rates_.is_liveness || dice_.chance(50);
  limits_.keep_alive_after = is_short ? 1500ms : 10s;
  limits_.silence_timeout = is_short ? 5s : 30s;
  limits_.reconnect_timeout = rates_.is_liveness ? 20s : 300s;
  if (!rates_.is_liveness && dice_.chance(10)) {
    limits_.max_messages_per_second = static_cast<std::uint32_t>(dice_.between(20, 2000));
  }
  has_large_ = dice_.chance(25);
}

void ScpWorld::draw_servers() {
  const std::size_t count = dice_.between(1, 3);
  for (std::size_t i = 0; i < count; ++i) {
    auto config = std::make_unique<scp::ServerConfig>();
    config->modes = {Mode::anonymous, Mode::pinned, Mode::mutual, Mode::psk, Mode::pinned_psk};
    config->identity = keys_.pairs[i];
    const std::size_t secrets = dice_.between(1, 3);
    for (std::size_t k = 0; k < secrets; ++k) config->psks.push_back(keys_.psks[k]);
    config->reconnect = dice_.chance(80);
    config->limits = limits_;
    servers_.push_back(std::move(config));
  }
}

bool ScpWorld::is_time_to_open() {
  return talks_.size() < rates_.nodes && dialed_ < rates_.dials &&
         (talks_.empty() || dice_.chance(5));
}

void ScpWorld::take_turn() {
  ScpTalk& talk = *talks_[dice_.below(talks_.size())];
  const bool is_client = dice_.chance(50);
  if (dice_.chance(rates_.control_percent)) {
    control(talk, is_client);
  } else if (dice_.chance(45)) {
    write(talk, is_client);
  } else {
    deliver(talk, is_client);
  }
  look_at(talk);
}

void ScpWorld::pass() {
  for (auto& talk : talks_) {
    std::vector<ScpEnd*> ends = talk->ends();
    for (auto& orphan : talk->orphans) ends.push_back(orphan.get());
    for (ScpEnd* end : ends) {
      if (fire(*end, now_)) trace_.add(static_cast<std::uint64_t>(end->channel().state()));
    }
    for (auto& connection : talk->connections) {
      if (connection->answering && now_ - connection->opened >= limits_.handshake_timeout) {
        connection->hang_up();
      }
    }
    look_at(*talk);
  }
}

void ScpWorld::deliver(ScpTalk& talk, bool to_client) {
  if (to_client) {
    if (talk.at_client == nullptr) return;
    Pipe& pipe = talk.at_client->down;
    note(2, pipe.size());
    if (pipe.stalled_until <= now_)
      to_end(*talk.client, pipe, draw_piece(pipe.size(), {1, 30, 400}));
    return;
  }
  if (talk.connections.empty()) return;
  // Not always the newest: what an old one still carries may come late.
  const std::size_t last = talk.connections.size() - 1;
  ScpConnection& connection = *talk.connections[dice_.chance(80) ? last : dice_.below(last + 1)];
  note(3, connection.up.size());
  if (connection.up.stalled_until <= now_) {
    to_server(talk, connection, draw_piece(connection.up.size(), {1, 30, 400}));
  }
}

void ScpWorld::to_end(ScpEnd& end, Pipe& pipe, std::size_t count) {
  end.receive(pipe.front(count));
  trace_.add(pipe.front(count));
  pipe.take(count);
  end.process(now_);
  require(end.proved() <= pipe.good_bytes, "nothing that was changed on its way is taken as good");
  if (!dice_.chance(rates_.slow_percent)) end.take(dice_.between(1, 40), now_);
  if (pipe.size() == 0 && pipe.is_ended) end.disconnect(now_);
}

void ScpWorld::to_server(ScpTalk& talk, ScpConnection& connection, std::size_t count) {
  if (talk.at_server == &connection) return to_end(*talk.channel, connection.up, count);
  Pipe& pipe = connection.up;
  if (connection.answering) {
    const ByteView bytes = pipe.front(count);
    trace_.add(bytes);
    connection.inbox.put(bytes);
    pipe.take(count);
    serve(talk, connection);
    if (pipe.size() == 0 && pipe.is_ended) connection.hang_up();
    return;
  }
  pipe.take(count);  // nobody reads any more
}

void ScpWorld::serve(ScpTalk& talk, ScpConnection& connection) {
  auto opening = connection.answering->go_on(connection.inbox, connection.down);
  if (!opening) return;
  if (!*opening) return connection.hang_up();
  const std::uint64_t consumed = connection.answering->consumed();
  connection.answering.reset();
  established(talk, connection, std::move(**opening), consumed);
}

void ScpWorld::established(ScpTalk& talk, ScpConnection& connection, scp::Opening opening,
                           std::uint64_t consumed) {
  require(!talk.is_attack, "an attacker's bytes open nothing");
  require(talk.expectation == Expectation::works, "who is to be refused opens nothing");
  require(consumed <= connection.up.good_bytes,
          "no handshake that was changed on its way is taken as good");
  if (opening.theirs.resume) {
    if (!resume(talk, opening)) {
      ByteArray<1024> out{};
      connection.down.write(
          ByteView(out).first(scp::ChannelEnd::refuse(opening, Code::unknown_channel, out)));
      return connection.hang_up();
    }
  } else if (!begin_channel(talk, connection, std::move(opening), consumed)) {
    return;
  }
  talk.at_server = &connection;
  talk.channel->attach(connection.down, consumed, now_);
  talk.channel->receive(connection.inbox.rest());
  connection.inbox.clear();
  talk.channel->process(now_);
}

bool ScpWorld::begin_channel(ScpTalk& talk, ScpConnection& connection, scp::Opening opening,
                             std::uint64_t consumed) {
  auto end = std::make_unique<ScpEnd>(
      scp::ChannelEnd::accept(*servers_[talk.server], std::move(opening), engine_, rng_, now_),
      ScpEnd::Setup{.is_client = false,
                    .sends = draw_letters(),
                    .receives = talk.letters,
                    .expected_key = {},
                    .offers = draw_offer()},
      book_, Dice(dice_.next()));
  // The handshake of an earlier connection, which came late: the client may be opened already by an
  // answer that is still on its way.
  const bool is_late = talk.client && (talk.client->was_opened() || talk.at_client != &connection);
  if (talk.channel && is_late) {
    require(talk.at_client != &connection, "a channel that was confirmed is not begun anew");
    end->attach(connection.down, consumed, now_);
    connection.hang_up();
    end->disconnect(now_);
    talk.orphans.push_back(std::move(end));
    return false;
  }
  if (talk.channel) {
    talk.leave_server();
    talk.channel->disconnect(now_);
    talk.orphans.push_back(std::move(talk.channel));
  }
  if (talk.client) talk.client->receives(end->letters());
  talk.channel = std::move(end);
  return true;
}

bool ScpWorld::resume(ScpTalk& talk, scp::Opening& opening) {
  for (auto& other : talks_) {
    if (other->server != talk.server || !other->channel) continue;
    if (other->channel->channel().id() != opening.theirs.resume->channel_id) continue;
    require(other.get() == &talk, "nobody resumes a channel but who has it");
    const bool was_over = talk.channel->is_over();
    const auto resumed = talk.channel->channel().resume(opening, now_);
    if (resumed) talk.leave_server();
    require(!was_over || !resumed, "who is over is not resumed");
    return resumed.has_value();
  }
  return false;
}

void ScpWorld::write(ScpTalk& talk, bool by_client) {
  ScpEnd* const end = by_client ? talk.client.get() : talk.channel.get();
  note(4, 0);
  if (end == nullptr) return;
  if (end->left() == 0) {
    if (dice_.chance(30)) end->end(now_);
    return;
  }
  const std::size_t count = dice_.pick({1UL, 1UL, 2UL, 8UL, 40UL});
  for (std::size_t i = 0; i < count; ++i) end->send(now_);
  trace_.add(end->messages_sent());
}

void ScpWorld::control(ScpTalk& talk, bool by_client) {
  ScpEnd* const end = by_client ? talk.client.get() : talk.channel.get();
  const std::size_t what = dice_.below(10);
  note(5, what);
  if (end == nullptr) return;
  const bool is_rough = dice_.chance(rates_.abort_percent);
  switch (what) {
    case 0:
    case 1:
      end->rotate(now_);
      break;
    case 2:
      end->timeout(now_);
      break;  // early: harmless
    case 3:
      end->pad(dice_.between(1, 3000), now_);
      break;
    case 4:
      if (is_rough) end->abort(dice_.pick({Code::internal, Code::going_away}), now_);
      break;
    case 5:
      if (is_rough) end->close(now_);
      break;
    case 6:
      if (is_rough) end->forbid_resume(now_);
      break;
    default:
      end->take(1, now_);
      break;
  }
}

std::optional<World::Target> ScpWorld::draw_target() {
  if (talks_.empty()) return std::nullopt;
  ScpTalk& talk = *talks_[dice_.below(talks_.size())];
  if (talk.at_client == nullptr) return std::nullopt;
  return Target{.up = &talk.at_client->up,
                .down = &talk.at_client->down,
                .was_cut = &talk.is_disturbed,
                .was_stalled = &talk.is_disturbed};
}

void ScpWorld::disturb_all() {
  for (auto& talk : talks_) talk->is_disturbed = true;
}

void ScpWorld::tamper() {
  if (talks_.empty()) return;
  ScpTalk* const talk = talks_[dice_.below(talks_.size())].get();
  if (talk->at_client == nullptr) return;
  if (dice_.chance(15)) return attack(*talk);
  Pipe& pipe = dice_.chance(50) ? talk->at_client->up : talk->at_client->down;
  // Once is enough, and a bit that is turned back would be as if nothing had happened.
  if (pipe.size() == 0 || pipe.is_tampered) return;
  const ScpTalk& other = *talks_[dice_.below(talks_.size())];
  if (other.connections.empty()) return;
  const ScpConnection& source = *other.connections[dice_.below(other.connections.size())];
  sim::tamper(pipe, dice_.chance(50) ? source.up.seen() : source.down.seen(), dice_);
  talk->is_disturbed = true;
}

void ScpWorld::attack(const ScpTalk& source) {
  if (dialed_ >= rates_.dials || talks_.size() > rates_.nodes + 2) return;
  if (source.expectation != Expectation::works || source.is_attack) return;
  auto talk = std::make_unique<ScpTalk>();
  talk->is_attack = true;
  talk->opened = now_;
  talk->config = source.config;
  talk->server = dice_.below(servers_.size());
  const ScpConnection& seen = *source.connections.front();
  if (dice_.chance(60)) {
    const std::vector<std::uint8_t> captured = seen.up.seen();
    ScpConnection& connection = add_connection(*talk);
    connection.up.write(captured);
    connection.up.is_ended = true;
  } else {
    const std::vector<std::uint8_t> captured = seen.down.seen();
    talk->client = make_client(*talk->config, {.is_client = true,
                                               .sends = draw_letters(),
                                               .receives = {},
                                               .expected_key = {},
                                               .offers = 3});
    dial(*talk);
    talk->at_client->answering.reset();  // the attacker answers
    // A client that is bounced its own bytes, or another connection's answer.
    Pipe& up = talk->at_client->up;
    const std::vector<std::uint8_t> own(up.front(up.size()).begin(), up.front(up.size()).end());
    talk->at_client->down.write(dice_.chance(50) ? captured : own);
    talk->at_client->down.is_ended = true;
  }
  talks_.push_back(std::move(talk));
}

void ScpWorld::crash() {
  if (talks_.empty()) return;
  if (dice_.chance(50)) {
    ScpTalk& talk = *talks_[dice_.below(talks_.size())];
    if (!talk.client || talk.is_attack) return;
    note_counts(*talk.client);
    talk.client.reset();
    talk.client_crashed = true;
    if (talk.at_client != nullptr) leave_client(talk);
    return;
  }
  const std::size_t server = dice_.below(servers_.size());
  for (auto& talk : talks_) {
    if (talk->server != server || talk->is_attack) continue;
    for (auto& connection : talk->connections) connection->hang_up();
    talk->at_server = nullptr;
    talk->server_crashed = true;
    if (!talk->channel) continue;
    look_at(*talk);
    talk->receivable = talk->channel->channel().received();
    note_counts(*talk->channel);
    talk->channel.reset();
  }
}

std::unique_ptr<ScpEnd> ScpWorld::make_client(const scp::ClientConfig& config,
                                              const ScpEnd::Setup& setup) {
  auto channel = scp::ChannelEnd::connect(config, engine_, rng_, now_);
  require(channel.has_value(), "a client can be made");
  return std::make_unique<ScpEnd>(std::move(*channel), setup, book_, Dice(dice_.next()));
}

ScpConnection& ScpWorld::add_connection(ScpTalk& talk) {
  auto connection = std::make_unique<ScpConnection>();
  auto handshake = scp::ServerHandshake::create(*servers_[talk.server], engine_, rng_);
  require(handshake.has_value(), "a server can be made");
  connection->answering.emplace(std::move(*handshake), talk.allowed_key);
  connection->opened = now_;
  connection->set_capacity(rates_.capacity);
  ++dialed_;
  talk.connections.push_back(std::move(connection));
  return *talk.connections.back();
}

void ScpWorld::dial(ScpTalk& talk) {
  ScpConnection& connection = add_connection(talk);
  ++talk.dialed;
  talk.at_client = &connection;
  talk.client->attach(connection.up, 0, now_);
}

Letters ScpWorld::draw_letters() {
  return {.stream = ++streams_,
          .usual_bytes = dice_.pick<std::size_t>({20, 300, 300, 5000}),
          .has_large = has_large_};
}

std::uint64_t ScpWorld::draw_offer() {
  constexpr std::size_t kMost[] = {0, 20, 300, 2000};
  return dice_.between(0, dice_.pick(kMost));
}

void ScpWorld::open() {
  auto talk = std::make_unique<ScpTalk>();
  talk->server = dice_.below(servers_.size());
  talk->opened = now_;
  const scp::ServerConfig& server = *servers_[talk->server];
  auto config = std::make_unique<scp::ClientConfig>();
  config->mode = dice_.pick(
      {Mode::anonymous, Mode::pinned, Mode::mutual, Mode::mutual, Mode::psk, Mode::pinned_psk});
  config->identity = keys_.pairs[3 + dice_.below(3)];
  config->server_key = server.identity->public_key;
  config->reconnect = dice_.chance(80);
  config->limits = limits_;
  const std::size_t secret = dice_.below(4);
  config->psk = keys_.psks[secret];
  const bool has_psk = config->mode == Mode::psk || config->mode == Mode::pinned_psk;
  if (has_psk && secret >= server.psks.size()) talk->expectation = Expectation::refused;
  const bool shows_key = config->mode == Mode::mutual;
  std::optional<crypto::PublicKey> pinned;
  if (shows_key) pinned = server.identity->public_key;
  if (config->mode != Mode::anonymous && config->mode != Mode::psk && dice_.chance(5)) {
    if (shows_key) {
      pinned = keys_.pairs[7]->public_key;
      talk->expectation = Expectation::wrong_server;
    } else {
      config->server_key = keys_.pairs[7]->public_key;
      talk->expectation = Expectation::refused;
    }
  }
  if (!has_psk && config->mode != Mode::anonymous) {
    talk->allowed_key = config->identity->public_key;
  }
  talk->config = config.get();
  talk->letters = draw_letters();
  talk->client = make_client(*config, {.is_client = true,
                                       .sends = talk->letters,
                                       .receives = {},
                                       .expected_key = pinned,
                                       .offers = draw_offer()});
  dial(*talk);
  clients_.push_back(std::move(config));
  talks_.push_back(std::move(talk));
}

void ScpWorld::look_at(ScpTalk& talk) {
  if (talk.is_attack) {
    require(!talk.channel, "an attacker's bytes open nothing");
    require(!talk.client || !talk.client->was_opened(), "an attacker's answers open nothing");
  }
  if (talk.client && talk.channel) {
    ScpEnd::compare(*talk.client, *talk.channel, talk.is_same_connection());
  } else if (talk.client && talk.server_crashed) {
    require(talk.client->channel().receipted() <= talk.receivable,
            "no receipt for what was not delivered");
  }
  if (talk.client && talk.expectation == Expectation::wrong_server) {
    require(!talk.client->was_opened(), "a changed key opens nothing");
  }
  if (talk.client) tend_client(talk);
  if (talk.channel && talk.at_server != nullptr) {
    if (!talk.channel->has_connection()) {
      talk.leave_server();
      talk.channel->disconnect(now_);
    } else {
      talk.channel->drain(now_);
    }
  }
  for (auto& connection : talk.connections) {
    if (talk.at_client != connection.get()) connection->down.drop_all();
  }
}

void ScpWorld::leave_client(ScpTalk& talk) {
  ScpConnection& connection = *talk.at_client;
  connection.stop_reading(true);
  if (talk.client == nullptr || talk.client->is_over() || dice_.chance(70)) {
    connection.up.is_ended = true;
  }
  talk.at_client = nullptr;
}

void ScpWorld::tend_client(ScpTalk& talk) {
  ScpEnd& client = *talk.client;
  if (talk.at_client != nullptr) {
    if (client.has_connection()) {
      client.drain(now_);
    } else {
      leave_client(talk);
      client.disconnect(now_);
    }
  }
  if (!client.wants_connection() || talk.is_attack) return;
  if (dialed_ >= rates_.dials + 8 && !rates_.is_liveness) return;
  talk.connections.erase(talk.connections.begin(), talk.connections.begin() + forgettable(talk));
  require(client.begin_connection(now_).has_value(), "a client that is lost dials again");
  dial(talk);
}

std::ptrdiff_t ScpWorld::forgettable(const ScpTalk& talk) {
  std::ptrdiff_t count = 0;
  for (const auto& connection : talk.connections) {
    if (connection.get() == talk.at_server || connection->answering) break;
    ++count;
  }
  return count;
}

void ScpWorld::collect() {
  for (auto& talk : talks_) {
    std::erase_if(talk->orphans, [](const auto& orphan) { return orphan->is_over(); });
  }
  take_away(
      talks_, [](const ScpTalk& talk) { return talk.is_over(); },
      [this](ScpTalk& talk) { finish(talk); });
}

void ScpWorld::finish_all() {
  for (auto& talk : talks_) finish(*talk);
}

void ScpWorld::finish(ScpTalk& talk) {
  if (is_settling()) require_completed(talk);
  if (talk.client) judge(talk, *talk.client, talk.channel.get(), limits_, now_);
  if (talk.channel) judge(talk, *talk.channel, talk.client.get(), limits_, now_);
  for (const ScpEnd* end : talk.ends()) note_counts(*end);
}

void ScpWorld::note_counts(const ScpEnd& end) {
  if (end.was_opened()) ++sums_.opened;
  sums_.rotations += end.rotations();
  sums_.resumed += end.resumed();
  sums_.messages += end.taken();
  const auto& outcome = end.channel().outcome();
  if (outcome) ++(outcome->code == Code::normal ? sums_.clean : sums_.faults);
  end.observe(trace_, now_);
}

void ScpWorld::calm() {
  for (auto& talk : talks_) {
    for (auto& connection : talk->connections) connection->go_on(now_);
  }
  rates_.slow_percent = 0;
}

void ScpWorld::settle_turn() {
  for (auto& talk : talks_) settle(*talk);
}

void ScpWorld::settle(ScpTalk& talk) {
  for (ScpEnd* end : talk.ends()) {
    for (int i = 0; i < 40 && end->left() > 0 && end->channel().can_send(); ++i) end->send(now_);
    if (end->left() == 0) end->end(now_);
    end->take(~std::size_t{0}, now_);
  }
  for (std::size_t i = 0; i < talk.connections.size(); ++i) {
    ScpConnection& connection = *talk.connections[i];
    to_server(talk, connection, connection.up.size());
  }
  if (talk.at_client != nullptr) {
    to_end(*talk.client, talk.at_client->down, talk.at_client->down.size());
  }
  look_at(talk);
}

void ScpWorld::print() const {
  for (const auto& talk : talks_) {
    for (const ScpEnd* end : talk->ends()) end->print();
  }
}

World::Counts ScpWorld::counts() const {
  return {{"ends opened", sums_.opened},  {"resumed", sums_.resumed},
          {"clean", sums_.clean},         {"faults", sums_.faults},
          {"rotations", sums_.rotations}, {"messages", sums_.messages},
          {"keys", book_.count()}};
}

}  // namespace sealine::sim
