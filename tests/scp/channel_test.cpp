#include "sealine/scp/channel.hpp"

#include "sealine/base/writer.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/scp/handshake.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sealine::scp {
namespace {

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
std::size_t count(const std::vector<Event>& events) {
  return static_cast<std::size_t>(std::ranges::count_if(
      events, [](const Event& event) { return std::holds_alternative<Wanted>(event); }));
}

Bytes text(std::string_view words) { return test::copy_of(as_bytes(words)); }

std::vector<Bytes> take_all(ChannelEnd& channel) {
  std::vector<Bytes> all;
  while (const auto message = channel.front()) {
    all.push_back(test::copy_of(*message));
    channel.pop();
  }
  return all;
}

class ScpModes : public ::testing::TestWithParam<Mode> {};

// SPEC scp.md#messages
TEST_P(ScpModes, messages_go_both_ways_and_have_receipts) {
  Pair pair(GetParam());
  pair.connect();
  ASSERT_EQ(pair.client->state(), State::open);
  ASSERT_TRUE(pair.client->send(text("one")));
  ASSERT_TRUE(pair.client->send({}));
  ASSERT_TRUE(pair.server->send(text("two")));
  pair.settle();
  EXPECT_EQ(take_all(*pair.server), (std::vector<Bytes>{text("one"), {}}));
  EXPECT_EQ(take_all(*pair.client), (std::vector<Bytes>{text("two")}));
  EXPECT_EQ(pair.client->receipted(), 2U);
  EXPECT_EQ(pair.server->receipted(), 1U);
  pair.client->close(pair.now);
  pair.settle();
  ASSERT_TRUE(pair.server->outcome());
  EXPECT_EQ(pair.server->outcome()->code, Code::normal);
}

INSTANTIATE_TEST_SUITE_P(scp, ScpModes,
                         ::testing::Values(Mode::anonymous, Mode::pinned, Mode::mutual, Mode::psk,
                                           Mode::pinned_psk));

// SPEC scp.md#messages
TEST(ScpChannel, any_split_of_the_stream_gives_the_same_messages) {
  Pair pair;
  pair.connect();
  Bytes large(3 * kPartBytes + 5);
  pair.rng.fill(large);
  ASSERT_TRUE(pair.client->send(large));
  ASSERT_TRUE(pair.client->send(text("last")));
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  Bytes held;
  for (std::size_t i = 0; i < pair.up.size();) {
    const std::size_t step = std::min<std::size_t>(1 + pair.rng.below(9000), pair.up.size() - i);
    held.insert(held.end(), pair.up.begin() + static_cast<std::ptrdiff_t>(i),
                pair.up.begin() + static_cast<std::ptrdiff_t>(i + step));
    i += step;
    Pair::consume(held, pair.server->handle_bytes(held, pair.now));
  }
  EXPECT_EQ(take_all(*pair.server), (std::vector<Bytes>{large, text("last")}));
}

// SPEC scp.md#receipts
TEST(ScpChannel, window_holds_the_sender_back_until_receipts_come) {
  Pair pair;
  pair.connect();
  for (std::uint32_t i = 0; i < pair.client_config.limits.window_messages; ++i) {
    ASSERT_TRUE(pair.client->send({}));
  }
  const auto refused = pair.client->send({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::window_full);
  pair.settle();
  EXPECT_TRUE(pair.client->can_send());
}

// SPEC scp.md#receipts
TEST(ScpChannel, application_that_takes_nothing_stops_its_sender_within_two_windows) {
  Pair pair;
  pair.connect();
  std::size_t sent = 0;
  for (int i = 0; i < 10000; ++i) {
    if (pair.client->send(text("x"))) ++sent;
    if (!pair.client->can_send()) pair.settle();
  }
  EXPECT_EQ(sent, 2U * pair.server_config.limits.window_messages);
  EXPECT_FALSE(pair.server->outcome());
  EXPECT_EQ(take_all(*pair.server).size(), sent);
  pair.settle();
  EXPECT_EQ(pair.client->receipted(), sent);
}

// SPEC scp.md#rotation
TEST(ScpChannel, rotates_by_bytes_and_by_time_and_loses_nothing) {
  Pair pair;
  pair.client_config.limits.rotate_bytes = 100'000;
  pair.server_config.limits.rotate_bytes = 100'000;
  pair.connect();
  Bytes message(10'000);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(pair.client->send(message));
    ASSERT_TRUE(pair.server->send(message));
    pair.settle();
    take_all(*pair.client);
    take_all(*pair.server);
  }
  EXPECT_GE(count<Rotated>(pair.client_events), 8U);
  const std::size_t before = count<Rotated>(pair.client_events);
  for (int i = 0; i < 400; ++i) {
    pair.advance(10s);
    pair.settle();
  }
  EXPECT_EQ(count<Rotated>(pair.client_events), before + 1);
  EXPECT_EQ(pair.client->received(), 100U);
  EXPECT_EQ(pair.server->received(), 100U);
  EXPECT_FALSE(pair.client->outcome());
}

// SPEC scp.md#rotation
TEST(ScpChannel, rotates_every_100_ms_under_traffic_and_loses_nothing) {
  Pair pair;
  pair.client_config.limits.rotate_after = 100ms;
  pair.server_config.limits.rotate_after = 100ms;
  pair.connect();
  constexpr std::size_t kTicks = 500;
  for (std::size_t i = 0; i < kTicks; ++i) {
    ASSERT_TRUE(pair.client->send(text("up")));
    ASSERT_TRUE(pair.server->send(text("down")));
    pair.advance(10ms);
    pair.settle();
    EXPECT_EQ(take_all(*pair.server), std::vector<Bytes>{text("up")});
    EXPECT_EQ(take_all(*pair.client), std::vector<Bytes>{text("down")});
  }
  EXPECT_EQ(count<Rotated>(pair.client_events), kTicks / 10);
  EXPECT_EQ(pair.client->receipted(), kTicks);
  EXPECT_FALSE(pair.server->outcome());
}

// SPEC scp.md#reconnect
TEST(ScpChannel, cut_anywhere_loses_nothing_and_repeats_nothing) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  std::size_t next_up = 0;
  std::size_t next_down = 0;
  std::vector<Bytes> at_server;
  std::vector<Bytes> at_client;
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < 7; ++i) {
      if (pair.client->send(text("c" + std::to_string(next_up)))) ++next_up;
      if (pair.server->send(text("s" + std::to_string(next_down)))) ++next_down;
    }
    Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
    Pair::drain(*pair.server, pair.down, pair.now, pair.buffer_bytes);
    // Some of what was written arrives, the rest is lost with the connection.
    pair.up.resize(pair.rng.below(pair.up.size() + 1));
    pair.down.resize(pair.rng.below(pair.down.size() + 1));
    pair.server->handle_bytes(pair.up, pair.now);
    pair.client->handle_bytes(pair.down, pair.now);
    pair.cut();
    ASSERT_EQ(pair.client->state(), State::lost);
    pair.advance(31s);
    pair.collect();
    pair.reconnect_client();
    ASSERT_EQ(pair.client->state(), State::open);
    for (Bytes& message : take_all(*pair.server)) at_server.push_back(std::move(message));
    for (Bytes& message : take_all(*pair.client)) at_client.push_back(std::move(message));
    pair.settle();
  }
  ASSERT_EQ(at_server.size(), next_up);
  ASSERT_EQ(at_client.size(), next_down);
  for (std::size_t i = 0; i < at_server.size(); ++i)
    EXPECT_EQ(at_server[i], text("c" + std::to_string(i)));
  for (std::size_t i = 0; i < at_client.size(); ++i)
    EXPECT_EQ(at_client[i], text("s" + std::to_string(i)));
}

