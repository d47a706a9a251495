#include "sealine/scp/channel.hpp"

#include "scp/channel_pair.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace sealine::scp {
namespace {

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

// SPEC scp.md#keys
TEST(ScpChannel, both_ends_export_the_same_secrets_under_labels_of_their_own) {
  Pair pair;
  pair.client.emplace(
      ChannelEnd::connect(pair.client_config, *pair.engine, pair.rng, pair.now).value());
  ByteArray<32> ours{};
  EXPECT_EQ(pair.client->export_key("app", {}, ours), fail(Errc::not_encrypted));
  pair.dial();
  pair.settle();
  ByteArray<32> theirs{};
  ByteArray<32> other{};
  ASSERT_TRUE(pair.client->export_key("app", as_bytes("context"), ours));
  ASSERT_TRUE(pair.server->export_key("app", as_bytes("context"), theirs));
  ASSERT_TRUE(pair.server->export_key("app", {}, other));
  EXPECT_EQ(ours, theirs);
  EXPECT_NE(theirs, other);
  // The labels of the protocol itself would give its own secrets away.
  EXPECT_EQ(pair.client->export_key("scp1 resume", {}, ours), fail(Errc::bad_configuration));
}

// SPEC scp.md#handshake
TEST(ScpChannel, refused_key_ends_it_without_a_byte) {
  Pair pair;
  pair.client.emplace(
      ChannelEnd::connect(pair.client_config, *pair.engine, pair.rng, pair.now).value());
  pair.dial();
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  pair.serve_handshake();
  pair.client->handle_bytes(pair.down, pair.now);
  const auto event = pair.client->poll_event();
  ASSERT_TRUE(event && std::holds_alternative<KeyShown>(*event));
  EXPECT_EQ(std::get<KeyShown>(*event).key, pair.server_config.identity->public_key);
  pair.client->refuse_peer_key(Errc::peer_key_changed, pair.now);
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::authentication);
  EXPECT_EQ(pair.client->outcome()->error, Error{Errc::peer_key_changed});
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  EXPECT_TRUE(pair.up.empty());
  // Neither verdict means anything any more.
  pair.client->accept_peer_key(pair.now);
  pair.client->refuse_peer_key(Errc::peer_failed, pair.now);
  EXPECT_EQ(pair.client->outcome()->error, Error{Errc::peer_key_changed});
}

// SPEC scp.md#messages
TEST(ScpChannel, padding_is_dropped_and_counted_by_nobody) {
  bool stood_before = false;
  bool stood_behind = false;
  for (int i = 0; i < 40; ++i) {
    Pair pair(Mode::anonymous);
    for (int skip = 0; skip < i; ++skip) {
      ByteArray<1> drawn{};
      pair.rng.fill(drawn);
    }
    pair.connect();
    ASSERT_TRUE(pair.client->send(text("message")));
    pair.client->pad(100'000);
    pair.client->pad(0);
    Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
    EXPECT_EQ(pair.up.size(), Link::sealed_size(1 + 7) + Link::sealed_size(1 + 65536) +
                                  Link::sealed_size(1 + 100'000 - 65536));
    // The message stands in front or behind, and an onlooker sees the lengths alone.
    (pair.up[11] == 0 ? stood_behind : stood_before) = true;
    pair.settle();
    EXPECT_EQ(take_all(*pair.server), std::vector<Bytes>{text("message")});
    EXPECT_EQ(pair.server->received(), 1U);
    EXPECT_EQ(pair.client->receipted(), 1U);
  }
  EXPECT_TRUE(stood_before && stood_behind);
}

// SPEC scp.md#messages
TEST(ScpChannel, padding_is_bounded_and_needs_a_connection) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  for (int i = 0; i < 10; ++i) pair.client->pad(std::size_t{1} << 20U);
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  EXPECT_EQ(pair.up.size(), 32 * Link::sealed_size(1 + 65536));
  pair.settle();
  pair.client->pad(1000);
  pair.cut();
  pair.client->pad(1000);
  pair.reconnect_client();
  ASSERT_EQ(pair.client->state(), State::open);
  pair.up.clear();
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  EXPECT_TRUE(pair.up.empty());
}

// SPEC scp.md#rotation
TEST(ScpChannel, rotates_when_the_client_is_told_to_and_not_when_the_server_is) {
  Pair pair;
  pair.connect();
  pair.server->rotate();
  pair.settle();
  EXPECT_EQ(count<Rotated>(pair.client_events), 0U);
  pair.client->rotate();
  pair.settle();
  EXPECT_EQ(count<Rotated>(pair.client_events), 1U);
  EXPECT_EQ(count<Rotated>(pair.server_events), 1U);
}

// SPEC scp.md#rotation
TEST(ScpChannel, server_ends_a_channel_whose_client_does_not_rotate) {
  Pair by_bytes;
  by_bytes.server_config.limits.rotate_bytes = 50'000;
  by_bytes.connect();
  for (int i = 0; i < 10; ++i) {
    ASSERT_FALSE(by_bytes.client->outcome()) << i;
    ASSERT_TRUE(by_bytes.client->send(Bytes(10'000)));
    by_bytes.settle();
    take_all(*by_bytes.server);
  }
  ASSERT_TRUE(by_bytes.client->outcome());
  EXPECT_EQ(by_bytes.client->outcome()->code, Code::protocol);

  Pair by_time;
  by_time.server_config.limits.rotate_after = 10min;
  by_time.connect();
  for (int i = 0; i < 119; ++i) {
    by_time.advance(10s);
    by_time.settle();
  }
  EXPECT_FALSE(by_time.client->outcome());
  by_time.advance(10s);
  by_time.settle();
  ASSERT_TRUE(by_time.client->outcome());
  EXPECT_EQ(by_time.client->outcome()->code, Code::protocol);
}

// SPEC scp.md#codes
TEST(ScpChannel, close_waits_ten_seconds_for_receipts) {
  Pair pair;
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("nobody takes note")));
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  pair.up.clear();
  pair.client->close(pair.now);
  EXPECT_EQ(pair.client->state(), State::closing);
  EXPECT_EQ(pair.client->send(text("late")).error().code, Errc::already_closed);
  pair.now += 9999ms;
  pair.client->handle_timeout(pair.now);
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  EXPECT_TRUE(pair.up.empty());
  pair.now += 1ms;
  pair.client->handle_timeout(pair.now);
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  EXPECT_EQ(pair.up.size(), Link::sealed_size(1));
  EXPECT_EQ(pair.client->state(), State::draining);
  pair.now += 5s;
  pair.client->handle_timeout(pair.now);
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::normal);
  EXPECT_EQ(pair.client->outcome()->unknown, 1U);
}

// SPEC scp.md#codes
TEST(ScpChannel, close_writes_when_the_last_receipt_comes) {
  Pair pair;
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("one")));
  pair.client->close(pair.now);
  pair.client->close(pair.now);
  EXPECT_EQ(pair.client->state(), State::closing);
  pair.settle();
  ASSERT_TRUE(pair.server->outcome());
  EXPECT_EQ(take_all(*pair.server), std::vector<Bytes>{text("one")});
  pair.client->handle_disconnected(pair.now);
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->receipted, 1U);
  EXPECT_EQ(pair.client->outcome()->unknown, 0U);
  EXPECT_EQ(pair.client->send(text("late")).error().code, Errc::not_encrypted);
}

