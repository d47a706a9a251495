#include "sealine/websocket/connection.hpp"

#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sealine::websocket {
namespace {

using test::Bytes;
using test::from_hex;
using test::to_hex;

constexpr TimePoint kStart{std::chrono::seconds(1000)};

// Everything that an end makes of some bytes, in a form that can be compared: "m HEX", "t TEXT",
// "c CODE REASON", and what it wrote.
struct Seen {
  std::vector<std::string> events;
  std::string written;
};

void drain(Connection& end, Seen& seen) {
  Bytes out(70000);
  while (const std::size_t n = end.poll_transmit(out))
    seen.written += to_hex(ByteView(out).first(n));
}

void feed(Connection& end, Bytes bytes, Seen& seen) {
  MutableBytes rest(bytes);
  while (!rest.empty()) {
    const auto taken = end.handle_bytes(rest, kStart);
    rest = rest.subspan(taken.consumed);
    if (taken.event) {
      if (const auto* message = std::get_if<Message>(&*taken.event)) {
        seen.events.push_back(message->is_text ? "t " + std::string(as_text(message->bytes))
                                               : "m " + to_hex(message->bytes));
      } else {
        const Closed& closed = std::get<Closed>(*taken.event);
        seen.events.push_back("c " + std::to_string(closed.code) + " " + closed.reason);
      }
    } else if (taken.consumed == 0) {
      break;
    }
    drain(end, seen);
  }
}

Seen seen_by(Role role, const std::string& hex, bool text = true) {
  test::SeededRng rng(1);
  ConnectionConfig config;
  config.accepts_text = text;
  Connection end(role, config, rng, kStart);
  Seen seen;
  feed(end, from_hex(hex), seen);
  return seen;
}

TEST(WebSocket, ExamplesOfRfc6455Section5_7) {
  EXPECT_EQ(seen_by(Role::client, "810548656c6c6f").events, (std::vector<std::string>{"t Hello"}));
  EXPECT_EQ(seen_by(Role::server, "818537fa213d7f9f4d5158").events,
            (std::vector<std::string>{"t Hello"}));
  EXPECT_EQ(seen_by(Role::client, "010348656c80026c6f").events,
            (std::vector<std::string>{"t Hello"}));
  EXPECT_EQ(seen_by(Role::client, "890548656c6c6f").events.size(), 0U);
  std::string long_frame = "827e0100";
  for (int i = 0; i < 256; ++i) long_frame += "ab";
  EXPECT_EQ(seen_by(Role::client, long_frame).events.size(), 1U);
  std::string longer = "827f0000000000010000";
  for (int i = 0; i < 65536; ++i) longer += "cd";
  EXPECT_EQ(seen_by(Role::client, longer).events.size(), 1U);
  // A ping's answer echoes its payload, masked by the client.
  test::SeededRng rng(1);
  Connection client(Role::client, {}, rng, kStart);
  Seen seen;
  feed(client, from_hex("890548656c6c6f"), seen);
  ASSERT_EQ(seen.written.size(), 2 * 11U);
  EXPECT_EQ(seen.written.substr(0, 4), "8a85");
  EXPECT_EQ(seen_by(Role::server, "818537fa213d7f9f4d5158", false).events,
            (std::vector<std::string>{"c 1003 "}));
}

TEST(WebSocket, FaultsAndTheirCodes) {
  const std::pair<std::string, std::string> rows[] = {
      {"c20548656c6c6f", "c 1002 "},          // RSV1
      {"a20548656c6c6f", "c 1002 "},          // RSV2
      {"920548656c6c6f", "c 1002 "},          // RSV3
      {"8300", "c 1002 "},                    // opcode 3
      {"8b00", "c 1002 "},                    // opcode B
      {"828537fa213d7f9f4d5158", "c 1002 "},  // a server's frame is not masked
      {"827e007d", "c 1002 "},                // 126 with a length that fits in 7 bits
      {"827f000000000000ffff", "c 1002 "},    // 127 with one that fits in 16
      {"827f8000000000000000", "c 1002 "},    // 2^63
      {"827f0000000000110001", "c 1009 "},    // over the limit
      {"0900", "c 1002 "},                    // a fragmented ping
      {"897e0080", "c 1002 "},                // a ping of 128 bytes
      {"8000", "c 1002 "},                    // a continuation of nothing
      {"02000200", "c 1002 "},                // a new message inside one
      {"8801aa", "c 1002 "},                  // a Close of one byte
      {"880203ec", "c 1002 "},                // 1004
      {"880203ed", "c 1002 "},                // 1005
      {"880203ee", "c 1002 "},                // 1006
      {"880203f7", "c 1002 "},                // 1015
      {"88020bb7", "c 1002 "},                // 2999
      {"8802ffff", "c 1002 "},
      {"880403e8ff41", "c 1007 "},  // a reason that is no UTF-8
      {"8103e282ff", "c 1007 "},    // fails at the first bad byte
      {"8102e282", "c 1007 "},      // ends inside a character
      {"0101ff", "c 1007 "},        // in a fragment, at once
      {"8800", "c 1005 "},
      {"880203e8", "c 1000 "},
      {"88040bb86f6b", "c 3000 ok"},
      {"880303e94d", "c 1001 M"},
  };
  for (const auto& [hex, expected] : rows) {
    const Seen seen = seen_by(Role::client, hex);
    ASSERT_EQ(seen.events.size(), 1U) << hex;
    EXPECT_EQ(seen.events[0], expected) << hex;
    EXPECT_EQ(seen.written.substr(0, 2), "88") << "a Close answers: " << hex;
  }
  EXPECT_EQ(seen_by(Role::server, "8200").events[0], "c 1002 ") << "a client's frame is masked";
}

TEST(WebSocket, NothingIsSentAfterCloseAndInputIsThrownAway) {
  const Seen seen = seen_by(Role::client,
                            "880203e8"
                            "890548656c6c6f"
                            "810548656c6c6f");
  EXPECT_EQ(seen.events.size(), 1U);
  EXPECT_EQ(seen.written.size(), 2 * 8U) << "one masked Close of two bytes, no pong";
}

TEST(WebSocket, OnlyTheNewestPingIsAnswered) {
  test::SeededRng rng(1);
  Connection server(Role::server, {}, rng, kStart);
  Bytes bytes = from_hex("8981000000000189810000000002898100000000038281000000000a");
  const auto taken = server.handle_bytes(bytes, kStart);
  ASSERT_TRUE(taken.event);
  Seen seen;
  drain(server, seen);
  EXPECT_EQ(seen.written, "8a0103");
}

TEST(WebSocket, AnySplitGivesTheSame) {
  // Messages in pieces, pings between them, text with characters that cross fragments, a Close.
  const std::string stream =
      "0183000000006162e2"
      "8982000000007071"
      "008100000000820083000000008263c3"
      "8081000000"
      "00a9"
      "828400000000deadbeef"
      "0280"
      "00000000"
      "80850000000001020304"
      "05"
      "8a80"
      "00000000"
      "888600000000"
      "03e9"
      "62796521";
  Bytes masked = from_hex(stream);
  const Seen whole = seen_by(Role::server, stream);
  ASSERT_GE(whole.events.size(), 4U);
  EXPECT_EQ(whole.events[0],
            "t ab\xe2\x82\x82"
            "c\xc3\xa9");
  EXPECT_EQ(whole.events[1], "m deadbeef");
  EXPECT_EQ(whole.events[2], "m 0102030405");
  EXPECT_EQ(whole.events[3], "c 1001 bye!");
  for (std::size_t size = 1; size < masked.size(); ++size) {
    test::SeededRng rng(1);
    ConnectionConfig config;
    config.accepts_text = true;
    Connection end(Role::server, config, rng, kStart);
    Seen seen;
    for (std::size_t at = 0; at < masked.size(); at += size) {
      const std::size_t count = std::min(size, masked.size() - at);
      feed(end,
           Bytes(masked.begin() + static_cast<std::ptrdiff_t>(at),
                 masked.begin() + static_cast<std::ptrdiff_t>(at + count)),
           seen);
    }
    EXPECT_EQ(seen.events, whole.events) << size;
  }
}

TEST(WebSocket, BinaryFramesMadeInPlaceRoundTrip) {
  for (const Role sender : {Role::client, Role::server}) {
    for (const std::size_t size : {0U, 1U, 7U, 125U, 126U, 1000U, 65535U, 65536U, 200000U}) {
      test::SeededRng rng(size);
      Connection from(sender, {}, rng, kStart);
      Connection to(sender == Role::client ? Role::server : Role::client, {}, rng, kStart);
      Bytes payload(size);
      rng.fill(payload);
      Bytes frame(from.head_bytes(size) + size);
      std::ranges::copy(payload,
                        frame.begin() + static_cast<std::ptrdiff_t>(from.head_bytes(size)));
      from.frame_binary(frame, size);
      const auto taken = to.handle_bytes(frame, kStart);
      ASSERT_TRUE(taken.event);
      EXPECT_EQ(taken.consumed, frame.size());
      const auto& message = std::get<Message>(*taken.event);
      EXPECT_TRUE(std::ranges::equal(message.bytes, payload));
      if (size > 0) {
        EXPECT_EQ(message.bytes.data(), frame.data() + from.head_bytes(size)) << "opened in place";
      }
    }
  }
}

TEST(WebSocket, LimitsOfMessagesAndFragments) {
  test::SeededRng rng(1);
  ConnectionConfig config;
  config.max_message_bytes = 1000;
  config.max_fragments = 10;
  Connection end(Role::client, config, rng, kStart);
  Seen seen;
  for (int i = 0; i < 11 && seen.events.empty(); ++i)
    feed(end, from_hex(i == 0 ? "0200" : "0000"), seen);
  EXPECT_EQ(seen.events, (std::vector<std::string>{"c 1009 "})) << "empty fragments count";
  Connection other(Role::client, config, rng, kStart);
  Seen big;
  feed(other, from_hex("027e0384" + std::string(1800, '0')), big);
  feed(other, from_hex("0065"), big);
  EXPECT_EQ(big.events, (std::vector<std::string>{"c 1009 "})) << "before its bytes are there";
}

TEST(WebSocket, AServerPingsAndGivesUpAfterTwo) {
  test::SeededRng rng(1);
  Connection server(Role::server, {}, rng, kStart);
  TimePoint now = kStart;
  int pings = 0;
  std::optional<Closed> closed;
  while (!closed) {
    ASSERT_TRUE(server.poll_timeout());
    now = *server.poll_timeout();
    closed = server.handle_timeout(now);
    Seen seen;
    drain(server, seen);
    if (seen.written == "8900") ++pings;
  }
  EXPECT_EQ(pings, 2);
  EXPECT_EQ(now - kStart, std::chrono::seconds(60));
  EXPECT_EQ(closed->code, close_code::kAbnormal);
}

TEST(WebSocket, ClosingWaitsForTheAnswerFiveSecondsAtMost) {
  test::SeededRng rng(1);
  Connection client(Role::client, {}, rng, kStart);
  Connection server(Role::server, {}, rng, kStart);
  client.close(1000, "done", kStart);
  EXPECT_TRUE(client.is_closing());
  Bytes out(100);
  out.resize(client.poll_transmit(out));
  const auto at_server = server.handle_bytes(out, kStart);
  ASSERT_TRUE(at_server.event);
  EXPECT_EQ(std::get<Closed>(*at_server.event).reason, "done");
  EXPECT_TRUE(std::get<Closed>(*at_server.event).close_tcp) << "the server ends TCP first";
  Bytes back(100);
  back.resize(server.poll_transmit(back));
  const auto at_client = client.handle_bytes(back, kStart);
  ASSERT_TRUE(at_client.event);
  EXPECT_FALSE(std::get<Closed>(*at_client.event).by_peer);

  Connection alone(Role::client, {}, rng, kStart);
  alone.close(1000, "", kStart);
  EXPECT_EQ(*alone.poll_timeout() - kStart, std::chrono::seconds(5));
  EXPECT_TRUE(alone.handle_timeout(kStart + std::chrono::seconds(5)));
  EXPECT_FALSE(alone.poll_timeout());
}

TEST(WebSocket, WhatComesWhileClosingIsThrownAwayMessageByMessage) {
  test::SeededRng rng(1);
  ConnectionConfig config;
  config.max_message_bytes = 400;
  Connection server(Role::server, config, rng, kStart);
  server.close(1000, "", kStart);
  const std::string mask = "00000000";
  const std::string message = "82fe00fa" + mask + std::string(500, '0');
  const Bytes stream = from_hex(message + message + message + "8882" + mask + "03e8");
  Seen seen;
  for (std::size_t at = 0; at < stream.size(); at += 7) {  // ends inside the next message
    const std::size_t count = std::min<std::size_t>(7, stream.size() - at);
    feed(server,
         Bytes(stream.begin() + static_cast<std::ptrdiff_t>(at),
               stream.begin() + static_cast<std::ptrdiff_t>(at + count)),
         seen);
  }
  EXPECT_EQ(seen.events, (std::vector<std::string>{"c 1000 "}));
}

TEST(WebSocket, AnEndWithoutCloseIsAbnormal) {
  test::SeededRng rng(1);
  Connection client(Role::client, {}, rng, kStart);
  const auto closed = client.handle_end_of_stream(kStart);
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->code, close_code::kAbnormal);
}