// SPEC scp.md#reconnect
TEST(ScpChannel, resume_that_is_under_way_when_it_is_forbidden_is_the_last) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(pair.client->send(text("lost on the way")));
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  pair.cut();
  pair.advance(1s);
  ASSERT_TRUE(pair.client->begin_connection(pair.now));
  pair.client->forbid_resume();
  pair.dial();
  pair.settle();
  ASSERT_EQ(pair.client->state(), State::open);
  EXPECT_EQ(take_all(*pair.server).size(), 3U);
  EXPECT_EQ(pair.client->receipted(), 3U);
  pair.cut();
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::truncated);
}

// SPEC scp.md#reconnect
TEST(ScpChannel, resume_forbidden_before_the_first_connection_stands_is_forbidden) {
  Pair pair(Mode::mutual, true);
  pair.client.emplace(
      ChannelEnd::connect(pair.client_config, *pair.engine, pair.rng, pair.now).value());
  pair.client->forbid_resume();
  pair.dial();
  pair.settle();
  ASSERT_EQ(pair.client->state(), State::open);
  ASSERT_TRUE(pair.client->send(text("one")));
  pair.settle();
  EXPECT_EQ(take_all(*pair.server).size(), 1U);
  pair.cut();
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::truncated);
}

// SPEC scp.md#reconnect
TEST(ScpChannel, server_that_forgot_the_channel_says_so_and_the_client_counts) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("known")));
  pair.settle();
  ASSERT_TRUE(pair.client->send(text("unknown")));
  pair.cut();
  pair.server.reset();
  pair.advance(1s);
  pair.reconnect_client();
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::unknown_channel);
  EXPECT_EQ(pair.client->outcome()->receipted, 1U);
  EXPECT_EQ(pair.client->outcome()->unknown, 1U);
}