// SPEC scp.md#codes
TEST(ScpChannel, end_of_input_without_close_is_never_a_clean_end) {
  Pair pair;
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("lost")));
  pair.cut();
  for (const ChannelEnd* end : {&*pair.client, &*pair.server}) {
    ASSERT_TRUE(end->outcome());
    EXPECT_EQ(end->outcome()->code, Code::truncated);
    EXPECT_EQ(end->outcome()->error, Error{Errc::truncated});
  }
  EXPECT_EQ(pair.client->outcome()->unknown, 1U);
  // An end that is over stays so.
  pair.client->handle_disconnected(pair.now);
  pair.client->close(pair.now);
  pair.client->abort(Code::going_away, pair.now);
  EXPECT_EQ(pair.client->outcome()->code, Code::truncated);
}

// SPEC scp.md#codes
TEST(ScpChannel, abort_tells_its_code) {
  for (const Code code : {Code::going_away, Code::internal}) {
    Pair pair;
    pair.connect();
    pair.server->abort(code, pair.now);
    pair.settle();
    ASSERT_TRUE(pair.client->outcome());
    EXPECT_EQ(pair.client->outcome()->code, code);
    EXPECT_TRUE(pair.client->outcome()->by_peer);
    EXPECT_EQ(pair.client->outcome()->error, Error{errc_of(code)});
    pair.server->handle_disconnected(pair.now);
    EXPECT_EQ(pair.server->outcome()->code, code);
    EXPECT_FALSE(pair.server->outcome()->by_peer);
  }
}

// SPEC scp.md#handshake
TEST(ScpChannel, handshake_that_nobody_answers_is_over_in_ten_seconds) {
  Pair pair;
  pair.client.emplace(
      ChannelEnd::connect(pair.client_config, *pair.engine, pair.rng, pair.now).value());
  EXPECT_EQ(pair.client->send(text("early")).error().code, Errc::not_encrypted);
  pair.client->end(pair.now);
  EXPECT_EQ(pair.client->poll_timeout(), pair.now + 10s);
  pair.now += 9999ms;
  pair.client->handle_timeout(pair.now);
  EXPECT_FALSE(pair.client->outcome());
  pair.now += 1ms;
  pair.client->handle_timeout(pair.now);
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::timeout);
  EXPECT_EQ(pair.client->outcome()->error, Error{Errc::handshake_timeout});
  EXPECT_EQ(pair.client->poll_timeout(), std::nullopt);
}

