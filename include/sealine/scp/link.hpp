#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/hmac_key.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/scp/message.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace sealine::scp {

/// The keys of one direction at one rotation.                                           spec:
/// scp.md#keys
///
///   Ke, iv  AES-256-GCM, nonce = iv xor (0^4 || BE64 sequence)
///   Km      HMAC-SHA-256 over head and payload
///   Kn      salt of the next rotation
class DirectionKeys {
 public:
  /// From the direction's secret `k`, which the caller wipes, and the handshake hash of this
  /// rotation.
  static DirectionKeys derive(crypto::Engine& engine, FixedView<32> k, FixedView<32> hash);

  /// The keys after a rotation: k = HKDF-Extract(Kn, x).
  [[nodiscard]] DirectionKeys next(crypto::Engine& engine, const crypto::SharedSecret& x,
                                   FixedView<32> hash) const;

  crypto::Aead& aead() const { return *aead_; }

  const crypto::HmacKey& mac_key() const noexcept { return mac_key_; }

  [[nodiscard]] ByteArray<12> nonce(std::uint64_t sequence) const noexcept;

 private:
  std::unique_ptr<crypto::Aead> aead_;
  Secret<12, struct ScpIvTag> iv_;
  crypto::HmacKey mac_key_;
  Secret<32, struct ScpNextKeyTag> next_key_;
};

/// As many messages as are sealed or verified together: two for each lane of the widest hashes.
inline constexpr std::size_t kRunMessages = 32;

/// Messages that are sealed one behind the other into one buffer, their HMACs still to be written:
/// Link::finish does it for all of them together. Nothing of the buffer may be sent before.
class SEALINE_API SealRun {
 public:
  explicit SealRun(MutableBytes out) : out_(out) {}

  /// Bytes written so far, at the front of the buffer.
  [[nodiscard]] std::size_t used() const noexcept { return used_; }

  [[nodiscard]] std::size_t room() const noexcept { return out_.size() - used_; }

 private:
  friend class Link;

  MutableBytes out_;
  std::size_t used_ = 0;
  std::array<ByteView, kRunMessages> unsigned_;  ///< head and payload of each
  std::size_t unsigned_count_ = 0;
};

/// A whole message of the input whose HMAC was looked at.
struct Arrived {
  Head head;
  bool authentic = false;
};

/// The sealed part of one connection: sequence numbers and keys of both directions, and their
/// rotation.
///
/// Errors of opening: version_refused, record_out_of_place, wrong_state, bad_length (the head),
/// mac_mismatch, record_not_authentic. One thread; `engine` must outlive it.
class SEALINE_API Link {
 public:
  enum class Role : std::uint8_t { client, server };

  /// Begins behind INIT and RESPONSE: each direction's next number is 1.
  static Link begin(crypto::Engine& engine, Role role, FixedView<32> k_c2s, FixedView<32> k_s2c,
                    FixedView<32> handshake_hash);

  /// Wire bytes of a message with `plaintext_bytes`.
  [[nodiscard]] static constexpr std::size_t sealed_size(std::size_t plaintext_bytes) {
    return kHeadBytes + plaintext_bytes + crypto::kTagBytes + kMacBytes;
  }

  /// Writes one message whose plaintext is `first || second`, behind `clear` bytes of the handshake
  /// in the same payload (the third message alone has any). `out` has room for it. Errors:
  /// sequence_exhausted.
  [[nodiscard]] Result<std::size_t> seal(Type type, ByteView first, ByteView second,
                                         MutableBytes out, ByteView clear = {});

  /// The same as the next message of a run, without its HMAC. The run has room for it. Errors:
  /// sequence_exhausted.
  [[nodiscard]] Result<> seal(Type type, ByteView first, ByteView second, SealRun& run);
  /// Writes the HMACs of all that was sealed into `run` since the last time. Before the bytes are
  /// sent.
  void finish(SealRun& run) const;

  /// The head of the next message, checked as far as a head can be.
  [[nodiscard]] Result<Head> check_head(FixedView<kHeadBytes> bytes) const;

  /// Opens one whole message in place and gives its plaintext, good as long as `message`.
  /// `clear_bytes` at the front of the payload are not sealed.
  [[nodiscard]] Result<MutableBytes> open(const Head& head, MutableBytes message,
                                          std::size_t clear_bytes = 0);

  /// Finds the whole messages at the front of `in`, as many as stand under the present keys and as
  /// `run` has places for, checks their heads and verifies their HMACs together; returns how many.
  /// They stop short of a head that check_head refuses, and of an incomplete message. Opens
  /// nothing: each is then opened in its turn, and what follows one that fails is not looked at.
  /// Bytes that are left over come again at the front of the next `in`, unchanged.
  [[nodiscard]] std::size_t verify(ByteView in, std::span<Arrived> run);

  /// Opens the next message of those that verify found, and gives its plaintext: into `to`, if that
  /// has exactly its size, or in place.
  [[nodiscard]] Result<MutableBytes> open(const Arrived& arrived, MutableBytes message,
                                          MutableBytes to);

  /// Rotation: h_{r+1} = H(h_r || client key || server key) and the keys that follow from x, kept
  /// aside until each direction switches.
  void prepare_rotation(const crypto::PublicKey& client, const crypto::PublicKey& server,
                        const crypto::SharedSecret& x);
  /// Behind the last message under the old keys, which the run may hold.
  void switch_sending(SealRun& run);
  void switch_receiving();

  [[nodiscard]] std::uint64_t payload_sent() const noexcept { return sent_.payload_bytes; }

  [[nodiscard]] std::uint64_t payload_received() const noexcept { return received_.payload_bytes; }

  [[nodiscard]] std::uint32_t rotations() const noexcept { return rotations_; }

  /// h_0 of this connection.
  [[nodiscard]] FixedView<32> handshake_hash() const noexcept { return first_hash_; }

  /// exp: L(exp, label, ctx) gives the channel's own secrets and the application's.
  void export_key(std::string_view label, ByteView context, MutableBytes out) const;

 private:
  struct Direction {
    DirectionKeys keys;
    std::unique_ptr<DirectionKeys> next;
    std::uint64_t sequence = 1;
    std::uint64_t payload_bytes = 0;  ///< under the present keys
  };

  Link(crypto::Engine& engine, DirectionKeys sending, DirectionKeys receiving);
  static void turn(Direction& direction);
  /// Writes head and sealed payload, returns them; counts the message.
  ByteView seal_payload(Type type, ByteView first, ByteView second, ByteView clear,
                        MutableBytes out);
  Result<MutableBytes> open_payload(const Head& head, MutableBytes message, std::size_t clear_bytes,
                                    MutableBytes to);

  crypto::Engine* engine_;
  Role role_ = Role::client;
  Direction sent_;
  Direction received_;
  ByteArray<32> first_hash_{};
  ByteArray<32> hash_{};
  Secret<32, struct ScpExporterTag> exporter_;
  std::size_t verified_bytes_ = 0;  ///< at the front of the input, their HMACs found right already
  std::uint32_t rotations_ = 0;
};

}  // namespace sealine::scp
