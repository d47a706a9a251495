#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

/// STC1: the calls of the STC interface, made of AES-256-GCM, HKDF and HMAC. It is not the original
/// STC and does not speak with it.                                             spec: stt.md#stc1
namespace sealine::stc {

inline constexpr std::size_t kMinSeedBytes = 32;
inline constexpr std::size_t kSaltBytes = 32;
inline constexpr std::size_t kMetadataBytes = 1 + kSaltBytes;  ///< 01 and the salt

/// What both ends share: 32 random bytes or more.
using Seed = SecretBytes;
/// PRK0, made of the seed: every key of STT comes from it.
using SeedKey = Secret<32, struct StcSeedKeyTag>;
using RotationKey = Secret<32, struct StcRotationKeyTag>;
using Metadata = ByteArray<kMetadataBytes>;

/// A ciphertext with what its receiver needs beside the key.
struct Sealed {
  std::vector<std::uint8_t> ciphertext;  ///< with its tag
  Metadata metadata{};
};

/// Errors: bad_configuration for a seed under 32 bytes.
[[nodiscard]] SEALINE_API Result<SeedKey> seed_key(crypto::Engine& engine, ByteView seed);

/// The seed of a passphrase, by scrypt: once, and some 128 MiB for a moment. The salt is fixed,
/// because both sides begin from the phrase alone, so a weak phrase can be guessed offline: say so.
/// `phrase` is UTF-8 in normal form C. Errors: system_error where the memory is not to be had.
[[nodiscard]] SEALINE_API Result<Seed> seed_of_passphrase(ByteView phrase);

/// One message under one key: GCM(L(key, label, salt), 0^12, aad, data) under a fresh salt.
[[nodiscard]] SEALINE_API Sealed seal(crypto::Engine& engine, crypto::Rng& rng, FixedView<32> key,
                                      std::string_view label, ByteView aad, ByteView data);
/// Errors: bad_length, tag_mismatch.
[[nodiscard]] SEALINE_API Result<SecretBytes> open(crypto::Engine& engine, FixedView<32> key,
                                                   std::string_view label, ByteView aad,
                                                   ByteView ciphertext, ByteView metadata);

/// The next key of a session: nobody who knows only one of `current` and `x` knows it.
[[nodiscard]] SEALINE_API RotationKey rotate_session_key(crypto::Engine& engine,
                                                         FixedView<32> current, FixedView<32> nonce,
                                                         ByteView x = {});

/// Chunks of one stream of data at rest, each sealed under its number; frames never use it.
class SEALINE_API StreamContext {
 public:
  /// `last` marks the end, so that a cut is noticed. A number is used once. Ciphertext and tag.
  [[nodiscard]] std::vector<std::uint8_t> encrypt_chunk(ByteView data, std::uint64_t number,
                                                        bool last);
  /// Errors: bad_length, tag_mismatch: altered, another number, or not the last (or not not).
  [[nodiscard]] Result<SecretBytes> decrypt_chunk(ByteView ciphertext, std::uint64_t number,
                                                  bool last);

  [[nodiscard]] const Metadata& metadata() const noexcept { return metadata_; }

 private:
  friend class Stc;
  StreamContext(crypto::Engine& engine, FixedView<32> chunks_key, FixedView<kSaltBytes> salt);

  crypto::Engine* engine_;
  Secret<32, struct StcChunkKeyTag> key_;
  Metadata metadata_{};
};

/// The interface, over one seed. Contexts are encoded values (wire::Value::encode). One thread;
/// engine and rng outlive it.
class SEALINE_API Stc {
 public:
  /// Errors: bad_configuration.
  static Result<Stc> create(crypto::Engine& engine, crypto::Rng& rng, ByteView seed);

  /// Deterministic, so that a commitment can be verified.
  [[nodiscard]] ByteArray<32> hash(ByteView data, ByteView context);
  /// `out` is at most 255 * 32 bytes.
  void derive_key(ByteView context, MutableBytes out);
  [[nodiscard]] Sealed encrypt(ByteView data, ByteView context);
  /// Errors: bad_length, tag_mismatch.
  [[nodiscard]] Result<SecretBytes> decrypt(ByteView ciphertext, ByteView metadata,
                                            ByteView context);
  [[nodiscard]] StreamContext create_stream_context(FixedView<8> session_id, std::uint32_t stream);
  /// The reader's side, from the writer's metadata. Errors: bad_length.
  [[nodiscard]] Result<StreamContext> open_stream_context(FixedView<8> session_id,
                                                          std::uint32_t stream, ByteView metadata);

 private:
  Stc(crypto::Engine& engine, crypto::Rng& rng, SeedKey key)
      : engine_(&engine), rng_(&rng), key_(std::move(key)) {}

  crypto::Engine* engine_;
  crypto::Rng* rng_;
  SeedKey key_;
};

}  // namespace sealine::stc
