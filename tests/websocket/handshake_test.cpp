#include "sealine/websocket/handshake.hpp"

#include "sealine/base/base64.hpp"
#include "support/fixed_rng.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sealine::websocket {
namespace {

// The request of RFC 6455 section 1.2, with the lines that a test wants changed.
std::string request(std::string_view without = "", std::string_view with = "",
                    std::string_view line = "GET /stt HTTP/1.1") {
  std::string text = std::string(line) + "\r\n";
  for (const std::string_view header :
       {"Host: server.example.com", "Upgrade: websocket", "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}) {
    if (!without.empty() && header.starts_with(without)) continue;
    text += std::string(header) + "\r\n";
  }
  text += with;
  return text + "\r\n";
}

struct Judged {
  ServerHandshake::Outcome outcome;
  std::string response;
  std::size_t consumed;
};

Judged judge(const std::string& text, const ServerPolicy& policy = {}) {
  ServerHandshake handshake(policy);
  std::size_t consumed = 0;
  const auto outcome = handshake.handle_bytes(as_bytes(text), consumed);
  return {outcome, handshake.response(), consumed};
}

int status(const Judged& judged) { return std::stoi(judged.response.substr(9, 3)); }

TEST(Base64, Rfc4648AndStrict) {
  const std::pair<std::string_view, std::string_view> rows[] = {{"", ""},
                                                                {"f", "Zg=="},
                                                                {"fo", "Zm8="},
                                                                {"foo", "Zm9v"},
                                                                {"foob", "Zm9vYg=="},
                                                                {"fooba", "Zm9vYmE="},
                                                                {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : rows) {
    EXPECT_EQ(base64(as_bytes(plain)), text);
    const auto back = from_base64(text);
    ASSERT_TRUE(back);
    EXPECT_EQ(as_text(*back), plain);
  }
  for (const std::string_view bad :
       {"Zg", "Zg=", "Zh==", "Z===", "====", "Zg==Zg==", "Zm9=", "Zm9v\n", "Zm 9", "Zg=a"}) {
    EXPECT_FALSE(from_base64(bad)) << bad;
  }
}

TEST(WebSocketServer, AcceptsTheRequestOfTheRfc) {
  const Judged judged = judge(request() + "\x82");
  EXPECT_EQ(judged.outcome, ServerHandshake::Outcome::accepted);
  EXPECT_EQ(judged.response,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
  EXPECT_EQ(judged.consumed, request().size()) << "what follows belongs to the WebSocket";
}

TEST(WebSocketServer, AnySplitOfTheRequest) {
  const std::string text = request();
  for (std::size_t split = 0; split < text.size(); ++split) {
    const ServerPolicy policy;
    ServerHandshake handshake(policy);
    std::size_t consumed = 0;
    EXPECT_EQ(handshake.handle_bytes(as_bytes(text.substr(0, split)), consumed),
              ServerHandshake::Outcome::need_bytes);
    EXPECT_EQ(consumed, split);
    EXPECT_EQ(handshake.handle_bytes(as_bytes(text.substr(split)), consumed),
              ServerHandshake::Outcome::accepted);
  }
}

TEST(WebSocketServer, RefusesWhatTheRfcForbids) {
  const std::pair<std::string, int> rows[] = {
      {request("Host"), 400},
      {request("", "Host: other\r\n"), 400},
      {request("Connection"), 400},
      {request("Sec-WebSocket-Version"), 426},
      {request("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8\r\n"), 426},
      {request("", "Sec-WebSocket-Version: 13\r\n"), 426},
      {request("Sec-WebSocket-Key"), 400},
      {request("", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400},
      {request("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n"), 400},
      {request("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n"), 400},
      {request("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhl\r\n"), 400},
      {request("", "Content-Length: 1\r\n"), 400},
      {request("", "Transfer-Encoding: chunked\r\n"), 400},
      {request("", " folded: line\r\n"), 400},
      {request("", "Spaced : name\r\n"), 400},
      {request("", "no colon\r\n"), 400},
      {request("", "Bare: line\nfeed: x\r\n"), 400},
      {request("", std::string("Nul: \0\r\n", 8)), 400},
      {request("", "", "GET /stt HTTP/1.0"), 400},
      {request("", "", "GET  /stt HTTP/1.1"), 400},
      {request("", "", "GET /stt"), 400},
      {request("", "", "POST /stt HTTP/1.1"), 405},
      {request("", "", "GET /other HTTP/1.1"), 404},
      {request("", "Origin: http://evil.example\r\n"), 403},
      {request("", "Origin: null\r\n"), 403},
      {request("", "Origin: http://server.example.com\r\nOrigin: http://evil.example\r\n"), 403},
      {request("", "X: " + std::string(kMaxHeadBytes, 'x') + "\r\n"), 431},
  };
  for (const auto& [text, expected] : rows) {
    const Judged judged = judge(text);
    EXPECT_EQ(judged.outcome, ServerHandshake::Outcome::refused) << text.substr(0, 400);
    EXPECT_EQ(status(judged), expected) << text.substr(0, 400);
  }
  std::string many;
  for (std::size_t i = 0; i < kMaxHeaders; ++i) many += "A: b\r\n";
  EXPECT_EQ(status(judge(request("", many))), 431);
  EXPECT_NE(judge(request("Sec-WebSocket-Version")).response.find("Sec-WebSocket-Version: 13\r\n"),
            std::string::npos);
}

TEST(WebSocketServer, WhatBeginsNoLineIsRefusedAtOnce) {
  for (const std::string_view bytes : {std::string_view("\x16", 1), std::string_view("\0", 1),
                                       std::string_view("\r", 1), std::string_view(" GET")}) {
    const Judged judged = judge(std::string(bytes));
    EXPECT_EQ(judged.outcome, ServerHandshake::Outcome::refused);
    EXPECT_EQ(status(judged), 400);
  }
  EXPECT_EQ(judge("G").outcome, ServerHandshake::Outcome::need_bytes);
  EXPECT_EQ(judge("").outcome, ServerHandshake::Outcome::need_bytes);
}

TEST(WebSocketServer, OriginsPathsAndSubprotocols) {
  ServerPolicy policy;
  policy.origins = {"https://app.example"};
  policy.paths = {"/stt", "/chat"};
  policy.subprotocols = {"stt.v1"};
  EXPECT_EQ(judge(request("", "Origin: http://server.example.com\r\n"), policy).outcome,
            ServerHandshake::Outcome::accepted);
  EXPECT_EQ(judge(request("", "Origin: https://app.example\r\n"), policy).outcome,
            ServerHandshake::Outcome::accepted);
  EXPECT_EQ(judge(request("", "Origin: https://app.example.evil\r\n"), policy).outcome,
            ServerHandshake::Outcome::refused);
  EXPECT_EQ(judge(request("", "", "GET /chat?x=1 HTTP/1.1"), policy).outcome,
            ServerHandshake::Outcome::accepted);
  const std::string offered =
      "Sec-WebSocket-Protocol: chat, stt.v1\r\n"
      "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
  const Judged judged = judge(request("", offered), policy);
  EXPECT_NE(judged.response.find("Sec-WebSocket-Protocol: stt.v1\r\n"), std::string::npos);
  EXPECT_EQ(judged.response.find("Extensions"), std::string::npos);
  EXPECT_EQ(
      judge(request("", "Sec-WebSocket-Protocol: chat\r\n"), policy).response.find("Protocol"),
      judge(request(), policy).response.find("Protocol"));
}

TEST(WebSocketServer, APlainRequestIsTheCallersToAnswer) {
  const ServerPolicy policy;
  ServerHandshake handshake(policy);
  const std::string text = "GET /page.html?q HTTP/1.1\r\nHost: localhost\r\n\r\n";
  std::size_t consumed = 0;
  EXPECT_EQ(handshake.handle_bytes(as_bytes(text), consumed), ServerHandshake::Outcome::plain);
  EXPECT_EQ(handshake.request().target, "/page.html?q");
  EXPECT_EQ(handshake.request().header("host"), "localhost");
}

TEST(WebSocketClient, TakesItsOwnServersAnswerAndNoOther) {
  test::SeededRng rng(1);
  for (const std::string_view offered : {"stt.v1", ""}) {
    ClientHandshake client("[::1]:9000", "/stt", offered, rng);
    const Judged judged = judge(client.request());
    ASSERT_EQ(judged.outcome, ServerHandshake::Outcome::accepted);
    std::size_t consumed = 0;
    const std::string answer = judged.response + "rest";
    EXPECT_EQ(client.handle_bytes(as_bytes(answer), consumed), ClientHandshake::Outcome::accepted);
    EXPECT_EQ(consumed, judged.response.size());
  }
  const auto refuses = [&](std::string_view from, std::string_view to) {
    ClientHandshake client("localhost", "/stt", "stt.v1", rng);
    std::string answer = judge(client.request()).response;
    answer.replace(answer.find(from), from.size(), to);
    std::size_t consumed = 0;
    return !client.handle_bytes(as_bytes(answer), consumed);
  };
  EXPECT_TRUE(refuses("Accept: ", "Accept: x"));
  EXPECT_TRUE(refuses("Upgrade: websocket", "Upgrade: other"));
  EXPECT_TRUE(refuses("Connection: Upgrade", "Connection: close"));
  EXPECT_TRUE(refuses("stt.v1", "stt.v2"));
  EXPECT_TRUE(refuses("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"));
  EXPECT_TRUE(refuses("101", "200"));
  EXPECT_TRUE(refuses("101", "1011"));

  ClientHandshake client("localhost", "/stt", "stt.v1", rng);
  std::size_t consumed = 0;
  EXPECT_FALSE(client.handle_bytes(
      as_bytes("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello"), consumed));
  EXPECT_EQ(client.status(), 404);
  EXPECT_EQ(client.body(), "hello");
}

// SPEC websocket.md#handshake
TEST(WebSocketServer, RequestLinesHaveThreePartsAndHeadersAreTokensAndPrintable) {
  const std::pair<std::string, int> rows[] = {
      {request("", "", "GET"), 400},
      {request("", "", "GET HTTP/1.1"), 400},
      {request("", "", "GET  HTTP/1.1"), 400},
      {request("", "", "GET /a b HTTP/1.1"), 400},
      {request("", "", "HEAD /stt HTTP/1.1"), 405},
      {request("", "Content-Length: 0\r\n"), 101},
      {request("", "Content-Length: 0\r\nContent-Length: 0\r\n"), 400},
      {request("", "Tab: a\tb\r\n"), 101},
      {request("", "Delete: a\x7f\r\n"), 400},
      {request("", "Empty:\r\n"), 101},
      {request("", "Blank: \t \r\n"), 101},
      {request("", ": no name\r\n"), 400},
      {request("", "Na(me: x\r\n"), 400},
      {request("", "Name09-_~: x\r\n"), 101},
      {request("Upgrade", "Upgrade: h2c, WebSocket\r\n"), 101},
      {request("Connection", "Connection:\r\n"), 400},
      {request("Connection", "Connection: keep-alive,\r\n"), 400},
  };
  for (const auto& [text, expected] : rows) EXPECT_EQ(status(judge(text)), expected) << text;
}

// SPEC websocket.md#handshake
TEST(WebSocketServer, SaysWhichSubprotocolItChose) {
  const ServerPolicy policy;
  ServerHandshake handshake(policy);
  std::size_t consumed = 0;
  ASSERT_EQ(handshake.handle_bytes(as_bytes(request("", "Sec-WebSocket-Protocol: x, stt.v1\r\n")),
                                   consumed),
            ServerHandshake::Outcome::accepted);
  EXPECT_EQ(handshake.subprotocol(), "stt.v1");
}

// SPEC websocket.md#handshake
TEST(WebSocketClient, TakesAnAnswerOfHttpAndOnlyItsOwnSubprotocol) {
  test::SeededRng rng(1);
  const auto takes = [&](std::string_view from, std::string_view to, std::string_view offered) {
    ClientHandshake client("localhost", "/stt", offered, rng);
    std::string answer = judge(client.request()).response;
    answer.replace(answer.find(from), from.size(), to);
    std::size_t consumed = 0;
    const auto done = client.handle_bytes(as_bytes(answer), consumed);
    if (!done) {
      EXPECT_EQ(done.error(), Error{Errc::not_this_protocol}) << to;
    }
    return done.has_value();
  };
  EXPECT_TRUE(takes("101 Switching Protocols", "101", "stt.v1"));
  EXPECT_TRUE(takes("Sec-WebSocket-Protocol: stt.v1\r\n", "", "stt.v1")) << "its right";
  EXPECT_FALSE(takes("HTTP/1.1", "HTTP/1.0", "stt.v1"));
  EXPECT_FALSE(takes("HTTP/1.1 101 Switching Protocols", "HTTP/1.1 10", "stt.v1"));
  EXPECT_FALSE(takes("HTTP/1.1 101", "HTTP/1.1 1o1", "stt.v1"));
  EXPECT_FALSE(takes("HTTP/1.1 101", "HTTP/1.1 /01", "stt.v1"));
  EXPECT_FALSE(takes("Upgrade: websocket", "Upgrade websocket", "stt.v1")) << "no header";
  EXPECT_FALSE(takes("\r\n\r\n", "\r\nSec-WebSocket-Protocol: stt.v1\r\n\r\n", ""))
      << "nobody asked for one";
  EXPECT_FALSE(takes("\r\n\r\n", "\r\nSec-WebSocket-Protocol:\r\n\r\n", ""));
  EXPECT_FALSE(takes("\r\n\r\n", "\r\nSec-WebSocket-Protocol: stt.v1\r\n\r\n", "stt.v1"))
      << "twice";

  ClientHandshake client("localhost", "/stt", "stt.v1", rng);
  std::size_t consumed = 0;
  EXPECT_EQ(client.handle_bytes(as_bytes(std::string(kMaxHeadBytes, 'x')), consumed),
            fail(Errc::value_too_large));
}

}  // namespace
}  // namespace sealine::websocket
