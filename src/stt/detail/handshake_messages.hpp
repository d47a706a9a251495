#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/stc/stc.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/handshake.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// The messages of the handshake as values, and the keys they lead to.   spec: stt.md#handshake
namespace sealine::stt::detail {

using Bytes = std::vector<std::uint8_t>;

inline constexpr std::size_t kMaxCapabilities = 16;
inline constexpr std::size_t kMaxCapabilityBytes = 32;
inline constexpr std::uint8_t kSuite = 1;

struct Hello {
  std::uint8_t suite = kSuite;
  NodeId node_id{};
  ByteArray<32> nonce{};
  UnixMillis timestamp = 0;
  std::vector<std::string> capabilities{};
  std::optional<ByteArray<32>> ephemeral{};
  std::optional<ByteArray<16>> cookie{};
  std::optional<std::size_t> pad_bytes{};
  ByteArray<32> commitment{};

  /// The encoded dict, with the commitment or without.
  [[nodiscard]] Bytes encode(bool with_commitment) const;
  [[nodiscard]] static Result<Hello> parse(ByteView tlv);
};

struct Retry {
  ByteArray<16> cookie{};

  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static Result<Retry> parse(ByteView tlv);
};

struct Response {
  NodeId node_id{};
  ByteArray<32> nonce{};
  std::optional<ByteArray<32>> ephemeral{};
  ByteArray<80> challenge{};
  stc::Metadata metadata{};

  /// With challenge and metadata, or, for the transcript, without.
  [[nodiscard]] Bytes encode(bool with_challenge) const;
  [[nodiscard]] static Result<Response> parse(ByteView tlv);
};

struct AuthProof {
  SessionId session_id{};
  ByteArray<24> proof{};
  stc::Metadata metadata{};

  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static Result<AuthProof> parse(ByteView tlv);
};

struct Final {
  SessionId session_id{};
  ByteArray<32> confirm{};

  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static Result<Final> parse(ByteView tlv);
};

/// "RETRY", "HELLO" ...: the type of a message, for those that share a frame type.
[[nodiscard]] Result<std::string> message_type(ByteView tlv);

/// The TLV of a frame of the handshake: its prefix must say that it is all of it.
[[nodiscard]] Result<ByteView> payload_of(const FrameView& frame);
/// A whole frame; returns its length.
[[nodiscard]] std::size_t encode_frame(FrameType type, const SessionId& id, ByteView tlv,
                                       MutableBytes out);
/// The length that encode_frame gives.
[[nodiscard]] std::size_t frame_bytes(std::size_t tlv_bytes) noexcept;

[[nodiscard]] ByteArray<32> commitment_of(crypto::Engine& engine, const stc::SeedKey& seed_key,
                                          const Hello& hello);

/// What both ends compute once HELLO and RESPONSE are known.
class KeySchedule {
 public:
  /// `shared` is the Diffie-Hellman, or null without ephemerals. `hello` is the one encoded as
  /// sent.
  KeySchedule(crypto::Engine& engine, const stc::SeedKey& seed_key, const Hello& hello,
              const Response& response, const crypto::SharedSecret* shared);

  [[nodiscard]] const SessionId& session_id() const noexcept { return session_id_; }

  /// challenge and metadata of RESPONSE, sealed or checked.
  void seal_challenge(crypto::Rng& rng, Response& response) const;
  [[nodiscard]] Result<> check_challenge(const Response& response) const;
  [[nodiscard]] AuthProof make_proof(crypto::Rng& rng) const;
  [[nodiscard]] Result<> check_proof(const AuthProof& proof) const;
  [[nodiscard]] Final make_final() const;
  [[nodiscard]] Result<> check_final(const Final& message) const;
  [[nodiscard]] Established establish(Role role) const;

 private:
  [[nodiscard]] ByteArray<64> nonces() const;

  crypto::Engine* engine_;
  ByteArray<32> nonce_i_;
  ByteArray<32> nonce_r_;
  NodeId node_i_;
  NodeId node_r_;
  UnixMillis timestamp_;
  SessionId session_id_{};
  ByteArray<32> th2_{};
  Secret<32, struct SttHandshakeKeyTag> kh_;
  bool forward_secrecy_;
};

}  // namespace sealine::stt::detail
