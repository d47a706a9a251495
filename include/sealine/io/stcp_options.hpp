#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/io/trust.hpp"
#include "sealine/stcp/config.hpp"
#include "sealine/stcp/connection.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sealine::io::stcp {

using ::sealine::stcp::ClientConfig;
using ::sealine::stcp::CloseReason;
using ::sealine::stcp::Limits;
using ::sealine::stcp::Mode;
using ::sealine::stcp::ModeSet;
using ::sealine::stcp::Peer;
using ::sealine::stcp::ServerConfig;
using ::sealine::stcp::ServerPsk;
using ::sealine::stcp::State;
using ::sealine::stcp::Statistics;

enum class AddressFamily : std::uint8_t { any, ipv4, ipv6 };

/// What a client decides. The defaults need nothing: mode tofu, known_peers of the state directory.
struct ClientOptions {
  ClientConfig protocol;
  std::shared_ptr<Trust> trust;  ///< null: default_client_trust(); made at the first connect
  AddressFamily family = AddressFamily::any;
  /// RFC 8305: the next address is tried so long after the last one.
  Duration attempt_delay = std::chrono::milliseconds(250);
  /// For the name's resolution and the TCP connection; the handshake has its own (Limits).
  Duration connect_timeout = std::chrono::seconds(30);
  bool batching = false;  ///< see Stream::set_batching
};

/// What a server decides.
struct ServerOptions {
  /// The identity, where it is null and the modes need one, is `identity` of the state directory,
  /// made at first need.
  ServerConfig protocol;
  std::shared_ptr<Trust> trust;  ///< mode mutual; null: default_server_trust()
  bool batching = false;
  /// On F1..F6 go on reading and discarding until the handshake's deadline, so that all failures
  /// look alike.
  bool probe_resist = false;
};

/// The budgets of a listener.   spec: stcp.md#limits
struct ListenerLimits {
  std::size_t half_open = 1024;            ///< handshakes at once
  std::size_t half_open_per_network = 32;  ///< of one /24 or /64
  /// Handshakes of one address: so many a second, and a burst. A rate of 0 is no limit.
  std::uint32_t handshakes_per_second = 20;
  std::uint32_t handshake_burst = 40;
  /// Streams handed out and not yet gone; at the limit nothing is accepted. 0 is no limit.
  std::size_t connections = 0;
  /// Finished handshakes that wait for async_accept; at the limit nothing is accepted.
  std::size_t waiting = 128;
  int backlog = 1024;
};

/// After a fault: shutdown of our direction, then so much or so long is read and thrown away.
inline constexpr std::size_t kDrainBytes = std::size_t{64} << 10U;
inline constexpr std::chrono::milliseconds kDrainTime{1000};

/// Who was reached, for one line on the terminal: "connected to NAME slp1... (new, pinned), STCP/1
/// NX, AES-256-GCM, sas 123 456".
struct Connected {
  std::string peer;                      ///< HOST:PORT as dialled, or the client's address
  std::optional<crypto::PublicKey> key;  ///< where the mode shows one
  TrustWord trust{};
  Mode mode{};
  std::optional<std::uint32_t> sas;  ///< where two people should compare it: mode 0, first contact
  std::string name;                  ///< beside the key in its file
};

/// "slp1... (new, pinned), STCP/1 NX, AES-256-GCM, sas 123 456": what stands behind the name.
[[nodiscard]] SEALINE_API std::string describe(const Connected& connected);

/// "123 456".
[[nodiscard]] SEALINE_API std::string sas_text(std::uint32_t sas);

}  // namespace sealine::io::stcp
