// A channel and its connections, one after the other.
#include "scp/channel_pair.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace sealine::scp {
namespace {

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

// SPEC scp.md#reconnect
TEST(ScpChannel, connects_anew_only_where_one_was_lost) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  EXPECT_TRUE(pair.client->can_reconnect());
  EXPECT_EQ(pair.client->begin_connection(pair.now), fail(Errc::wrong_state));
  pair.cut();
  EXPECT_EQ(pair.server->state(), State::lost);
  EXPECT_EQ(pair.server->begin_connection(pair.now), fail(Errc::wrong_state));
  EXPECT_TRUE(pair.client->begin_connection(pair.now));
}

// SPEC scp.md#reconnect
TEST(ScpChannel, pauses_double_up_to_thirty_seconds_and_end_after_five_minutes) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  pair.cut();
  pair.client_events.clear();
  const TimePoint lost = pair.now;
  Duration pause = 100ms;
  std::size_t attempts = 0;
  while (!pair.client->outcome()) {
    const TimePoint due = pair.client->poll_timeout().value();
    if (due == lost + 5min) {
      pair.now = due;
      pair.client->handle_timeout(due);
      break;
    }
    EXPECT_GE(due - pair.now, pause / 2);
    EXPECT_LE(due - pair.now, pause);
    pair.now = due;
    pair.client->handle_timeout(due);
    pair.collect();
    ASSERT_EQ(count<ReconnectDue>(pair.client_events), ++attempts);
    // Some attempts do not get as far as a connection, the others lose it again.
    if (attempts % 2 == 0) {
      ASSERT_TRUE(pair.client->begin_connection(pair.now));
    }
    pair.client->handle_disconnected(pair.now);
    pause = std::min<Duration>(2 * pause, 30s);
  }
  EXPECT_GT(attempts, 15U);
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::timeout);
  EXPECT_EQ(pair.client->outcome()->error, Error{Errc::gave_up});
  EXPECT_EQ(count<ConnectionLost>(pair.client_events), 0U);  // told once, when it was lost
}

// SPEC scp.md#reconnect
TEST(ScpChannel, server_keeps_a_lost_channel_for_five_minutes) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  pair.cut();
  // A second word of the same end changes nothing.
  pair.now += 100s;
  pair.server->handle_disconnected(pair.now);
  EXPECT_EQ(pair.server->poll_timeout(), pair.now + 200s);
  pair.now += 200s;
  pair.server->handle_timeout(pair.now);
  ASSERT_TRUE(pair.server->outcome());
  EXPECT_EQ(pair.server->outcome()->error, Error{Errc::gave_up});
}

// SPEC scp.md#reconnect
TEST(ScpChannel, handshake_and_silence_that_run_out_cost_a_connection_not_the_channel) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  pair.cut();
  ASSERT_TRUE(pair.client->begin_connection(pair.now));
  pair.now += 10s;
  pair.client->handle_timeout(pair.now);
  EXPECT_EQ(pair.client->state(), State::lost);
  pair.reconnect_client();
  ASSERT_EQ(pair.client->state(), State::open);
  pair.now += 30s;
  pair.client->handle_timeout(pair.now);
  EXPECT_EQ(pair.client->state(), State::lost);
  EXPECT_FALSE(pair.client->outcome());
}

// SPEC scp.md#reconnect
TEST(ScpChannel, connection_lost_before_its_first_receipt_is_begun_anew) {
  Pair pair(Mode::mutual, true);
  pair.client.emplace(
      ChannelEnd::connect(pair.client_config, *pair.engine, pair.rng, pair.now).value());
  pair.dial();
  while (pair.client->state() != State::confirming) {
    pair.collect();
    Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
    if (!pair.up.empty()) pair.serve_handshake();
    Pair::consume(pair.down, pair.client->handle_bytes(pair.down, pair.now));
  }
  ASSERT_TRUE(pair.client->send(text("waits")));
  pair.client->handle_disconnected(pair.now);
  pair.server.reset();
  ASSERT_EQ(pair.client->state(), State::lost);
  pair.reconnect_client();
  ASSERT_EQ(pair.client->state(), State::open);
  EXPECT_FALSE(std::ranges::any_of(pair.client_events, [](const Event& event) {
    return std::holds_alternative<Opened>(event) && std::get<Opened>(event).resumed;
  }));
  EXPECT_EQ(take_all(*pair.server), std::vector<Bytes>{text("waits")});
}

// SPEC scp.md#reconnect
TEST(ScpChannel, lost_channel_that_may_not_resume_ends_now) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("one")));
  pair.cut();
  pair.client->forbid_resume();
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::truncated);
  EXPECT_EQ(pair.client->outcome()->unknown, 1U);
}

