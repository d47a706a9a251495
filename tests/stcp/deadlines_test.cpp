#include "sealine/stcp/connection.hpp"
#include "stcp/joined.hpp"

#include <gtest/gtest.h>

#include <chrono>

// What takes too long: idleness, a record that does not go on coming; and PING, which keeps it
// away.

namespace sealine::stcp {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using test::Bytes;
using test::StcpPair;

// SPEC stcp.md#limits
TEST(StcpDeadlines, idle_without_a_record_either_way) {
  Joined pair;
  pair.advance(seconds(299));
  EXPECT_TRUE(pair.both_encrypted());
  pair.send(pair.server, Bytes(1));
  pair.run();
  pair.advance(seconds(299));
  EXPECT_TRUE(pair.both_encrypted());
  pair.advance(seconds(1));
  EXPECT_EQ(pair.client.state(), State::closed);
  EXPECT_EQ(pair.server.state(), State::closed);
  // Both were idle at once here; each told the other.
  EXPECT_EQ(pair.client.fault(), Errc::idle_timeout);
  EXPECT_EQ(pair.server.fault(), Errc::idle_timeout);
}

// SPEC stcp.md#close
TEST(StcpDeadlines, the_idle_end_aborts_with_its_reason) {
  StcpPair::Options options = tofu();
  options.server_limits.idle_timeout = Duration{};
  Joined pair(options);
  pair.advance(seconds(300));
  ASSERT_TRUE(pair.server.find<Aborted>());
  EXPECT_EQ(pair.server.find<Aborted>()->reason, 3);
  EXPECT_EQ(pair.client.fault(), Errc::idle_timeout);
  EXPECT_EQ(pair.client.state(), State::closed);
}

TEST(StcpDeadlines, an_idle_half_closed_end_gives_up_silently) {
  StcpPair::Options options = tofu();
  options.server_limits.idle_timeout = Duration{};
  Joined pair(options);
  pair.client.machine->close(pair.now);
  pair.run();
  const std::size_t sent = pair.client.sent_wire.size();
  pair.advance(seconds(300));
  EXPECT_EQ(pair.client.fault(), Errc::idle_timeout);
  EXPECT_EQ(pair.client.state(), State::error);
  EXPECT_EQ(pair.client.sent_wire.size(), sent);
}

// SPEC stcp.md#limits
TEST(StcpDeadlines, ping_keeps_both_ends_awake) {
  StcpPair::Options options = tofu();
  options.client_limits.ping_interval = seconds(25);
  Joined pair(options);
  pair.advance(hours(1) - seconds(1));
  EXPECT_TRUE(pair.both_encrypted());
  EXPECT_EQ(pair.server.machine->statistics().records_received, 1U + 143U);
}

TEST(StcpDeadlines, ping_counts_from_our_own_last_record) {
  StcpPair::Options options = tofu();
  options.client_limits.ping_interval = seconds(25);
  Joined pair(options);
  for (int i = 0; i < 10; ++i) {
    pair.advance(seconds(20));
    pair.send(pair.client, Bytes(1));
    pair.run();
  }
  EXPECT_EQ(pair.server.machine->statistics().records_received, 1U + 10U);
}

// SPEC stcp.md#limits
TEST(StcpDeadlines, a_record_must_go_on_coming) {
  Joined pair;
  Bytes wire(70'000);
  const auto sealed = pair.client.machine->seal(Bytes(65'536), wire, pair.now);
  wire.resize(sealed->written);
  // 256 B/s is enough, byte by byte.
  std::size_t at = 0;
  for (int second = 0; second < 60; ++second) {
    pair.deliver(pair.server, ByteView(wire).subspan(at, 257));
    at += 257;
    pair.now += seconds(1);
    pair.server.machine->handle_timeout(pair.now);
    ASSERT_FALSE(pair.server.fault()) << second;
  }
  // And then not.
  for (int second = 0; second < 60; ++second) {
    pair.deliver(pair.server, ByteView(wire).subspan(at, 255));
    at += 255;
    pair.now += seconds(1);
    pair.server.machine->handle_timeout(pair.now);
  }
  EXPECT_EQ(pair.server.fault(), Errc::too_slow);
  EXPECT_EQ(pair.server.state(), State::error);
  EXPECT_TRUE(pair.server.received.empty());
}

// SPEC stcp.md#limits
TEST(StcpDeadlines, no_progress_is_asked_between_records_or_while_paused) {
  Joined pair;
  pair.send(pair.client, Bytes(10));
  pair.run();
  pair.now += seconds(100);
  pair.server.machine->handle_timeout(pair.now);
  EXPECT_FALSE(pair.server.fault());
  // A record is partly here and the reader has paused.
  Bytes wire(100);
  wire.resize(pair.client.machine->seal(Bytes(10), wire, pair.now)->written);
  pair.deliver(pair.server, ByteView(wire).first(30));
  EXPECT_EQ(pair.server.machine->poll_timeout(), pair.now + seconds(30));
  pair.server.machine->pause_receiving();
  pair.now += seconds(100);
  pair.server.machine->handle_timeout(pair.now);
  EXPECT_FALSE(pair.server.fault());
  pair.deliver(pair.server, ByteView(wire).subspan(30));
  EXPECT_EQ(pair.server.received.size(), 20U);
}

// SPEC stcp.md#limits
TEST(StcpDeadlines, a_window_belongs_to_one_record) {
  Joined pair;
  // A chatty peer whose messages always end in the middle of the next: never too slow.
  Bytes stream;
  for (int i = 0; i < 100; ++i) {
    Bytes wire(100);
    wire.resize(pair.client.machine->seal(Bytes(10), wire, pair.now)->written);
    stream.insert(stream.end(), wire.begin(), wire.end());
  }
  pair.deliver(pair.server, ByteView(stream).first(30));
  for (std::size_t i = 0; i + 1 < 100; ++i) {
    pair.now += seconds(20);
    pair.server.machine->handle_timeout(pair.now);
    pair.deliver(pair.server, ByteView(stream).subspan(30 + i * 54, 54));
    ASSERT_FALSE(pair.server.fault()) << i;
  }
}

}  // namespace
}  // namespace sealine::stcp