// SPEC scp.md#messages
TEST(ScpChannel, ends_when_both_have_ended) {
  Pair pair;
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("a")));
  pair.client->end(pair.now);
  pair.settle();
  EXPECT_EQ(take_all(*pair.server).size(), 1U);
  EXPECT_TRUE(pair.server->at_end());
  EXPECT_FALSE(pair.client->send(text("late")));
  ASSERT_TRUE(pair.server->send(text("b")));
  pair.server->end(pair.now);
  pair.settle();
  EXPECT_EQ(take_all(*pair.client).size(), 1U);
  pair.client->handle_disconnected(pair.now);
  pair.server->handle_disconnected(pair.now);
  EXPECT_EQ(pair.client->outcome()->code, Code::normal);
  EXPECT_EQ(pair.server->outcome()->code, Code::normal);
  EXPECT_EQ(pair.server->outcome()->unknown, 0U);
}

// SPEC scp.md#codes
TEST(ScpChannel, close_that_nobody_answers_is_over_in_five_seconds) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  pair.now += 28s;  // nothing comes from the other end any more
  pair.client->close(pair.now);
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  ASSERT_EQ(pair.client->state(), State::draining);
  pair.now += 4900ms;
  pair.client->handle_timeout(pair.now);
  EXPECT_EQ(pair.client->state(), State::draining);
  pair.now += 100ms;
  pair.client->handle_timeout(pair.now);
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::normal);
}

// SPEC scp.md#receipts
TEST(ScpChannel, end_waits_for_room_as_every_message_does) {
  struct Case {
    std::size_t messages;
    std::size_t bytes;
  };

  for (const auto& [messages, bytes] : {Case{1024, 1}, Case{1, 1'500'000}, Case{2, 1U << 19U}}) {
    Pair pair;
    pair.connect();
    for (std::size_t i = 0; i < messages; ++i) {
      ASSERT_TRUE(pair.client->send(Bytes(bytes)));
    }
    pair.client->end(pair.now);
    pair.settle();
    EXPECT_EQ(take_all(*pair.server).size(), messages);
    pair.settle();
    EXPECT_FALSE(pair.server->outcome());
    EXPECT_TRUE(pair.server->at_end());
    EXPECT_EQ(pair.client->receipted(), messages + 1);
  }
}

