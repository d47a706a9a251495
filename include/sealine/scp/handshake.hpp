#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/scp/config.hpp"
#include "sealine/scp/link.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace sealine::scp {

/// A client's wish to go on with a channel, inside its first sealed bytes.                spec:
/// scp.md#reconnect
struct ResumeBlock {
  ByteArray<16> channel_id{};
  std::uint64_t have = 0;  ///< messages of the other end accepted whole
  ByteArray<32> proof{};
};

/// What each end tells the other in the handshake: `settings` of the server, `opening` of the
/// client.
struct Settings {
  bool reconnect = false;
  std::uint32_t max_message_bytes = 0;
  std::optional<ResumeBlock> resume;  ///< in an opening alone
};

/// The channel that a client wants to resume: its part of the third message depends on the new
/// handshake's hash.
struct ResumeRequest {
  ByteArray<16> channel_id{};
  std::uint64_t have = 0;
  const Secret<32, struct ScpResumeKeyTag>* resume_key = nullptr;
};

/// A finished handshake.
struct Opening {
  Link link;
  Peer peer;
  Settings theirs;
  bool reconnect = false;  ///< both ends want it
};

/// What a call to handle_bytes did.
enum class Progress : std::uint8_t {
  need_bytes,  ///< the next message is not whole yet
  key_shown,   ///< judge peer_key(), then accept_peer_key(), or drop the handshake
  reply,       ///< send what poll_transmit gives, then wait
  done,        ///< take() the result; a client sends what poll_transmit gives first
};

/// The client's half: INIT, RESPONSE, ACK.                                             spec:
/// scp.md#handshake
///
/// One attempt; every fault is final and silent: the object stays failed and gives no byte. One
/// thread.
class SEALINE_API ClientHandshake {
 public:
  /// Errors: bad_configuration.
  static Result<ClientHandshake> create(const ClientConfig& config, crypto::Engine& engine,
                                        crypto::Rng& rng, std::optional<ResumeRequest> resume);
  ClientHandshake(ClientHandshake&&) noexcept;
  ClientHandshake& operator=(ClientHandshake&&) noexcept;
  ~ClientHandshake();

  /// Takes the RESPONSE, whole or not; `consumed` says what is used up.
  [[nodiscard]] Result<Progress> handle_bytes(MutableBytes in, std::size_t& consumed);
  [[nodiscard]] Result<Progress> accept_peer_key();
  [[nodiscard]] std::size_t poll_transmit(MutableBytes out);
  [[nodiscard]] bool has_transmit() const noexcept;
  [[nodiscard]] const Peer& peer() const noexcept;
  [[nodiscard]] Opening take() &&;

 private:
  struct State;
  explicit ClientHandshake(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

/// The server's half. The client's application exists only from a valid ACK on.
class SEALINE_API ServerHandshake {
 public:
  static Result<ServerHandshake> create(const ServerConfig& config, crypto::Engine& engine,
                                        crypto::Rng& rng);
  ServerHandshake(ServerHandshake&&) noexcept;
  ServerHandshake& operator=(ServerHandshake&&) noexcept;
  ~ServerHandshake();

  [[nodiscard]] Result<Progress> handle_bytes(MutableBytes in, std::size_t& consumed);
  [[nodiscard]] Result<Progress> accept_peer_key();
  [[nodiscard]] std::size_t poll_transmit(MutableBytes out);
  [[nodiscard]] bool has_transmit() const noexcept;
  [[nodiscard]] const Peer& peer() const noexcept;
  /// While the flag in `settings` can still be chosen (before RESPONSE is written): a full table of
  /// channels turns reconnecting off for new ones.
  void forbid_reconnect() noexcept;
  [[nodiscard]] Opening take() &&;

 private:
  struct State;
  explicit ServerHandshake(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace sealine::scp
