// What no honest end sends, and what comes of it.
#include "scp/channel_pair.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace sealine::scp {
namespace {

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

// SPEC scp.md#limits
TEST(ScpChannel, peer_that_keeps_to_the_rate_is_never_cut_off_whatever_its_rhythm) {
  for (const Duration step : {Duration(7ms), Duration(50ms), Duration(95ms), Duration(99ms),
                              Duration(99'900us), Duration(333ms), Duration(1s)}) {
    Pair pair;
    pair.server_config.limits.max_messages_per_second = 10;
    pair.connect();
    std::uint64_t sent = 0;
    for (Duration passed{}; passed < 30s; passed += step) {
      // Never more than 10 a second since the beginning, behind the burst of two seconds.
      const auto due = static_cast<std::uint64_t>(20 + passed / 100ms);
      while (sent < due) {
        ASSERT_TRUE(pair.client->send(text("m")));
        ++sent;
      }
      pair.settle();
      take_all(*pair.server);
      ASSERT_FALSE(pair.client->outcome()) << step.count() << " " << sent;
      pair.advance(step);
    }
    EXPECT_EQ(pair.server->received(), sent);
    // And one that stops earns two seconds' worth, no more.
    for (int i = 0; i < 5; ++i) {
      pair.advance(5s);
      pair.settle();
    }
    for (int i = 0; i < 21; ++i) ASSERT_TRUE(pair.client->send(text("m")));
    pair.settle();
    ASSERT_TRUE(pair.client->outcome());
    EXPECT_EQ(pair.client->outcome()->code, Code::rate_limited);
    EXPECT_EQ(pair.server->received(), sent + 20);
  }
}

// SPEC scp.md#limits
TEST(ScpChannel, bytes_over_the_rate_are_a_fault_whatever_the_messages_are) {
  Pair pair;
  pair.server_config.limits.max_bytes_per_second = 100'000;
  pair.connect();
  ASSERT_TRUE(pair.client->send(Bytes(200'000)));
  pair.settle();
  EXPECT_FALSE(pair.client->outcome());
  ASSERT_TRUE(pair.client->send(text("x")));
  pair.settle();
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::rate_limited);
}

// SPEC scp.md#codes
TEST(ScpChannel, part_that_is_longer_than_a_part_or_stands_in_the_wrong_place_is_a_fault) {
  const Bytes part(1 + kPartBytes, 1);
  const std::vector<std::vector<Bytes>> lies{
      {Bytes(kPartBytes, 1)},           // a part that is too short
      {part, {0}},                      // a last part without data behind another
      {part, {4}},                      // END inside a message
      {{4}, {4}},                       // END behind END
      {{4}, {0, 'x'}},                  // a message behind END
      {{4}, Bytes(1 + kPartBytes, 1)},  // the beginning of one
  };
  for (const auto& lie : lies) {
    Liar liar;
    for (const Bytes& plaintext : lie) liar.say(Type::data, plaintext);
    if (lie.front().front() == 4) {  // the receipt for END stands in front
      Bytes answer;
      Pair::drain(*liar.pair.server, answer, liar.pair.now, liar.pair.buffer_bytes);
      liar.pair.server->handle_disconnected(liar.pair.now);
      EXPECT_EQ(liar.pair.server->outcome()->code, Code::protocol);
    } else {
      EXPECT_EQ(liar.verdict(), Code::protocol);
    }
    EXPECT_FALSE(liar.pair.server->front());
  }
}

// SPEC scp.md#receipts
TEST(ScpChannel, receipts_never_fall_and_never_run_ahead) {
  const auto verdict_of = [](std::uint64_t first, std::uint64_t second) {
    Liar liar;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(liar.pair.server->send(text("m")));
    Bytes written;
    Pair::drain(*liar.pair.server, written, liar.pair.now, liar.pair.buffer_bytes);
    liar.say(Type::ack, be_bytes(first));
    liar.say(Type::ack, be_bytes(second));
    return liar.pair.server->state();
  };
  EXPECT_EQ(verdict_of(0, 3), State::open);
  EXPECT_EQ(verdict_of(2, 2), State::open);
  EXPECT_EQ(verdict_of(2, 1), State::draining);
  EXPECT_EQ(verdict_of(2, 4), State::draining);
}

// SPEC scp.md#receipts
TEST(ScpChannel, message_that_is_not_written_to_its_end_has_no_receipt) {
  Liar liar;
  ASSERT_TRUE(liar.pair.server->send(Bytes(3 * kPartBytes)));
  Bytes buffer(kMaxWireMessageBytes);
  ASSERT_GT(liar.pair.server->poll_transmit(buffer, liar.pair.now), 0U);
  liar.say(Type::ack, be_bytes(std::uint64_t{1}));
  EXPECT_EQ(liar.pair.server->state(), State::draining);
}

// A channel whose keys the test knows, so that it may do what no Link does.
struct KnownKeys {
  std::unique_ptr<crypto::Engine> engine = *crypto::make_engine(crypto::EngineChoice::openssl);
  test::SeededRng rng{3};
  TimePoint now{1000s};
  ServerConfig config;
  ByteArray<32> k_c2s{1};
  ByteArray<32> k_s2c{2};
  ByteArray<32> hash{3};
  DirectionKeys keys = DirectionKeys::derive(*engine, k_c2s, hash);
  Link client = begin(Link::Role::client);
  ChannelEnd server;

  explicit KnownKeys(bool reconnect = false)
      : server(ChannelEnd::accept(config,
                                  {.link = begin(Link::Role::server),
                                   .peer = {},
                                   .theirs = {.reconnect = reconnect,
                                              .max_message_bytes = kSmallestMaxMessage,
                                              .resume = {}},
                                   .reconnect = reconnect},
                                  *engine, rng, now)) {}

  Link begin(Link::Role role) const { return Link::begin(*engine, role, k_c2s, k_s2c, hash); }

  // A message whose HMAC is right and whose ciphertext is not.
  Bytes badly_sealed() {
    Bytes message(Link::sealed_size(5));
    EXPECT_TRUE(client.seal(Type::data, Bytes(5), {}, message));
    message[kHeadBytes] ^= 1;
    const ByteView authenticated = ByteView(message).first(message.size() - kMacBytes);
    ByteArray<32> mac{};
    engine->hmac_many(keys.mac_key(), std::span(&authenticated, 1), std::span(&mac, 1));
    std::ranges::copy(mac, message.end() - kMacBytes);
    return message;
  }
};

// SPEC scp.md#codes
TEST(ScpChannel, ciphertext_that_is_not_authentic_is_a_silent_fault_of_its_own) {
  KnownKeys world;
  Bytes message = world.badly_sealed();
  world.server.handle_bytes(message, world.now);
  ASSERT_TRUE(world.server.outcome());
  EXPECT_EQ(world.server.outcome()->code, Code::decrypt);
  EXPECT_EQ(world.server.outcome()->error, Error{Errc::record_not_authentic});
  Bytes answer(kMaxWireMessageBytes);
  EXPECT_EQ(world.server.poll_transmit(answer, world.now), 0U);
}

// SPEC scp.md#reconnect
TEST(ScpChannel, fault_that_nothing_authenticates_costs_one_connection_where_another_may_follow) {
  KnownKeys world(true);
  Bytes written(2 * kMaxWireMessageBytes);
  ASSERT_EQ(world.server.poll_transmit(written, world.now), Link::sealed_size(8));  // ACK{0}
  Bytes message = world.badly_sealed();
  world.server.handle_bytes(message, world.now);
  EXPECT_FALSE(world.server.outcome());
  EXPECT_EQ(world.server.state(), State::lost);
}

// A client under way to an open channel, and its server's keys in a liar's hands.
struct LyingServer {
  Pair pair;
  std::optional<Opening> opening;

  explicit LyingServer(bool reconnect) : pair(Mode::anonymous, reconnect) {
    pair.client.emplace(
        ChannelEnd::connect(pair.client_config, *pair.engine, pair.rng, pair.now).value());
    pair.dial();
    take_over();
  }

  // Runs the handshake and keeps what comes of it.
  void take_over() {
    Bytes buffer(1024);
    std::size_t used = 0;
    for (int step = 0; step < 2; ++step) {
      pair.up.clear();
      Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
      ASSERT_TRUE(pair.handshake->handle_bytes(pair.up, used));
      Bytes answer(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(
                                                        pair.handshake->poll_transmit(buffer)));
      pair.client->handle_bytes(answer, pair.now);
    }
    opening.emplace(std::move(*pair.handshake).take());
  }

  void say(Type type, ByteView plaintext) {
    Bytes buffer(kMaxWireMessageBytes);
    buffer.resize(opening->link.seal(type, plaintext, {}, buffer).value());
    pair.client->handle_bytes(buffer, pair.now);
  }

  Code verdict() {
    Bytes answer;
    Pair::drain(*pair.client, answer, pair.now, pair.buffer_bytes);
    pair.client->handle_disconnected(pair.now);
    EXPECT_TRUE(pair.client->outcome());
    return pair.client->outcome().value_or(Outcome{}).code;
  }
};

// SPEC scp.md#reconnect
TEST(ScpChannel, client_that_may_reconnect_takes_nothing_before_the_first_receipt) {
  LyingServer honest(true);
  EXPECT_EQ(honest.pair.client->state(), State::confirming);
  honest.say(Type::ack, Bytes(8));
  EXPECT_EQ(honest.pair.client->state(), State::open);

  const std::vector<std::pair<Type, Bytes>> lies{
      {Type::data, {0, 'x'}},                 // a message
      {Type::ack, {0, 0, 0, 0, 0, 0, 0, 1}},  // another receipt
      {Type::ack, Bytes(7)},
      {Type::ack, {}},
      {Type::data, Bytes(41, 3)},  // RESUME that nobody asked for
      {Type::init, Bytes(32, 1)},
      {Type::response, Bytes(32, 1)}};
  for (const auto& [type, plaintext] : lies) {
    LyingServer liar(true);
    liar.say(type, plaintext);
    EXPECT_EQ(liar.verdict(), Code::protocol);
    EXPECT_FALSE(liar.pair.client->front());
  }
  LyingServer closing(true);
  closing.say(Type::close, {{static_cast<std::uint8_t>(Code::going_away)}});
  EXPECT_EQ(closing.verdict(), Code::going_away);
}

// SPEC scp.md#reconnect
TEST(ScpChannel, client_that_asked_to_resume_takes_resume_or_close_alone) {
  const auto verdict_of = [](Type type, const Bytes& plaintext) {
    LyingServer liar(true);
    liar.say(Type::ack, Bytes(8));
    EXPECT_TRUE(liar.pair.client->send(text("secret")));
    liar.pair.client->handle_disconnected(liar.pair.now);
    EXPECT_TRUE(liar.pair.client->begin_connection(liar.pair.now));
    liar.pair.dial();
    liar.take_over();
    EXPECT_TRUE(liar.opening->theirs.resume);
    EXPECT_EQ(liar.pair.client->state(), State::confirming);
    liar.say(type, plaintext);
    const Code code = liar.verdict();
    EXPECT_EQ(liar.pair.client->outcome()->unknown, 1U);
    return code;
  };
  EXPECT_EQ(verdict_of(Type::ack, Bytes(8)), Code::protocol);
  EXPECT_EQ(verdict_of(Type::data, {0}), Code::protocol);
  EXPECT_EQ(verdict_of(Type::data, Bytes(40, 3)), Code::protocol);
  EXPECT_EQ(verdict_of(Type::data, Bytes(42, 3)), Code::protocol);
  EXPECT_EQ(verdict_of(Type::data, Bytes(41, 2)), Code::protocol);
  // The right form and a proof that is none.
  Bytes resume(41);
  resume[0] = 3;
  EXPECT_EQ(verdict_of(Type::data, resume), Code::unknown_channel);
  EXPECT_EQ(verdict_of(Type::close, {11}), Code::unknown_channel);
}

// SPEC scp.md#rotation
TEST(ScpChannel, rotation_is_answered_once_and_with_a_key_that_is_none_of_small_order) {
  const auto state_after = [](const Bytes& response, bool asked) {
    LyingServer liar(false);
    if (asked) liar.pair.client->rotate();
    Bytes written;
    Pair::drain(*liar.pair.client, written, liar.pair.now, liar.pair.buffer_bytes);
    liar.say(Type::response, response);
    return liar.pair.client->state();
  };
  const Bytes key(32, 9);
  EXPECT_EQ(state_after(key, true), State::open);
  EXPECT_EQ(state_after(key, false), State::draining);
  EXPECT_EQ(state_after(Bytes(31, 9), true), State::draining);
  EXPECT_EQ(state_after(Bytes(33, 9), true), State::draining);
  EXPECT_EQ(state_after(Bytes(32, 0), true), State::draining);
  EXPECT_EQ(state_after({}, true), State::draining);
}

// SPEC scp.md#rotation
TEST(ScpChannel, second_rotation_inside_the_first_is_a_fault) {
  Liar liar;
  const crypto::KeyPair key = crypto::KeyPair::generate(*liar.pair.engine, liar.pair.rng);
  liar.say(Type::init, key.public_key.view());
  EXPECT_EQ(liar.pair.server->state(), State::open);
  liar.say(Type::init, key.public_key.view());
  EXPECT_EQ(liar.pair.server->state(), State::draining);
}

}  // namespace
}  // namespace sealine::scp
