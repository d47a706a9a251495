#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/noise/pattern.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace sealine::noise {

enum class Role : std::uint8_t { initiator, responder };

inline constexpr std::size_t kMaxMessageBytes = 65535;

/// The two keys that a finished handshake gives.
struct SplitKeys {
  Secret<32, struct InitiatorKeyTag> initiator_to_responder;
  Secret<32, struct ResponderKeyTag> responder_to_initiator;
};

/// What the caller knows before the first message. All views and pointers must outlive the
/// handshake.
struct Inputs {
  ByteView prologue;
  const crypto::KeyPair* local_static = nullptr;
  std::optional<crypto::PublicKey> remote_static;
  /// One secret for each psk token, in their order.
  std::span<const crypto::Psk* const> psks;
};

/// One Noise handshake, `25519_AESGCM_SHA256` (revision 34).
///
/// Call write_message and read_message in the turn that the pattern gives, until is_finished(). A
/// call that fails leaves the handshake failed: every later one fails too, and the keys are wiped.
/// Each message is worked on in copies that replace the state when its last tag has verified. One
/// thread. `engine` and `rng` must outlive the handshake.
class SEALINE_API HandshakeState {
 public:
  /// Errors: bad_configuration, where an input that the pattern needs is missing.
  static Result<HandshakeState> create(const Pattern& pattern, Role role, const Inputs& inputs,
                                       crypto::Engine& engine, crypto::Rng& rng);
  HandshakeState(HandshakeState&&) noexcept;
  HandshakeState& operator=(HandshakeState&&) noexcept;
  ~HandshakeState();

  /// Appends the next message to `out` and returns its length.
  /// Errors: wrong_state (not our turn), out_of_space, dh_all_zero.
  [[nodiscard]] Result<std::size_t> write_message(ByteView payload, MutableBytes out);

  /// Reads the peer's next message and returns the length of its payload, written to `payload`.
  /// Errors: wrong_state, bad_handshake_message (too short), out_of_space, dh_all_zero,
  /// tag_mismatch.
  [[nodiscard]] Result<std::size_t> read_message(ByteView message, MutableBytes payload);

  /// Bytes that the next message has beside its payload.
  [[nodiscard]] std::size_t next_overhead() const noexcept;

  [[nodiscard]] bool is_finished() const noexcept;
  [[nodiscard]] bool is_our_turn() const noexcept;

  /// The handshake hash after the last message so far (`h`).
  [[nodiscard]] FixedView<32> hash() const noexcept;
  /// The chaining key after the last message so far (`ck`): SCP keys a MAC from it in
  /// mid-handshake.
  [[nodiscard]] FixedView<32> chaining_key() const noexcept;
  [[nodiscard]] std::optional<crypto::PublicKey> remote_static() const noexcept;
  [[nodiscard]] std::optional<crypto::PublicKey> remote_ephemeral() const noexcept;
  [[nodiscard]] crypto::PublicKey local_ephemeral() const noexcept;

  /// Makes the ephemeral key now instead of in the message that sends it, for protocols that derive
  /// something from the public half first (the hint of STCP). Only before the message with our `e`.
  crypto::PublicKey prepare_ephemeral();

  /// Uses a fresh pair that the protocol had to make before this state (its public half stands in
  /// the prologue). Never twice; only before the message with our `e`.
  void use_ephemeral(crypto::KeyPair fresh);

  /// Ends a finished handshake. Errors: wrong_state.
  [[nodiscard]] Result<SplitKeys> split() &&;

 private:
  struct State;
  explicit HandshakeState(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace sealine::noise
