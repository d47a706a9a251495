#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/rng.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sealine::websocket {

enum class Role : std::uint8_t { client, server };

struct ConnectionConfig {
  std::size_t max_message_bytes = (std::size_t{1} << 20U) + (std::size_t{64} << 10U);
  std::size_t max_fragments = 4096;                ///< of one message, empty ones among them
  bool accepts_text = false;                       ///< STT refuses text with 1003
  Duration ping_after = std::chrono::seconds(20);  ///< server; zero: never
  unsigned missed_pings = 2;
  Duration close_timeout = std::chrono::seconds(5);
};

/// Close codes of RFC 6455 section 7.4.
namespace close_code {
inline constexpr std::uint16_t kNormal = 1000;
inline constexpr std::uint16_t kGoingAway = 1001;
inline constexpr std::uint16_t kProtocol = 1002;
inline constexpr std::uint16_t kUnsupported = 1003;
inline constexpr std::uint16_t kNone = 1005;      ///< local: a Close without a code
inline constexpr std::uint16_t kAbnormal = 1006;  ///< local: the connection just ended
inline constexpr std::uint16_t kBadText = 1007;
inline constexpr std::uint16_t kPolicy = 1008;
inline constexpr std::uint16_t kTooBig = 1009;
}  // namespace close_code

/// A whole message, unmasked in place where it came in one frame within `in`; good until the next
/// call.
struct Message {
  MutableBytes bytes;
  bool is_text = false;
};

struct Closed {
  std::uint16_t code = 0;  ///< kAbnormal where the connection ended without a Close
  std::string reason;
  bool by_peer = false;
  bool close_tcp = false;  ///< we close the connection now (a server always does)
};

using Event = std::variant<Message, Closed>;

/// A WebSocket after its opening handshake (RFC 6455), without a socket. spec: websocket.md#frames
///
/// handle_bytes consumes up to one message or the end a call: give the rest again. After any call
/// poll_transmit until it gives nothing. Pings, pongs, the closing handshake and all limits are
/// done here. One thread; rng outlives it (masks).
class SEALINE_API Connection {
 public:
  Connection(Role role, const ConnectionConfig& config, crypto::Rng& rng, TimePoint now);
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  struct Taken {
    std::size_t consumed = 0;
    std::optional<Event> event;
  };

  /// Any split of the stream. A fault of the peer writes a Close with its code and comes as Closed.
  [[nodiscard]] Taken handle_bytes(MutableBytes in, TimePoint now);
  /// TCP has ended.
  [[nodiscard]] std::optional<Closed> handle_end_of_stream(TimePoint now);
  [[nodiscard]] std::optional<Closed> handle_timeout(TimePoint now);

  /// Bytes that a frame head takes before a payload of that size (masked ones 4 more).
  [[nodiscard]] std::size_t head_bytes(std::size_t payload_bytes) const noexcept;
  /// Makes one whole binary message in place: the payload stands at frame[head_bytes(n) ..]; it is
  /// masked there where this end is a client.
  void frame_binary(MutableBytes frame, std::size_t payload_bytes);
  /// A message of its own, for tests and text: appended to what poll_transmit gives.
  void send_text(std::string_view text);
  /// Begins the closing handshake. The code is one that may be sent.
  void close(std::uint16_t code, std::string_view reason, TimePoint now);

  /// Control frames (and send_text) that wait; 0: none.
  [[nodiscard]] std::size_t poll_transmit(MutableBytes out);
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const;
  /// No message may be sent any more.
  [[nodiscard]] bool is_closing() const noexcept;

 private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace sealine::websocket