// SPEC scp.md#codes
TEST(ScpChannel, silence_is_a_timeout_and_keep_alive_prevents_it) {
  Pair pair;
  pair.connect();
  for (int i = 0; i < 20; ++i) {
    pair.advance(10s);
    pair.settle();
  }
  EXPECT_FALSE(pair.client->outcome());
  Bytes nothing;
  for (int i = 0; i < 4; ++i) {
    pair.now += 10s;
    pair.client->handle_timeout(pair.now);
    Pair::drain(*pair.client, nothing, pair.now, pair.buffer_bytes);
  }
  pair.client->handle_disconnected(pair.now);
  EXPECT_EQ(pair.client->outcome()->code, Code::timeout);
}

// SPEC scp.md#codes
TEST(ScpChannel, any_flipped_bit_is_a_silent_fault_and_delivers_nothing) {
  for (std::size_t byte = 0; byte < kHeadBytes + 21 + kMacBytes; ++byte) {
    Pair pair;
    pair.connect();
    ASSERT_TRUE(pair.client->send(text("four")));
    Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
    ASSERT_EQ(pair.up.size(), Link::sealed_size(5));
    pair.up[byte] ^= static_cast<std::uint8_t>(1U << (byte % 8));
    pair.server->handle_bytes(pair.up, pair.now);
    Bytes answer;
    Pair::drain(*pair.server, answer, pair.now, pair.buffer_bytes);
    EXPECT_TRUE(answer.empty()) << byte;
    EXPECT_FALSE(pair.server->front()) << byte;
    if (!pair.server->outcome()) {
      // A longer length only makes the receiver wait; nothing is delivered.
      EXPECT_GE(byte, 10U);
      EXPECT_LT(byte, 14U);
      continue;
    }
    const Code code = pair.server->outcome()->code;
    if (byte == 0) {
      EXPECT_EQ(code, Code::version);
    }
    if (byte >= 2 && byte < 10) {
      EXPECT_EQ(code, Code::sequence);
    }
    if (byte >= 14) {
      EXPECT_EQ(code, Code::authentication);
    }
  }
}

