#include "tests/sim/scp/world.hpp"

#include "sealine/crypto/engine.hpp"
#include "sealine/scp/channel.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/runner.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/scp/end.hpp"
#include "tests/sim/scp/talk.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::sim {

ScpWorld::ScpWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner,
                   const Keys& keys)
    : keys_(keys), dice_(seed), rng_(mix(seed) ^ 0x5c9), engine_(inner, book_), events_(events) {
  draw_rates(seed);
  draw_limits();
  draw_servers();
}

RunResult ScpWorld::run() {
  for (; counts_.events < events_; ++counts_.events) step();
  if (rates_.is_liveness) settle();
  for (auto& talk : talks_) finish(*talk);
  return {.trace = trace_.value(),
          .events = counts_.events,
          .counts = {{"ends opened", counts_.opened},
                     {"resumed", counts_.resumed},
                     {"clean", counts_.clean},
                     {"faults", counts_.faults},
                     {"rotations", counts_.rotations},
                     {"messages", counts_.messages},
                     {"keys", book_.count()}}};
}

void ScpWorld::draw_rates(std::uint64_t seed) {
  rates_.is_liveness = seed % 3 == 0;
  rates_.talks = dice_.between(1, 6);
  rates_.stall_permille = static_cast<unsigned>(dice_.pick({0, 0, 1, 5}));
  rates_.control_percent = static_cast<unsigned>(dice_.pick({0, 2, 5, 20}));
  rates_.tick_percent = static_cast<unsigned>(dice_.pick({2, 8, 20}));
  rates_.slow_percent = static_cast<unsigned>(dice_.pick({0, 0, 10, 80}));
  rates_.capacity = static_cast<std::size_t>(dice_.pick({1000, 16384, 65536}));
  rates_.abort_percent = static_cast<unsigned>(dice_.pick({0, 0, 2, 10}));
  rates_.tamper_permille = static_cast<unsigned>(dice_.pick({0, 2, 4, 8}));
  rates_.cut_permille = static_cast<unsigned>(dice_.pick({0, 2, 5}));
  rates_.crash_permille = static_cast<unsigned>(dice_.pick({0, 0, 0, 1}));
}

