#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/noise/handshake_state.hpp"
#include "sealine/stcp/config.hpp"
#include "stcp/detail/handshake_record.hpp"
#include "stcp/detail/key_schedule.hpp"
#include "stcp/detail/sas.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <variant>

namespace sealine::stcp::detail {

/// The handshakes of modes 0, 1, 4 and 5.                                       spec:
/// stcp.md#handshake
///
///     NN, NX, NNpsk0:  step 1 ->   <- step 2   FINISH ->
///     XX:              step 1 ->   <- step 2   step 3, FINISH ->
///
/// Each state is a struct that holds what it still needs; the function that handles its message
/// consumes it and returns the next. Random bytes are drawn in this order: the ephemeral key, then
/// nA or nB.

/// Bytes that wait to be sent: one handshake message, and FINISH behind step 3.
class Outbox {
 public:
  [[nodiscard]] ByteView bytes() const noexcept { return ByteView(bytes_).first(used_); }

  [[nodiscard]] MutableBytes room() noexcept { return MutableBytes(bytes_).subspan(used_); }

  void add(std::size_t count) noexcept { used_ += count; }

  void clear() noexcept { used_ = 0; }

 private:
  ByteArray<256> bytes_{};
  std::size_t used_ = 0;
};

/// Who works on the handshake, and what must keep its address until it is over.
struct HandshakeContext {
  HandshakeContext(crypto::Engine& engine_in, crypto::Rng& rng_in, const ClientConfig* client_in,
                   const ServerConfig* server_in)
      : engine(engine_in), rng(rng_in), client(client_in), server(server_in) {}

  crypto::Engine& engine;
  crypto::Rng& rng;
  const ClientConfig* client;
  const ServerConfig* server;
  HandshakeHead hello_head{};  ///< the prologue
  std::array<const crypto::Psk*, 1> psk{};
  Outbox outbox{};
};

/// What both ends know when the Noise messages are done.
struct Agreement {
  KeySchedule keys;
  Mode mode{};
  std::uint8_t max_record_log2 = 0;  ///< the smaller of both
  std::optional<crypto::PublicKey> peer_key;
  std::size_t psk_index = 0;
  SasNonce nonce_a{};  ///< client only
  SasNonce nonce_b{};
  SasCommitment commitment{};  ///< server only
};

// --- client

/// Step 1 is out.
struct ExpectAnswer {
  noise::HandshakeState noise;
  SasNonce nonce_a;
};

/// Step 2 is good; in modes 1 and 4 the key of the server waits for its verdict.
struct AnswerVerified {
  noise::HandshakeState noise;
  SasNonce nonce_a;
  SasNonce nonce_b;
  std::uint8_t peer_record_log2;
};

/// Writes step 1. Errors: bad_configuration.
[[nodiscard]] Result<ExpectAnswer> start_client(HandshakeContext& context);
/// Takes step 2 without its head. Errors: F3, F6, F1, in this order.
[[nodiscard]] Result<AnswerVerified> on_answer(ExpectAnswer&& state, ByteView message,
                                               HandshakeContext& context);
/// The key was accepted: writes step 3 in mode 4, and ends the handshake.
[[nodiscard]] Result<Agreement> finish_client(AnswerVerified&& state, HandshakeContext& context);

// --- server

struct ExpectHello {};

/// Mode 4: step 2 is out.
struct ExpectAuth {
  noise::HandshakeState noise;
  SasNonce nonce_b;
  SasCommitment commitment;
  std::uint8_t max_record_log2;
};

/// Mode 4: step 3 is good; the key of the client waits for its verdict.
struct AuthVerified {
  Agreement agreement;
};

/// FINISH is all that is missing.
struct ExpectFinish {
  Agreement agreement;
};

/// Takes step 1 with its head and writes step 2. Errors: F2, F1, F5, F4, F1, F3, as ordered in
/// stcp.md#faults.
[[nodiscard]] Result<std::variant<ExpectAuth, ExpectFinish>> on_hello(ByteView record,
                                                                      HandshakeContext& context);
/// Takes step 3 without its head. Errors: F3, F8.
[[nodiscard]] Result<AuthVerified> on_auth(ExpectAuth&& state, ByteView message,
                                           HandshakeContext& context);

/// Where a handshake stands.
using HandshakeStage =
    std::variant<ExpectHello, ExpectAnswer, AnswerVerified, ExpectAuth, AuthVerified, ExpectFinish>;

/// The data of FINISH: nA, or nothing.
[[nodiscard]] inline std::size_t finish_data_bytes(Mode mode) noexcept {
  return has_sas(mode) ? kSasNonceBytes : 0;
}

/// Whether an end of this mode shows the peer's key for a verdict.
[[nodiscard]] inline bool client_sees_key(Mode mode) noexcept {
  return mode == Mode::tofu || mode == Mode::mutual;
}

}  // namespace sealine::stcp::detail
