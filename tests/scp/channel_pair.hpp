#pragma once

#include "sealine/base/writer.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/scp/channel.hpp"
#include "sealine/scp/handshake.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace sealine::scp {

using test::Bytes;
using namespace std::chrono_literals;

// A client and a server in virtual time, joined by two byte queues that a test may cut, hold or
// alter.
struct Pair {
  std::unique_ptr<crypto::Engine> engine = *crypto::make_engine(crypto::EngineChoice::openssl);
  test::SeededRng rng{7};
  TimePoint now{1000s};
  ClientConfig client_config;
  ServerConfig server_config;
  std::optional<ChannelEnd> client;
  std::optional<ChannelEnd> server;
  std::optional<ServerHandshake> handshake;
  Bytes up;
  Bytes down;
  std::vector<Event> client_events;
  std::vector<Event> server_events;
  std::optional<Errc> server_refusal;
  std::size_t buffer_bytes = 2 * kMaxWireMessageBytes;

  explicit Pair(Mode mode = Mode::mutual, bool reconnect = false) {
    auto client_key = std::make_shared<crypto::KeyPair>(crypto::KeyPair::generate(*engine, rng));
    auto server_key = std::make_shared<crypto::KeyPair>(crypto::KeyPair::generate(*engine, rng));
    auto psk = std::make_shared<crypto::Psk>();
    rng.fill(psk->writable());
    client_config.mode = mode;
    client_config.identity = client_key;
    client_config.server_key = server_key->public_key;
    client_config.psk = psk;
    client_config.reconnect = reconnect;
    server_config.modes = {mode};
    server_config.identity = server_key;
    server_config.psks = {psk};
    server_config.reconnect = reconnect;
  }

  void connect() {
    client.emplace(ChannelEnd::connect(client_config, *engine, rng, now).value());
    dial();
    settle();
  }

  void dial() {
    up.clear();
    down.clear();
    handshake.emplace(ServerHandshake::create(server_config, *engine, rng).value());
  }

  void reconnect_client() {
    ASSERT_TRUE(client->begin_connection(now));
    dial();
    settle();
  }

  void cut() {
    up.clear();
    down.clear();
    client->handle_disconnected(now);
    if (server) server->handle_disconnected(now);
    collect();
  }

  static void drain(ChannelEnd& channel, Bytes& wire, TimePoint now, std::size_t buffer_bytes) {
    Bytes buffer(buffer_bytes);
    while (const std::size_t n = channel.poll_transmit(buffer, now)) {
      wire.insert(wire.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
    }
  }

  static void consume(Bytes& wire, std::size_t n) {
    wire.erase(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(n));
  }

  void collect() {
    while (auto event = client->poll_event()) {
      if (std::holds_alternative<KeyShown>(*event)) client->accept_peer_key(now);
      client_events.push_back(*event);
    }
    while (server && (server->state() != State::handshake)) {
      auto event = server->poll_event();
      if (!event) break;
      server_events.push_back(*event);
    }
  }

  void serve_handshake() {
    std::size_t used = 0;
    auto progress = handshake->handle_bytes(up, used);
    if (progress && *progress == Progress::key_shown) progress = handshake->accept_peer_key();
    if (!progress) {
      server_refusal = progress.error().code;
      handshake.reset();
      return;
    }
    consume(up, used);
    Bytes buffer(1024);
    const std::size_t n = handshake->poll_transmit(buffer);
    down.insert(down.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
    if (*progress != Progress::done) return;
    Opening opening = std::move(*handshake).take();
    handshake.reset();
    if (!opening.theirs.resume) {
      server.emplace(ChannelEnd::accept(server_config, std::move(opening), *engine, rng, now));
    } else if (!server || !server->resume(opening, now)) {
      buffer.resize(ChannelEnd::refuse(opening, Code::unknown_channel, buffer));
      down.insert(down.end(), buffer.begin(), buffer.end());
    }
  }

  // Moves bytes until nothing moves any more.
  void settle() {
    for (bool moved = true; moved;) {
      collect();
      drain(*client, up, now, buffer_bytes);
      if (server) drain(*server, down, now, buffer_bytes);
      moved = !up.empty() || !down.empty();
      if (handshake && !up.empty()) serve_handshake();
      if (server && !handshake && !up.empty()) consume(up, server->handle_bytes(up, now));
      if (!server && !handshake) up.clear();
      if (!down.empty()) consume(down, client->handle_bytes(down, now));
      collect();
      if (server_refusal) return;
      if (++rounds > 100000) FAIL() << "never quiet";
    }
  }

  int rounds = 0;

  void advance(Duration by) {
    now += by;
    client->handle_timeout(now);
    if (server) server->handle_timeout(now);
  }
};

template <class Wanted>
[[nodiscard]] std::size_t count(const std::vector<Event>& events) {
  return static_cast<std::size_t>(std::ranges::count_if(
      events, [](const Event& event) { return std::holds_alternative<Wanted>(event); }));
}

inline Bytes text(std::string_view words) { return test::copy_of(as_bytes(words)); }

inline std::vector<Bytes> take_all(ChannelEnd& channel) {
  std::vector<Bytes> all;
  while (const auto message = channel.front()) {
    all.push_back(test::copy_of(*message));
    channel.pop();
  }
  return all;
}

// A peer with valid keys that does what it must not.
struct Liar {
  Pair pair;
  std::optional<Link> link;

  Liar() {
    auto client = ClientHandshake::create(pair.client_config, *pair.engine, pair.rng, {}).value();
    pair.dial();
    Bytes buffer(1024);
    std::size_t used = 0;
    pair.up.assign(buffer.begin(),
                   buffer.begin() + static_cast<std::ptrdiff_t>(client.poll_transmit(buffer)));
    pair.up = Bytes(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(pair.up.size()));
    pair.serve_handshake();
    EXPECT_EQ(client.handle_bytes(pair.down, used).value(), Progress::key_shown);
    EXPECT_EQ(client.accept_peer_key().value(), Progress::done);
    pair.down.clear();
    const std::size_t n = client.poll_transmit(buffer);
    pair.up = Bytes(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
    pair.serve_handshake();
    link.emplace(std::move(client).take().link);
  }

  void say(Type type, ByteView plaintext) {
    Bytes buffer(kMaxWireMessageBytes);
    buffer.resize(link->seal(type, plaintext, {}, buffer).value());
    pair.server->handle_bytes(buffer, pair.now);
  }

  // The code that the server ends with, and the one it tells.
  Code verdict() {
    Bytes answer;
    Pair::drain(*pair.server, answer, pair.now, pair.buffer_bytes);
    EXPECT_EQ(answer.size(), Link::sealed_size(1));
    pair.server->handle_disconnected(pair.now);
    EXPECT_TRUE(pair.server->outcome());
    return pair.server->outcome()->code;
  }
};

}  // namespace sealine::scp