void ScpWorld::draw_limits() {
  limits_.window_messages = static_cast<std::uint32_t>(dice_.pick({4, 64, 1024}));
  limits_.window_bytes = static_cast<std::uint32_t>(dice_.pick({3000, 65536, 1 << 20}));
  limits_.max_message_bytes = 1U << 18U;
  // More than a window and a message, so that no honest end comes to twice as much.
  limits_.rotate_bytes =
      dice_.chance(30) ? 2 * (limits_.window_bytes + 300'000) : std::uint64_t{1} << 30U;
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

void ScpWorld::step() {
  std::size_t roll = dice_.below(1000);
  const auto happens = [&roll](unsigned permille) {
    if (roll < permille) return true;
    roll -= permille;
    return false;
  };
  if (happens(rates_.tamper_permille)) return tamper();
  if (happens(rates_.cut_permille)) return cut();
  if (happens(rates_.stall_permille)) return stall();
  if (happens(rates_.crash_permille)) return crash();
  if (talks_.size() < rates_.talks && dialed_ < rates_.handshakes &&
      (talks_.empty() || dice_.chance(5))) {
    return open();
  }
  if (dice_.chance(rates_.tick_percent) || talks_.empty()) return tick();
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

void ScpWorld::tick() {
  note(1, 0);
  Duration by = std::chrono::microseconds(dice_.between(1, 3000));
  if (dice_.chance(10)) by = std::chrono::milliseconds(dice_.between(1, 400));
  if (dice_.chance(1) && !rates_.is_liveness) by = std::chrono::seconds(dice_.between(1, 40));
  if (by >= kLongStall) disturb_all();  // nothing moves meanwhile
  now_ += by;
  if (talks_.empty()) now_ += 1s;  // where nothing more can be opened, time is all there is
  pass();
  collect();
}

void ScpWorld::pass() {
  for (auto& talk : talks_) {
    fire(talk->client.get());
    fire(talk->channel.get());
    for (auto& orphan : talk->orphans) fire(orphan.get());
    for (auto& connection : talk->connections) {
      if (connection->handshake && now_ - connection->opened >= limits_.handshake_timeout) {
        hang_up(*connection);
      }
    }
    look_at(*talk);
  }
}

void ScpWorld::fire(ScpEnd* end) {
  if (end == nullptr || !end->deadline() || *end->deadline() > now_) return;
  // Each call may leave another deadline that has passed as well, but no endless row of them.
  for (int i = 0; i < 8 && end->deadline() && *end->deadline() <= now_; ++i) end->timeout(now_);
  require(!end->deadline() || *end->deadline() > now_, "a timer that fired is over");
  trace_.add(static_cast<std::uint64_t>(end->channel().state()));
}

void ScpWorld::deliver(ScpTalk& talk, bool to_client) {
  if (to_client) {
    if (talk.at_client == nullptr) return;
    Pipe& pipe = talk.at_client->down;
    note(2, pipe.size());
    if (pipe.stalled_until <= now_) to_end(*talk.client, pipe, draw_count(pipe.size()));
    return;
  }
  if (talk.connections.empty()) return;
  // Not always the newest: what an old one still carries may come late.
  const std::size_t last = talk.connections.size() - 1;
  ScpConnection& connection = *talk.connections[dice_.chance(80) ? last : dice_.below(last + 1)];
  note(3, connection.up.size());
  if (connection.up.stalled_until <= now_) {
    to_server(talk, connection, draw_count(connection.up.size()));
  }
}

std::size_t ScpWorld::draw_count(std::size_t there) {
  switch (dice_.below(6)) {
    case 0:
      return std::min<std::size_t>(there, 1);
    case 1:
      return std::min<std::size_t>(there, dice_.between(1, 30));
    case 2:
      return std::min<std::size_t>(there, dice_.between(1, 400));
    default:
      return there;
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
  if (connection.handshake) {
    const ByteView bytes = pipe.front(count);
    trace_.add(bytes);
    connection.inbox.insert(connection.inbox.end(), bytes.begin(), bytes.end());
    pipe.take(count);
    serve(talk, connection);
    if (pipe.size() == 0 && pipe.is_ended) hang_up(connection);
    return;
  }
  pipe.take(count);  // nobody reads any more
}

void ScpWorld::serve(ScpTalk& talk, ScpConnection& connection) {
  while (connection.handshake) {
    std::size_t used = 0;
    auto progress = connection.handshake->handle_bytes(connection.inbox, used);
    if (progress && *progress == scp::Progress::key_shown) {
      const auto& key = connection.handshake->peer().key;
      require(key.has_value(), "a key that is shown is there");
      if (talk.allowed_key && *key != *talk.allowed_key) return hang_up(connection);
      progress = connection.handshake->accept_peer_key();
    }
    if (!progress) return hang_up(connection);
    connection.consumed += used;
    connection.inbox.erase(connection.inbox.begin(),
                           connection.inbox.begin() + static_cast<std::ptrdiff_t>(used));
    if (*progress == scp::Progress::need_bytes) return;
    ByteArray<1024> out{};
    connection.down.write(ByteView(out).first(connection.handshake->poll_transmit(out)));
    if (*progress != scp::Progress::done) continue;
    scp::Opening opening = std::move(*connection.handshake).take();
    connection.handshake.reset();
    established(talk, connection, std::move(opening));
  }
}

void ScpWorld::established(ScpTalk& talk, ScpConnection& connection, scp::Opening opening) {
  require(!talk.is_attack, "an attacker's bytes open nothing");
  require(talk.expectation == Expectation::works, "who is to be refused opens nothing");
  require(connection.consumed <= connection.up.good_bytes,
          "no handshake that was changed on its way is taken as good");
  if (opening.theirs.resume) {
    if (!resume(talk, connection, opening)) {
      ByteArray<1024> out{};
      connection.down.write(
          ByteView(out).first(scp::ChannelEnd::refuse(opening, Code::unknown_channel, out)));
      return hang_up(connection);
    }
  } else if (!begin_channel(talk, connection, std::move(opening))) {
    return;
  }
  talk.at_server = &connection;
  talk.channel->attach(connection.down, connection.consumed, now_);
  talk.channel->receive(connection.inbox);
  connection.inbox.clear();
  talk.channel->process(now_);
}

bool ScpWorld::begin_channel(ScpTalk& talk, ScpConnection& connection, scp::Opening opening) {
  auto end = std::make_unique<ScpEnd>(
      scp::ChannelEnd::accept(*servers_[talk.server], std::move(opening), engine_, rng_, now_),
      ScpEnd::Setup{.is_client = false,
                    .sends = draw_letters(),
                    .receives = talk.client ? talk.client->letters() : Letters{},
                    .expected_key = {},
                    .offers = draw_offer()},
      book_, Dice(dice_.next()));
  if (talk.channel && talk.client && talk.client->was_opened()) {
    // The handshake of an earlier connection, which came late.
    require(talk.at_client != &connection, "a channel that was confirmed is not begun anew");
    end->attach(connection.down, connection.consumed, now_);
    hang_up(connection);
    end->disconnect(now_);
    talk.orphans.push_back(std::move(end));
    return false;
  }
  if (talk.channel) {
    leave(talk);
    talk.channel->disconnect(now_);
    talk.orphans.push_back(std::move(talk.channel));
  }
  if (talk.client) talk.client->receives(end->letters());
  talk.channel = std::move(end);
  return true;
}

bool ScpWorld::resume(ScpTalk& talk, ScpConnection& connection, scp::Opening& opening) {
  for (auto& other : talks_) {
    if (other->server != talk.server || !other->channel) continue;
    if (other->channel->channel().id() != opening.theirs.resume->channel_id) continue;
    require(other.get() == &talk, "nobody resumes a channel but who has it");
    const bool was_over = talk.channel->is_over();
    const auto resumed = talk.channel->channel().resume(opening, now_);
    if (resumed) leave(talk);
    require(!was_over || !resumed, "who is over is not resumed");
    static_cast<void>(connection);
    return resumed.has_value();
  }
  return false;
}

void ScpWorld::leave(ScpTalk& talk) {
  if (talk.at_server == nullptr) return;
  talk.at_server->up.is_deaf = true;
  talk.at_server->up.drop_all();
  talk.at_server->down.is_ended = true;
  talk.at_server = nullptr;
}

void ScpWorld::hang_up(ScpConnection& connection) {
  connection.handshake.reset();
  connection.up.is_deaf = true;
  connection.up.drop_all();
  connection.down.is_ended = true;
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

ScpTalk* ScpWorld::any_connected() {
  if (talks_.empty()) return nullptr;
  ScpTalk& talk = *talks_[dice_.below(talks_.size())];
  return talk.at_client == nullptr ? nullptr : &talk;
}

void ScpWorld::disturb_all() {
  for (auto& talk : talks_) talk->is_disturbed = true;
}

void ScpWorld::stall() {
  note(6, 0);
  ScpTalk* const talk = any_connected();
  if (talk == nullptr) return;
  const Duration length = std::chrono::milliseconds(dice_.chance(10) ? dice_.between(1000, 120'000)
                                                                     : dice_.between(1, 900));
  if (length >= kLongStall) talk->is_disturbed = true;
  if (dice_.chance(60)) talk->at_client->up.stalled_until = now_ + length;
  if (dice_.chance(60)) talk->at_client->down.stalled_until = now_ + length;
}

void ScpWorld::cut() {
  note(7, 0);
  ScpTalk* const talk = any_connected();
  if (talk == nullptr) return;
  talk->is_disturbed = true;
  const bool is_reset = dice_.chance(50);
  for (Pipe* pipe : {&talk->at_client->up, &talk->at_client->down}) {
    if (dice_.chance(30)) continue;  // one direction alone
    if (is_reset) pipe->drop_all();
    pipe->is_ended = true;
    pipe->is_deaf = true;
  }
}

void ScpWorld::tamper() {
  note(8, 0);
  ScpTalk* const talk = any_connected();
  if (talk == nullptr) return;
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
  if (dialed_ >= rates_.handshakes || talks_.size() > rates_.talks + 2) return;
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
    talk->at_client->handshake.reset();  // the attacker answers
    // A client that is bounced its own bytes, or another connection's answer.
    Pipe& up = talk->at_client->up;
    const std::vector<std::uint8_t> own(up.front(up.size()).begin(), up.front(up.size()).end());
    talk->at_client->down.write(dice_.chance(50) ? captured : own);
    talk->at_client->down.is_ended = true;
  }
  talks_.push_back(std::move(talk));
}

void ScpWorld::crash() {
  note(9, 0);
  if (talks_.empty()) return;
  if (dice_.chance(50)) {
    ScpTalk& talk = *talks_[dice_.below(talks_.size())];
    if (!talk.client || talk.is_attack) return;
    note_counts(*talk.client);
    talk.client.reset();
    talk.client_crashed = true;
    if (talk.at_client != nullptr) end_of_client(talk);
    return;
  }
  const std::size_t server = dice_.below(servers_.size());
  for (auto& talk : talks_) {
    if (talk->server != server || talk->is_attack) continue;
    for (auto& connection : talk->connections) hang_up(*connection);
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
  connection->handshake.emplace(std::move(*handshake));
  connection->opened = now_;
  connection->up.capacity = connection->down.capacity = rates_.capacity;
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
          .usual_bytes = static_cast<std::size_t>(dice_.pick({20, 300, 300, 5000})),
          .has_large = has_large_};
}

std::uint64_t ScpWorld::draw_offer() {
  constexpr std::size_t kMost[] = {0, 20, 300, 2000};
  return dice_.between(0, dice_.pick(kMost));
}

void ScpWorld::open() {
  note(10, 0);
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
  talk->client = make_client(*config, {.is_client = true,
                                       .sends = draw_letters(),
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
      leave(talk);
      talk.channel->disconnect(now_);
    } else {
      talk.channel->drain(now_);
    }
  }
  for (auto& connection : talk.connections) {
    if (talk.at_client != connection.get()) connection->down.drop_all();
  }
}

void ScpWorld::tend_client(ScpTalk& talk) {
  ScpEnd& client = *talk.client;
  if (talk.at_client != nullptr) {
    if (client.has_connection()) {
      client.drain(now_);
    } else {
      end_of_client(talk);
      client.disconnect(now_);
    }
  }
  if (!client.wants_connection() || talk.is_attack) return;
  if (dialed_ >= rates_.handshakes + 8 && !rates_.is_liveness) return;
  talk.connections.erase(talk.connections.begin(), talk.connections.begin() + forgettable(talk));
  require(client.begin_connection(now_).has_value(), "a client that is lost dials again");
  dial(talk);
}

std::ptrdiff_t ScpWorld::forgettable(const ScpTalk& talk) {
  std::ptrdiff_t count = 0;
  for (const auto& connection : talk.connections) {
    if (connection.get() == talk.at_server || connection->handshake) break;
    ++count;
  }
  return count;
}

void ScpWorld::end_of_client(ScpTalk& talk) {
  ScpConnection& connection = *talk.at_client;
  connection.down.is_deaf = true;
  connection.down.drop_all();
  if (talk.client == nullptr || talk.client->is_over() || dice_.chance(70)) {
    connection.up.is_ended = true;
  }
  talk.at_client = nullptr;
}

void ScpWorld::collect() {
  for (std::size_t i = 0; i < talks_.size();) {
    ScpTalk& talk = *talks_[i];
    std::erase_if(talk.orphans, [](const auto& orphan) { return orphan->is_over(); });
    if (is_over(talk)) {
      finish(talk);
      talks_.erase(talks_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

bool ScpWorld::is_over(const ScpTalk& talk) {
  const bool client_over = !talk.client || talk.client->is_over();
  const bool server_over = !talk.channel || talk.channel->is_over();
  const bool is_quiet = std::ranges::none_of(
      talk.connections, [](const auto& one) { return one->handshake.has_value(); });
  return client_over && server_over && is_quiet && talk.orphans.empty();
}

void ScpWorld::note_counts(const ScpEnd& end) {
  if (end.was_opened()) ++counts_.opened;
  counts_.rotations += end.rotations();
  counts_.resumed += end.resumed();
  counts_.messages += end.taken();
  const auto& outcome = end.channel().outcome();
  if (outcome) ++(outcome->code == Code::normal ? counts_.clean : counts_.faults);
  end.observe(trace_, now_);
}

void ScpWorld::finish(ScpTalk& talk) {
  if (talk.client) judge(talk, *talk.client, talk.channel.get());
  if (talk.channel) judge(talk, *talk.channel, talk.client.get());
  if (talk.client) note_counts(*talk.client);
  if (talk.channel) note_counts(*talk.channel);
}

void ScpWorld::judge(const ScpTalk& talk, const ScpEnd& end, const ScpEnd* other) const {
  const auto& outcome = end.channel().outcome();
  if (!outcome || talk.is_attack) return;
  const Duration age = now_ - talk.opened;
  const bool has_crashed = talk.client_crashed || talk.server_crashed;
  const bool is_harmed = talk.is_disturbed || has_crashed;
  const bool peer_over = other == nullptr || other->is_over();
  const bool is_told = end.was_aborted() || (other != nullptr && other->was_aborted());
  bool is_right = false;
  switch (outcome->code) {
    case Code::normal:
      is_right = end.close_asked() || end.peer_ended() ||
                 (outcome->by_peer && other != nullptr && other->close_asked()) || has_crashed;
      break;
    case Code::truncated:
      is_right = is_harmed || peer_over || end.forbade();
      break;
    case Code::authentication:
      is_right = is_harmed || (end.refused_key() && talk.expectation == Expectation::wrong_server);
      break;
    case Code::protocol:
      is_right = is_harmed || age >= 2 * limits_.rotate_after;
      break;
    case Code::decrypt:
    case Code::sequence:
    case Code::version:
    case Code::too_large:
      is_right = talk.is_disturbed;
      break;
    case Code::timeout:
      is_right = age >= std::min(limits_.silence_timeout, limits_.handshake_timeout);
      break;
    case Code::rate_limited:
      is_right = limits_.max_messages_per_second != 0;
      break;
    case Code::unknown_channel:
      is_right = is_harmed || peer_over || (other != nullptr && other->forbade());
      break;
    case Code::going_away:
    case Code::internal:
      is_right = is_told || has_crashed;
      break;
  }
  if (!is_right) {
    end.print();
    if (other != nullptr) other->print();
    throw Violation("false alarm: " + std::string(scp::to_string(outcome->code)));
  }
}

void ScpWorld::settle() {
  for (auto& talk : talks_) {
    for (auto& connection : talk->connections) {
      connection->up.stalled_until = connection->down.stalled_until = now_;
    }
  }
  rates_.slow_percent = 0;
  const TimePoint limit = now_ + kSettleTime;
  while (!talks_.empty()) {
    if (now_ > limit) {
      for (const auto& talk : talks_) {
        if (talk->client) talk->client->print();
        if (talk->channel) talk->channel->print();
      }
      throw Violation("all is done a minute after the last fault");
    }
    for (auto& talk : talks_) settle_talk(*talk);
    now_ += 10ms;
    pass();
    for (const auto& talk : talks_) {
      if (is_over(*talk)) require_completed(*talk);
    }
    collect();
  }
}

void ScpWorld::settle_talk(ScpTalk& talk) {
  for (ScpEnd* end : {talk.client.get(), talk.channel.get()}) {
    if (end == nullptr) continue;
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

void ScpWorld::require_completed(const ScpTalk& talk) {
  if (!talk.client || !talk.channel || talk.is_attack) return;
  const auto is_left_alone = [](const ScpEnd& end) {
    return !end.was_aborted() && !end.close_asked() && !end.forbade();
  };
  if (!is_left_alone(*talk.client) || !is_left_alone(*talk.channel)) return;
  if (talk.server_crashed) return;
  if (talk.is_disturbed && !talk.client->channel().can_reconnect()) return;
  // A channel that was disturbed before both knew of it is not resumed.
  if (!talk.client->was_opened()) return;
  for (const auto& [end, other] : {std::pair(talk.client.get(), talk.channel.get()),
                                   std::pair(talk.channel.get(), talk.client.get())}) {
    // A CLOSE that was lost on its way leaves the other end without its last receipts.
    const Code code = end->channel().outcome()->code;
    const bool is_well = code == Code::normal ||
                         (talk.is_disturbed && other->channel().outcome()->code == Code::normal);
    const bool is_whole = is_well && end->taken() == other->messages_sent();
    if (!is_whole) {
      end->print();
      other->print();
    }
    require(is_whole, "all messages arrive");
  }
}

void ScpWorld::note(std::uint64_t what, std::uint64_t detail) {
  trace_.add(what << 56U ^ detail << 32U ^
             static_cast<std::uint64_t>(now_.time_since_epoch().count()));
}

}  // namespace sealine::sim
