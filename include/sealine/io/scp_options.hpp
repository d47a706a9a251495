#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/io/stcp_options.hpp"
#include "sealine/io/trust.hpp"
#include "sealine/scp/channel.hpp"
#include "sealine/scp/config.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace sealine::io::scp {

using ::sealine::scp::ClientConfig;
using ::sealine::scp::Closed;
using ::sealine::scp::Code;
using ::sealine::scp::ConnectionLost;
using ::sealine::scp::Limits;
using ::sealine::scp::Mode;
using ::sealine::scp::Opened;
using ::sealine::scp::Outcome;
using ::sealine::scp::Peer;
using ::sealine::scp::PeerEnded;
using ::sealine::scp::Receipts;
using ::sealine::scp::Rotated;
using ::sealine::scp::ServerConfig;
using ::sealine::scp::State;
using stcp::AddressFamily;
using stcp::ListenerLimits;

/// The identity of a program: an X25519 key pair that its channels share. Copies are the same key.
/// Any thread.
class SEALINE_API KeyPair {
 public:
  /// A fresh one, for this run.
  [[nodiscard]] static KeyPair generate();
  /// `identity` of the state directory, made at first need. Errors: those of open_default_identity.
  [[nodiscard]] static Result<KeyPair> open(const std::filesystem::path& state_dir = {});

  explicit KeyPair(crypto::KeyPair keys)
      : keys_(std::make_shared<const crypto::KeyPair>(std::move(keys))) {}

  explicit KeyPair(std::shared_ptr<const crypto::KeyPair> keys) : keys_(std::move(keys)) {}

  [[nodiscard]] const crypto::PublicKey& public_key() const noexcept { return keys_->public_key; }

  /// slp1...
  [[nodiscard]] std::string public_key_text() const;

  [[nodiscard]] const std::shared_ptr<const crypto::KeyPair>& shared() const noexcept {
    return keys_;
  }

 private:
  std::shared_ptr<const crypto::KeyPair> keys_;
};

/// What a client decides. The defaults need nothing: mode XX, known_peers and the identity of the
/// state directory.
struct ClientOptions {
  /// protocol.reconnect asks the server for channels that outlive their connections.
  ClientConfig protocol;
  std::shared_ptr<Trust> trust;  ///< mode XX; null: default_client_trust(), at the first connect
  AddressFamily family = AddressFamily::any;
  /// RFC 8305: the next address is tried so long after the last one.
  Duration attempt_delay = std::chrono::milliseconds(250);
  /// For the name's resolution and the TCP connection; the handshake has its own (Limits).
  Duration connect_timeout = std::chrono::seconds(30);
};

/// What a server decides. A key that is null comes from the state directory where a mode needs it.
struct ServerOptions {
  ServerConfig protocol;
  std::shared_ptr<Trust> trust;  ///< the clients' keys; null: default_server_trust()
  /// What strangers may cost; the same as a listener's for STCP.   spec: stcp.md#limits
  ListenerLimits limits;
  /// Channels that may be resumed, in all and of one client key (mode 0: of one client address). A
  /// full table turns reconnecting off for new channels; nothing is evicted.
  /// spec: scp.md#reconnect
  std::size_t resumable_channels = 1024;
  std::size_t resumable_channels_per_client = 16;
};

/// Who was reached, for one line on the terminal.
struct Connected {
  std::string peer;                      ///< HOST:PORT as dialled, or the client's address
  std::optional<crypto::PublicKey> key;  ///< where the mode shows one
  TrustWord trust{};
  Mode mode{};
  std::string name;           ///< beside the key in its file
  std::size_t psk_index = 0;  ///< at a server: which of its secrets
};

/// "slp1... (new, pinned), SCP/1 XX, AES-256-GCM": what stands behind the name. SCP has no short
/// authentication string: its handshake commits to nothing that one could be made of.
[[nodiscard]] SEALINE_API std::string describe(const Connected& connected);

/// What happens to a channel beside the messages themselves. In `Opened`, `resumed` is true: the
/// first opening is the end of connect. A `Receipts` stands for all messages below its number.
using Event = std::variant<Receipts, Rotated, PeerEnded, ConnectionLost, Opened, Closed>;

/// Called on the channel's executor, while the event happens: it may look at the channel, queue
/// messages and give commands, and must not destroy the channel.
using EventObserver = std::function<void(const Event&)>;

/// Counts of a channel's life, over all of its connections.
struct Statistics {
  std::uint64_t sent = 0;         ///< messages taken to be sent
  std::uint64_t receipted = 0;    ///< of those, the ones with a receipt
  std::uint64_t received = 0;     ///< messages held whole
  std::uint64_t bytes_in = 0;     ///< of messages, as handed out
  std::uint64_t bytes_out = 0;    ///< of messages, as taken
  std::uint32_t rotations = 0;    ///< fresh keys
  std::uint32_t connections = 0;  ///< 1, and one more each time it was resumed
};

/// The last argument of a call that is to give a Result instead of throwing.
struct AsResult {};

inline constexpr AsResult as_result{};  // NOLINT(readability-identifier-naming): used as a word

}  // namespace sealine::io::scp
