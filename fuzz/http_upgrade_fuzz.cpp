// The opening handshake of a WebSocket at both ends: however the stream is cut, the same verdict
// and the same bytes used up; and what is accepted says what it must.
//
//   byte 0   bit 0: an answer for the client, else a request for the server; the rest: how it is
//   cut then     the stream. The client's key is fixed, so that an answer can be right.
#include "sealine/base/assert.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/websocket/handshake.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace {

using namespace sealine;

class CountingRng final : public crypto::Rng {
 public:
  void fill(MutableBytes out) override {
    for (auto& byte : out) byte = next_++;
  }

 private:
  std::uint8_t next_ = 1;
};

struct Verdict {
  int outcome = 0;  ///< a server's; of a client 0: more, 1: accepted, 2: refused
  std::size_t consumed = 0;
  std::string answer;

  friend bool operator==(const Verdict&, const Verdict&) = default;
};

const websocket::ServerPolicy& policy() {
  static const websocket::ServerPolicy one{.origins = {"https://example.org"}};
  return one;
}

// Hands over `stream` in pieces of `piece` bytes until a verdict is there.
template <class Step>
Verdict in_pieces(ByteView stream, std::size_t piece, Step step) {
  Verdict verdict;
  while (!stream.empty()) {
    const ByteView some = stream.first(std::min(piece, stream.size()));
    std::size_t consumed = 0;
    const bool is_over = step(some, consumed, verdict);
    SEALINE_ASSERT(consumed <= some.size());
    verdict.consumed += consumed;
    if (is_over) break;
    SEALINE_ASSERT(consumed == some.size());
    stream = stream.subspan(consumed);
  }
  SEALINE_ASSERT(verdict.consumed <= websocket::kMaxHeadBytes);
  return verdict;
}

Verdict of_server(ByteView stream, std::size_t piece) {
  using Outcome = websocket::ServerHandshake::Outcome;
  websocket::ServerHandshake server(policy());
  return in_pieces(stream, piece, [&](ByteView some, std::size_t& consumed, Verdict& verdict) {
    const auto outcome = server.handle_bytes(some, consumed);
    verdict.outcome = static_cast<int>(outcome);
    verdict.answer = server.response();
    if (outcome == Outcome::accepted) {
      const auto& request = server.request();
      SEALINE_ASSERT(request.method == "GET" && request.is_upgrade());
      SEALINE_ASSERT(request.header("Host") && request.header("Sec-WebSocket-Version") == "13");
      SEALINE_ASSERT(request.target.substr(0, request.target.find('?')) == "/stt");
      SEALINE_ASSERT(verdict.answer.starts_with("HTTP/1.1 101 "));
      SEALINE_ASSERT(verdict.answer.find("Sec-WebSocket-Extensions") == std::string::npos);
    } else if (outcome == Outcome::refused) {
      SEALINE_ASSERT(verdict.answer.starts_with("HTTP/1.1 4"));
    } else {
      SEALINE_ASSERT(verdict.answer.empty());
    }
    return outcome != Outcome::need_bytes;
  });
}

Verdict of_client(ByteView stream, std::size_t piece) {
  CountingRng rng;
  websocket::ClientHandshake client("localhost", "/stt", "stt.v1", rng);
  return in_pieces(stream, piece, [&](ByteView some, std::size_t& consumed, Verdict& verdict) {
    const auto outcome = client.handle_bytes(some, consumed);
    SEALINE_ASSERT(client.body().size() <= 1024);
    if (!outcome) {
      verdict.outcome = 2;
      verdict.answer = std::to_string(client.status());
      return true;
    }
    const bool is_over = *outcome == websocket::ClientHandshake::Outcome::accepted;
    if (is_over) SEALINE_ASSERT(client.status() == 101);
    verdict.outcome = is_over ? 1 : 0;
    return is_over;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  if (input.empty()) return 0;
  const ByteView stream = input.subspan(1);
  const auto judge = (input[0] & 1U) != 0 ? of_client : of_server;
  const Verdict whole = judge(stream, std::max<std::size_t>(stream.size(), 1));
  SEALINE_ASSERT(judge(stream, 1) == whole);
  SEALINE_ASSERT(judge(stream, 2 + input[0] / 2U) == whole);
  return 0;
}