// SPEC websocket.md#frames
TEST(WebSocket, CloseCodesAreThoseOfTheRfcAndOfApplications) {
  for (unsigned code = 0; code < 6000; ++code) {
    const bool may_be_sent = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                             (code >= 3000 && code <= 4999);
    const Bytes frame{0x88, 2, static_cast<std::uint8_t>(code >> 8U),
                      static_cast<std::uint8_t>(code & 0xFFU)};
    ASSERT_EQ(seen_by(Role::client, to_hex(frame)).events,
              (std::vector<std::string>{"c " + std::to_string(may_be_sent ? code : 1002U) + " "}));
  }
}

// SPEC websocket.md#frames
TEST(WebSocket, TextIsSentWhileTheConnectionIsOpen) {
  test::SeededRng rng(1);
  Connection server(Role::server, {}, rng, kStart);
  server.send_text("h\xc3\xa9");
  Seen seen;
  drain(server, seen);
  EXPECT_EQ(seen.written, "810368c3a9");
  server.close(1000, "", kStart);
  server.send_text("late");
  server.close(1001, "again", kStart);
  Seen closing;
  drain(server, closing);
  EXPECT_EQ(closing.written, "880203e8");
}

// SPEC websocket.md#frames
TEST(WebSocket, PongsAreReadOver) {
  EXPECT_TRUE(seen_by(Role::client, "8a00").events.empty());
  EXPECT_TRUE(seen_by(Role::client, "8a0548656c6c6f").written.empty());
}