// SPEC scp.md#codes
TEST(ScpChannel, repeated_dropped_and_reflected_messages_are_out_of_sequence) {
  for (const int attack : {0, 1, 2}) {
    Pair pair;
    pair.connect();
    ASSERT_TRUE(pair.client->send(text("a")));
    Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
    Bytes first = pair.up;
    pair.up.clear();
    ASSERT_TRUE(pair.client->send(text("b")));
    Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
    Bytes wire = attack == 0 ? first : attack == 1 ? Bytes{} : first;
    if (attack == 0) wire.insert(wire.end(), first.begin(), first.end());
    if (attack == 1) wire = pair.up;
    ChannelEnd& victim = attack == 2 ? *pair.client : *pair.server;
    victim.handle_bytes(wire, pair.now);
    ASSERT_TRUE(victim.outcome());
    EXPECT_EQ(victim.outcome()->code, Code::sequence);
  }
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

// SPEC scp.md#codes
TEST(ScpChannel, what_no_honest_end_sends_is_a_protocol_fault) {
  const Bytes ack_of_the_future = test::from_hex("0000000000000001");
  const std::vector<std::pair<Type, Bytes>> lies{
      {Type::data, {}},                // no kind
      {Type::data, {9}},               // unknown kind
      {Type::data, {1, 2, 3}},         // a short part
      {Type::data, Bytes(41, 3)},      // RESUME from a client
      {Type::data, {4, 0}},            // END with something in it
      {Type::ack, ack_of_the_future},  // a receipt for what was never sent
      {Type::ack, {}},                 // a rotation's end without a rotation
      {Type::ack, {1, 2, 3}},          // no receipt
      {Type::init, Bytes(31, 1)},      // a short key
      {Type::init, Bytes(32, 0)},      // a key of small order
      {Type::response, Bytes(32, 1)},  // the server's part
      {Type::close, {}},               // no code
      {Type::close, {2}},              // a code that stays local
      {Type::close, {99}},
  };
  for (const auto& [type, plaintext] : lies) {
    Liar liar;
    liar.say(type, plaintext);
    EXPECT_EQ(liar.verdict(), Code::protocol)
        << static_cast<int>(type) << " " << test::to_hex(plaintext);
  }
}

// SPEC scp.md#receipts
TEST(ScpChannel, sender_that_overruns_its_window_is_a_fault) {
  Liar liar;
  const ByteArray<1> empty{0};
  for (std::uint32_t i = 0; i <= liar.pair.server_config.limits.window_messages; ++i)
    liar.say(Type::data, empty);
  EXPECT_EQ(liar.verdict(), Code::too_large);
}

// SPEC scp.md#limits
TEST(ScpChannel, message_over_the_limit_is_a_fault_and_never_sent) {
  Liar liar;
  liar.pair.server_config.limits.max_message_bytes = kSmallestMaxMessage;
  Bytes part(kPartBytes + 1, 1);
  for (std::uint32_t held = 0; held <= (16U << 20U); held += kPartBytes) liar.say(Type::data, part);
  EXPECT_EQ(liar.verdict(), Code::too_large);

  Pair pair;
  pair.server_config.limits.max_message_bytes = kSmallestMaxMessage;
  pair.connect();
  const auto refused = pair.client->send(Bytes(kSmallestMaxMessage + 1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::message_too_large);
}

// SPEC scp.md#limits
TEST(ScpChannel, flood_over_the_rate_is_a_fault_with_its_code) {
  Pair pair;
  pair.server_config.limits.max_messages_per_second = 10;
  pair.connect();
  for (int i = 0; i < 21; ++i) ASSERT_TRUE(pair.client->send(text("m")));
  pair.settle();
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::rate_limited);
  EXPECT_TRUE(pair.client->outcome()->by_peer);
}

// SPEC scp.md#handshake
TEST(ScpChannel, wrong_psk_gets_no_answer) {
  Pair pair(Mode::psk);
  auto other = std::make_shared<crypto::Psk>();
  pair.rng.fill(other->writable());
  pair.client_config.psk = other;
  pair.connect();
  EXPECT_EQ(pair.server_refusal, Errc::hello_not_authentic);
  EXPECT_TRUE(pair.down.empty());
}

// SPEC scp.md#handshake
TEST(ScpChannel, mode_that_the_server_does_not_list_gets_no_answer) {
  Pair pair(Mode::mutual);
  pair.server_config.modes = {Mode::psk};
  pair.connect();
  EXPECT_EQ(pair.server_refusal, Errc::mode_refused);
  EXPECT_TRUE(pair.down.empty());
}

// SPEC scp.md#reconnect
TEST(ScpChannel, resume_with_a_wrong_proof_is_refused) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  // Another client with a key of its own names the channel.
  const ByteArray<16> id = pair.server->id();
  Secret<32, struct ScpResumeKeyTag> guess;
  Pair thief(Mode::mutual, true);
  thief.server_config = pair.server_config;
  auto handshake =
      ClientHandshake::create(thief.client_config, *pair.engine, pair.rng,
                              ResumeRequest{.channel_id = id, .have = 0, .resume_key = &guess})
          .value();
  pair.dial();
  Bytes buffer(1024);
  std::size_t used = 0;
  std::size_t n = handshake.poll_transmit(buffer);
  pair.up.assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
  pair.serve_handshake();
  ASSERT_EQ(handshake.handle_bytes(pair.down, used).value(), Progress::key_shown);
  ASSERT_EQ(handshake.accept_peer_key().value(), Progress::done);
  pair.down.clear();
  n = handshake.poll_transmit(buffer);
  pair.up.assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
  pair.serve_handshake();
  Link link = std::move(handshake).take().link;
  const auto head = link.check_head(FixedView<kHeadBytes>(ByteView(pair.down).first<kHeadBytes>()));
  ASSERT_TRUE(head);
  EXPECT_EQ(head->type, Type::close);
  const auto plaintext = link.open(*head, pair.down);
  ASSERT_TRUE(plaintext);
  EXPECT_EQ((*plaintext)[0], static_cast<std::uint8_t>(Code::unknown_channel));
  EXPECT_EQ(pair.server->state(), State::open);
}

}  // namespace
}  // namespace sealine::scp