// SPEC scp.md#codes
TEST(ScpChannel, without_keep_alive_thirty_idle_seconds_end_it) {
  Pair pair;
  pair.client_config.limits.keep_alive_after = 0s;
  pair.server_config.limits.keep_alive_after = 0s;
  pair.connect();
  pair.advance(29'999ms);
  pair.settle();
  EXPECT_EQ(pair.client->state(), State::open);
  pair.advance(1ms);
  pair.settle();
  pair.client->handle_disconnected(pair.now);
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::timeout);
}

// SPEC scp.md#receipts
TEST(ScpChannel, receipt_is_due_from_the_message_until_it_is_written) {
  Pair pair;
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("one")));
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  EXPECT_FALSE(pair.server->has_receipt_due());
  pair.server->handle_bytes(pair.up, pair.now);
  EXPECT_TRUE(pair.server->has_receipt_due());
  Pair::drain(*pair.server, pair.down, pair.now, pair.buffer_bytes);
  EXPECT_FALSE(pair.server->has_receipt_due());
  EXPECT_EQ(pair.down.size(), Link::sealed_size(8));
}

// SPEC scp.md#messages
TEST(ScpChannel, knows_who_is_at_the_other_end) {
  Pair pair;
  pair.connect();
  EXPECT_EQ(pair.client->peer().key, pair.server_config.identity->public_key);
  EXPECT_EQ(pair.server->peer().key, pair.client_config.identity->public_key);
  EXPECT_EQ(pair.server->peer().mode, Mode::mutual);
  EXPECT_FALSE(pair.client->can_reconnect());
  EXPECT_EQ(pair.client->id(), pair.server->id());
}

// SPEC scp.md#handshake
TEST(ScpChannel, response_that_is_not_right_ends_it_in_silence) {
  for (const bool is_resumed : {false, true}) {
    Pair pair(Mode::mutual, is_resumed);
    if (is_resumed) {
      pair.connect();
      pair.cut();
      ASSERT_TRUE(pair.client->begin_connection(pair.now));
    } else {
      pair.client.emplace(
          ChannelEnd::connect(pair.client_config, *pair.engine, pair.rng, pair.now).value());
    }
    pair.dial();
    Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
    pair.serve_handshake();
    pair.down.back() ^= 1;
    EXPECT_EQ(pair.client->handle_bytes(pair.down, pair.now), pair.down.size());
    Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
    EXPECT_TRUE(pair.up.empty());
    if (is_resumed) {  // somebody else's answer costs an attempt
      EXPECT_EQ(pair.client->state(), State::lost);
    } else {
      ASSERT_TRUE(pair.client->outcome());
      EXPECT_EQ(pair.client->outcome()->code, Code::authentication);
    }
  }
}

// SPEC scp.md#codes
TEST(ScpChannel, close_before_it_is_open_is_over_at_once) {
  Pair pair;
  pair.client.emplace(
      ChannelEnd::connect(pair.client_config, *pair.engine, pair.rng, pair.now).value());
  pair.client->close(pair.now);
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->code, Code::normal);
  EXPECT_EQ(pair.client->outcome()->unknown, 0U);
}

// SPEC scp.md#codes
TEST(ScpChannel, connection_that_ends_before_the_answer_to_close_changes_nothing) {
  Pair pair(Mode::mutual, true);
  pair.connect();
  pair.client->close(pair.now);
  Pair::drain(*pair.client, pair.up, pair.now, pair.buffer_bytes);
  pair.server->handle_bytes(pair.up, pair.now);
  EXPECT_EQ(pair.server->state(), State::answering);
  EXPECT_EQ(pair.server->send(text("late")).error().code, Errc::not_encrypted);
  pair.server->handle_disconnected(pair.now);
  ASSERT_TRUE(pair.server->outcome());
  EXPECT_EQ(pair.server->outcome()->code, Code::normal);
  EXPECT_TRUE(pair.server->outcome()->by_peer);
}

// SPEC scp.md#messages
TEST(ScpChannel, ends_once_and_counts_no_end_among_the_unknown) {
  Pair pair;
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("a")));
  pair.client->end(pair.now);
  pair.client->end(pair.now);
  EXPECT_EQ(pair.client->sent(), 2U);
  EXPECT_FALSE(pair.client->can_send());
  pair.client->handle_disconnected(pair.now);
  ASSERT_TRUE(pair.client->outcome());
  EXPECT_EQ(pair.client->outcome()->unknown, 1U);
  pair.client->end(pair.now);
  EXPECT_EQ(pair.client->sent(), 2U);
}

// SPEC scp.md#rotation
TEST(ScpChannel, close_is_clean_in_the_midst_of_a_rotation) {
  Pair pair;
  pair.connect();
  ASSERT_TRUE(pair.client->send(text("a")));
  pair.client->close(pair.now);
  ASSERT_EQ(pair.client->state(), State::closing);
  pair.client->rotate();
  pair.settle();
  EXPECT_EQ(take_all(*pair.server).size(), 1U);
  ASSERT_TRUE(pair.server->outcome());
  EXPECT_EQ(pair.server->outcome()->code, Code::normal);
  pair.client->handle_disconnected(pair.now);
  EXPECT_EQ(pair.client->outcome()->unknown, 0U);
}

}  // namespace
}  // namespace sealine::scp
