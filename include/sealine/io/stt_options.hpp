#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/stcp_options.hpp"
#include "sealine/stc/stc.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/stt/session.hpp"
#include "sealine/websocket/connection.hpp"
#include "sealine/websocket/handshake.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sealine::io::stt {

using ::sealine::io::stcp::AddressFamily;
using ::sealine::io::stcp::ListenerLimits;
using ::sealine::stt::NodeId;
using ::sealine::stt::Padding;
using ::sealine::stt::SessionClosed;
using ::sealine::stt::SessionConfig;
using ::sealine::stt::SessionStatistics;
using ::sealine::stt::SteeringKey;
using ::sealine::stt::StreamId;
using ::sealine::stt::StreamMode;
using ::sealine::stt::StreamOptions;

enum class Scheme : std::uint8_t {
  ws,   ///< WebSocket
  wss,  ///< WebSocket over TLS, for dialling alone: a proxy holds the certificate
  udp,  ///< datagrams
  stt,  ///< datagrams; WebSocket, on the same port number, where nobody answers them
};

/// ws://HOST:PORT[/path], wss://HOST:PORT[/path], udp://HOST:PORT or stt://HOST:PORT[/path]. The
/// path is WebSocket's, /stt unless given; a port is needed.
struct Url {
  Scheme scheme{};
  std::string host;  ///< without brackets
  std::uint16_t port = 0;
  std::string path = "/stt";

  /// Errors: usage.
  [[nodiscard]] SEALINE_API static Result<Url> parse(std::string_view text);
};

[[nodiscard]] SEALINE_API std::string to_string(const Url& url);

inline constexpr std::size_t kMinMtuBytes = 1280;  ///< IPv6 promises as much
inline constexpr std::size_t kMaxMtuBytes = 65535;
/// Of the kernel, for a socket's datagrams: less than that loses them where much comes at once.
inline constexpr std::size_t kDatagramBufferBytes = std::size_t{4} << 20U;

inline constexpr std::size_t kMaxWorkers = ::sealine::stt::kMaxWorkers;

/// What an endpoint decides before it dials or listens.
struct EndpointOptions {
  std::shared_ptr<const stc::Seed> seed;  ///< 32 bytes at least; who has it may take either role
  std::optional<NodeId> node_id;          ///< none: 32 random bytes
  bool forward_secrecy = true;            ///< offered when dialling
  bool demand_forward_secrecy = true;     ///< asked of those who dial
  SessionConfig session;                  ///< transport is set by the URL
  /// UDP: bytes that the path takes, IP's and UDP's heads among them, from kMinMtuBytes to
  /// kMaxMtuBytes; 0: found out by probes.
  std::size_t mtu_bytes = 0;
  /// UDP: threads that listen, each with a socket of its own at the same address, from 1 (none:
  /// all runs on the endpoint's executor) to kMaxWorkers. The limits of `listener` are those of all
  /// of them; the tables of the handshake are split evenly.
  std::size_t workers = 1;
  /// Behind a load balancer that knows the key: of which server a session id speaks. Without a key
  /// ids say nothing to anybody.
  std::uint16_t server_id = 0;
  std::shared_ptr<const SteeringKey> steering_key;
  /// Paths and subprotocols are set by the URL where they are empty; origins are those of pages.
  websocket::ServerPolicy web;
  ListenerLimits listener;
  AddressFamily family = AddressFamily::any;
  Duration connect_timeout = std::chrono::seconds(30);
  Duration handshake_timeout = std::chrono::seconds(10);  ///< the WebSocket's included
  /// stt://: so long after the first datagram without an answer WebSocket is dialled.
  Duration fall_back_after = std::chrono::milliseconds(1500);
};

/// The workers of a listener.
struct WorkerStatistics {
  std::size_t count = 1;
  std::uint64_t handed_over = 0;  ///< datagrams that came to another worker than their session's
  std::uint64_t dropped = 0;      ///< those of them that were too many at once
};

/// Who was reached.
struct Connected {
  std::string peer;  ///< HOST:PORT as dialled, or the client's address
  Scheme scheme{};   ///< ws or udp: what carries the session
  bool forward_secrecy = false;
};

/// "UDP", "WebSocket".
[[nodiscard]] SEALINE_API std::string_view transport_name(const Connected& connected) noexcept;

/// "(seed), STT/1 WebSocket, AES-256-GCM"; without forward secrecy it says so.
[[nodiscard]] SEALINE_API std::string describe(const Connected& connected);

}  // namespace sealine::io::stt
