// The frames of a WebSocket, at either end: however the stream is cut, the same messages, the same
// end and the same bytes come out.
//
//   byte 0   bit 0: the reader is the server; bit 1: it takes text; bit 2: its own Close is out;
//            bits 3 to 7: how the stream is cut
//   then     the stream
#include "sealine/base/assert.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/websocket/connection.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace sealine;
using Bytes = std::vector<std::uint8_t>;

constexpr TimePoint kStart{std::chrono::seconds(1000)};

class CountingRng final : public crypto::Rng {
 public:
  void fill(MutableBytes out) override {
    for (auto& byte : out) byte = next_++;
  }

 private:
  std::uint8_t next_ = 1;
};

struct Seen {
  std::string events;
  Bytes written;
  bool is_over = false;
};

void take(websocket::Connection& end, MutableBytes rest, const websocket::ConnectionConfig& config,
          Seen& seen) {
  while (true) {
    const auto taken = end.handle_bytes(rest, kStart);
    SEALINE_ASSERT(taken.consumed <= rest.size());
    if (taken.event) {
      SEALINE_ASSERT(!seen.is_over);
      if (const auto* message = std::get_if<websocket::Message>(&*taken.event)) {
        SEALINE_ASSERT(message->bytes.size() <= config.max_message_bytes);
        SEALINE_ASSERT(config.accepts_text || !message->is_text);
        seen.events += message->is_text ? "t" : "m";
        seen.events.append(message->bytes.begin(), message->bytes.end());
      } else {
        const auto& closed = std::get<websocket::Closed>(*taken.event);
        seen.events += "c" + std::to_string(closed.code) + closed.reason;
        seen.is_over = true;
      }
    }
    rest = rest.subspan(taken.consumed);
    if (!taken.event && (rest.empty() || taken.consumed == 0)) break;
  }
}

// The whole stream in pieces of `first`, then `first + step` ... bytes.
Seen seen_in_pieces(std::uint8_t how, ByteView stream, std::size_t first, std::size_t step) {
  CountingRng rng;
  websocket::ConnectionConfig config;
  config.max_message_bytes = 400;
  config.max_fragments = 8;
  config.accepts_text = (how & 2U) != 0;
  const auto role = (how & 1U) != 0 ? websocket::Role::server : websocket::Role::client;
  websocket::Connection end(role, config, rng, kStart);
  if ((how & 4U) != 0) end.close(1000, "over", kStart);
  Seen seen;
  Bytes bytes(stream.begin(), stream.end());
  MutableBytes rest(bytes);
  for (std::size_t size = first; !rest.empty(); size += step) {
    const std::size_t count = std::min(std::max<std::size_t>(size, 1), rest.size());
    take(end, rest.first(count), config, seen);
    rest = rest.subspan(count);
  }
  SEALINE_ASSERT(!seen.is_over || end.is_closing());
  Bytes out(1000);
  while (const std::size_t length = end.poll_transmit(out)) {
    seen.written.insert(seen.written.end(), out.begin(),
                        out.begin() + static_cast<std::ptrdiff_t>(length));
  }
  const auto last = end.handle_end_of_stream(kStart);
  SEALINE_ASSERT(last.has_value() == !seen.is_over);
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView input(data, size);
  if (input.empty()) return 0;
  const std::uint8_t how = input[0];
  const ByteView stream = input.subspan(1);
  const Seen whole = seen_in_pieces(how, stream, stream.size(), 0);
  const std::size_t cut = how >> 3U;
  for (const Seen& other :
       {seen_in_pieces(how, stream, 1, 0), seen_in_pieces(how, stream, 1 + cut % 8, cut / 8)}) {
    SEALINE_ASSERT(other.events == whole.events);
    SEALINE_ASSERT(other.written == whole.written);
  }
  return 0;
}
