#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/stx/frame.hpp"
#include "sealine/stx/limits.hpp"
#include "sealine/stx/message.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace sealine::stx {

using PeerId = ByteArray<16>;
using TransferId = ByteArray<12>;

/// The id of a peer that is known by a PSK.   spec: stx.md#psk
[[nodiscard]] SEALINE_API PeerId peer_id_of(crypto::Engine& engine, const crypto::Psk& psk);
/// The id of a peer that is known by its STCP static key.   spec: stx.md#stcp-form
[[nodiscard]] SEALINE_API PeerId peer_id_of(crypto::Engine& engine, const crypto::PublicKey& key);

/// The STCP form needs no derivation of its own: its PSK is L(exp, "stx1 psk", ""), which is
/// export_key("stx1 psk", {}) of the STCP connection; in mode 7 the PSK to come back with is
/// export_key("stx1 again", {}).   spec: stx.md#stcp-form

/// What the client says in SKN.
struct ClientParameters {
  LaneId lane = 0;
  TransferId transfer{};
};

/// What the server says in SKC.
struct ServerParameters {
  std::uint8_t max_block_log2 = kMaxBlockLog2;
  bool accepts_zstd = true;
};

/// A finished handshake.
struct LaneOpening {
  FrameKey send_key;
  FrameKey receive_key;
  ClientParameters client;
  ServerParameters server;
  std::size_t psk_index = 0;  ///< at a server: which of its keys
};

/// What a call to handle_bytes did.
enum class HandshakeProgress : std::uint8_t { need_bytes, reply, done };

/// The client's half: SH in, CH and CA out, SA in, SKN out, SKC in.      spec: stx.md#handshake
///
/// Every message has a fixed length; bytes behind SKC stay unconsumed (they are frames). One
/// attempt; any fault is final and silent: nothing more waits in poll_transmit, and the keys are
/// wiped. After `reply`, and after `done`, send what poll_transmit gives. The deadline is the
/// caller's. `engine` and `rng` must outlive the handshake. One thread.
class SEALINE_API ClientHandshake {
 public:
  /// `unix_ms` goes into CH; 0 says nothing about our clock. Errors: bad_configuration (no PSK, a
  /// lane of 16 or more).
  static Result<ClientHandshake> create(std::shared_ptr<const crypto::Psk> psk,
                                        ClientParameters parameters, crypto::Engine& engine,
                                        crypto::Rng& rng, UnixMillis unix_ms);
  ClientHandshake(ClientHandshake&&) noexcept;
  ClientHandshake& operator=(ClientHandshake&&) noexcept;
  ~ClientHandshake();

  /// `consumed` says how much of `in` is used up. Errors: bad_record_head, version_refused,
  /// mode_refused (another suite), mac_mismatch, bad_handshake_message, tag_mismatch, bad_settings,
  /// dh_all_zero; wrong_state after the end.
  [[nodiscard]] Result<HandshakeProgress> handle_bytes(ByteView in, std::size_t& consumed);
  /// Writes what waits to `out` (at least 256 bytes); returns its length.
  [[nodiscard]] std::size_t poll_transmit(MutableBytes out);
  /// CH and CA are out and SA has not come: an end here is refused authentication.
  [[nodiscard]] bool awaits_proof() const noexcept;
  [[nodiscard]] LaneOpening take() &&;

 private:
  struct Machine;
  explicit ClientHandshake(std::unique_ptr<Machine> machine) noexcept;
  std::unique_ptr<Machine> machine_;
};

/// The nonces of clients whose CA verified, 600 s and 65,536 of them (the oldest go first), so that
/// none comes twice. One thread: a server shares it among its handshakes.   spec: stx.md#handshake
class SEALINE_API NonceMemory {
 public:
  NonceMemory() = default;
  NonceMemory(const NonceMemory&) = delete;
  NonceMemory& operator=(const NonceMemory&) = delete;

  /// Takes `nonce`, unless it is known. `now` never goes backwards.
  [[nodiscard]] bool insert(const ByteArray<32>& nonce, TimePoint now);

  [[nodiscard]] std::size_t size() const noexcept { return by_age_.size(); }

 private:
  /// Ordered, not hashed: nobody who chooses nonces makes a look-up slow.
  using Seen = std::map<ByteArray<32>, TimePoint>;

  void forget_oldest();

  Seen seen_;
  std::deque<Seen::iterator> by_age_;
};

struct ServerHandshakeConfig {
  std::vector<std::shared_ptr<const crypto::Psk>> psks;  ///< the hint picks
  ServerParameters parameters;
  bool require_clock = false;  ///< ts_ms within 300 s of ours
};

/// The server's half. SH waits in poll_transmit from the beginning. An unknown hint is answered
/// only after CA is read, as a bad CA is: with the same error. No Diffie-Hellman is done for a
/// client whose CA does not verify. Otherwise as the client's half; `nonces` must outlive it.
class SEALINE_API ServerHandshake {
 public:
  /// `unix_ms` goes into SH, and is our clock for require_clock. Errors: bad_configuration (no PSK,
  /// max_block_log2 out of range).
  static Result<ServerHandshake> create(std::shared_ptr<const ServerHandshakeConfig> config,
                                        NonceMemory& nonces, crypto::Engine& engine,
                                        crypto::Rng& rng, UnixMillis unix_ms);
  ServerHandshake(ServerHandshake&&) noexcept;
  ServerHandshake& operator=(ServerHandshake&&) noexcept;
  ~ServerHandshake();

  /// Errors: as the client's, and packet_not_authentic (a nonce that came before, or a clock that
  /// is refused).
  [[nodiscard]] Result<HandshakeProgress> handle_bytes(ByteView in, TimePoint now,
                                                       std::size_t& consumed);
  [[nodiscard]] std::size_t poll_transmit(MutableBytes out);
  [[nodiscard]] LaneOpening take() &&;

 private:
  struct Machine;
  explicit ServerHandshake(std::unique_ptr<Machine> machine) noexcept;
  std::unique_ptr<Machine> machine_;
};

}  // namespace sealine::stx