// SPEC websocket.md#frames
TEST(WebSocket, PingsAreAServersOwnAndAnswersKeepItQuiet) {
  test::SeededRng rng(1);
  Connection client(Role::client, {}, rng, kStart);
  EXPECT_FALSE(client.poll_timeout());
  EXPECT_FALSE(client.handle_timeout(kStart + std::chrono::hours(1)));
  ConnectionConfig silent;
  silent.ping_after = Duration{};
  Connection never(Role::server, silent, rng, kStart);
  EXPECT_FALSE(never.poll_timeout());
  EXPECT_FALSE(never.handle_timeout(kStart + std::chrono::hours(1)));

  Connection server(Role::server, {}, rng, kStart);
  for (TimePoint now = kStart + std::chrono::seconds(20); now < kStart + std::chrono::hours(1);
       now += std::chrono::seconds(20)) {
    EXPECT_FALSE(server.handle_timeout(now - std::chrono::milliseconds(1)));
    Seen seen;
    drain(server, seen);
    EXPECT_TRUE(seen.written.empty());
    EXPECT_FALSE(server.handle_timeout(now));
    drain(server, seen);
    EXPECT_EQ(seen.written, "8900");
    Bytes pong = from_hex("8a8000000000");
    EXPECT_FALSE(server.handle_bytes(pong, now).event);
  }
}

// SPEC websocket.md#frames
TEST(WebSocket, WhatIsOverStaysSo) {
  test::SeededRng rng(1);
  Connection server(Role::server, {}, rng, kStart);
  ASSERT_TRUE(server.handle_end_of_stream(kStart));
  EXPECT_FALSE(server.handle_end_of_stream(kStart));
  EXPECT_FALSE(server.handle_timeout(kStart + std::chrono::hours(1)));
  EXPECT_FALSE(server.poll_timeout());
  Bytes message = from_hex("818537fa213d7f9f4d5158");
  EXPECT_FALSE(server.handle_bytes(message, kStart).event);

  // A fault behind our own Close writes no second one.
  Connection closing(Role::server, {}, rng, kStart);
  closing.close(1000, "", kStart);
  Seen seen;
  drain(closing, seen);
  feed(closing, from_hex("8300"), seen);
  EXPECT_EQ(seen.events, (std::vector<std::string>{"c 1002 "}));
  EXPECT_EQ(seen.written, "880203e8");
}

}  // namespace
}  // namespace sealine::websocket