// SPEC scp.md#reconnect
TEST(ScpChannel, close_of_a_lost_channel_is_over_at_once) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("one")));
  pair.cut();
  pair.client->close(pair.now);
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::normal);
  EXPECT_EQ(pair.client->outcome()->unknown, 1U);
}

// SPEC scp.md#reconnect
TEST(ScpChannel, close_that_was_begun_goes_on_over_the_next_connection) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("one")));
  pair.client->close(pair.now);
  ASSERT_EQ(pair.client->state(), State::closing);
  pair.cut();
  ASSERT_EQ(pair.client->state(), State::lost);
  pair.advance(1s);
  pair.reconnect_client();
  EXPECT_EQ(take_all(*pair.server), std::vector<Bytes>{text("one")});
  ASSERT_TRUE(pair.server->outcome());
  EXPECT_EQ(pair.server->outcome()->code, Code::normal);
  pair.client->handle_disconnected(pair.now);
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->receipted, 1U);
}

// SPEC scp.md#reconnect
TEST(ScpChannel, goes_on_with_the_key_it_began_with_and_with_no_other) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("one")));
  pair.cut();
  pair.server_config.identity =
      std::make_shared<crypto::KeyPair>(crypto::KeyPair::generate(*pair.engine, pair.rng));
  pair.reconnect_client();
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::authentication);
  EXPECT_EQ(pair.client->outcome()->error, Error{Errc::peer_key_changed});
  EXPECT_EQ(pair.client->outcome()->unknown, 1U);
}

// A client of the server's that comes back in a handshake of its own.
struct Returning {
  Pair pair{Mode::mutual, true};

  Returning() { pair.connect(); }

  // The client's opening, on its way to the server that it left.
  std::optional<Opening> opening_with(std::uint32_t max_message) {
    pair.cut();
    pair.client_config.limits.max_message_bytes = max_message;
    EXPECT_TRUE(pair.client->begin_connection(pair.now));
    pair.dial();
    for (int i = 0; i < 100; ++i) {
      pair.collect();
      Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
      std::size_t used = 0;
      auto progress = pair.handshake->handle_bytes(pair.up, used);
      Pair::consume(pair.up, used);
      if (progress && *progress == Progress::key_shown)
        progress = pair.handshake->accept_peer_key();
      if (!progress) return std::nullopt;
      if (*progress == Progress::done) return std::move(*pair.handshake).take();
      Bytes answer(1024);
      answer.resize(pair.handshake->poll_transmit(answer));
      pair.client->handle_bytes(answer, pair.now);
    }
    return std::nullopt;
  }
};

// SPEC scp.md#reconnect
TEST(ScpChannel, resumes_only_what_is_the_channels_own) {
  enum class Change { none, id, have, other_peer, other_mode, other_limit, no_block };
  using enum Change;
  for (const Change change : {none, id, have, other_peer, other_mode, other_limit, no_block}) {
    Returning world;
    auto opening = world.opening_with(change == other_limit ? (1U << 20U) : (16U << 20U));
    ASSERT_TRUE(opening);
    if (change == id) opening->theirs.resume->channel_id[0] ^= 1;
    if (change == have) opening->theirs.resume->have = 1;  // of none that was sent
    if (change == other_peer) opening->peer.key->bytes[0] ^= 1;
    if (change == other_mode) opening->peer.mode = Mode::pinned;
    if (change == no_block) opening->theirs.resume.reset();
    const auto resumed = world.pair.server->resume(*opening, world.pair.now);
    EXPECT_EQ(resumed.has_value(), change == none) << static_cast<int>(change);
    if (!resumed) {
      EXPECT_EQ(resumed.error(), Error{Errc::channel_unknown});
      EXPECT_EQ(world.pair.server->state(), State::lost);
    }
  }
}

// SPEC scp.md#reconnect
TEST(ScpChannel, resumes_nothing_that_is_over_or_that_nobody_asked_to_keep) {
  Returning over;
  auto opening = over.opening_with(16U << 20U);
  over.pair.server->close(over.pair.now);
  EXPECT_EQ(over.pair.server->resume(*opening, over.pair.now), fail(Errc::channel_unknown));

  Returning forbidden;
  opening = forbidden.opening_with(16U << 20U);
  forbidden.pair.server->forbid_resume();
  EXPECT_EQ(forbidden.pair.server->resume(*opening, forbidden.pair.now),
            fail(Errc::channel_unknown));
}

}  // namespace
}  // namespace sealine::scp
