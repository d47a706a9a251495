#include "sealine/stc/stc.hpp"

#include "sealine/base/writer.hpp"
#include "sealine/crypto/kdf.hpp"
#include "sealine/crypto/scrypt.hpp"

#include <algorithm>
#include <array>

namespace sealine::stc {
namespace {

constexpr std::uint8_t kMetadataVersion = 0x01;
constexpr ByteArray<crypto::kNonceBytes> kOnlyNonce{};  // a key of `seal` is used once
using MessageKey = Secret<32, struct StcMessageKeyTag>;

ByteArray<32> hash_of(crypto::Engine& engine, ByteView data) {
  ByteArray<32> hash{};
  engine.sha256({data}, hash);
  return hash;
}

Metadata metadata_of(FixedView<kSaltBytes> salt) {
  Metadata metadata{kMetadataVersion};
  std::ranges::copy(salt, metadata.begin() + 1);
  return metadata;
}

Result<FixedView<kSaltBytes>> salt_of(ByteView metadata) {
  if (metadata.size() != kMetadataBytes || metadata[0] != kMetadataVersion) {
    return fail(Errc::bad_length);
  }
  return metadata.subspan(1).first<kSaltBytes>();
}

std::vector<std::uint8_t> gcm_seal(crypto::Engine& engine, FixedView<32> key,
                                   FixedView<crypto::kNonceBytes> nonce, ByteView aad,
                                   ByteView data) {
  std::vector<std::uint8_t> sealed(data.size() + crypto::kTagBytes);
  engine.gcm_seal(key, nonce, aad, data, sealed);
  return sealed;
}

Result<SecretBytes> gcm_open(crypto::Engine& engine, FixedView<32> key,
                             FixedView<crypto::kNonceBytes> nonce, ByteView aad,
                             ByteView ciphertext) {
  if (ciphertext.size() < crypto::kTagBytes) return fail(Errc::bad_length);
  SecretBytes opened(ciphertext);
  SEALINE_TRY(engine.gcm_open(key, nonce, aad, opened.writable(), {}));
  return SecretBytes(opened.expose().first(ciphertext.size() - crypto::kTagBytes));
}

ByteArray<crypto::kNonceBytes> chunk_nonce(std::uint64_t number, bool last) {
  ByteArray<crypto::kNonceBytes> nonce{};
  Writer(nonce).be(static_cast<std::uint8_t>(last ? 1 : 0)).zeros(3).be(number);
  return nonce;
}

Secret<32, struct StcChunksKeyTag> chunks_key(crypto::Engine& engine, const SeedKey& key,
                                              FixedView<8> session_id, std::uint32_t stream) {
  ByteArray<12> context{};
  Writer(context).bytes(session_id).be(stream);
  return crypto::derive<Secret<32, struct StcChunksKeyTag>>(engine, key.expose(), "stc1 chunks",
                                                            context);
}

}  // namespace

Result<SeedKey> seed_key(crypto::Engine& engine, ByteView seed) {
  if (seed.size() < kMinSeedBytes) return fail(Errc::bad_configuration);
  SeedKey key;
  crypto::hkdf_extract(engine, as_bytes("STC1"), crypto::Parts(&seed, 1), key.writable());
  return key;
}

Result<Seed> seed_of_passphrase(ByteView phrase) {
  Seed seed(32);
  SEALINE_TRY(crypto::scrypt(phrase, as_bytes("STT1 seed"), seed.writable()));
  return seed;
}

Sealed seal(crypto::Engine& engine, crypto::Rng& rng, FixedView<32> key, std::string_view label,
            ByteView aad, ByteView data) {
  ByteArray<kSaltBytes> salt{};
  rng.fill(salt);
  const auto message_key = crypto::derive<MessageKey>(engine, key, label, salt);
  return {.ciphertext = gcm_seal(engine, message_key.expose(), kOnlyNonce, aad, data),
          .metadata = metadata_of(salt)};
}

Result<SecretBytes> open(crypto::Engine& engine, FixedView<32> key, std::string_view label,
                         ByteView aad, ByteView ciphertext, ByteView metadata) {
  SEALINE_TRY(salt, salt_of(metadata));
  const auto message_key = crypto::derive<MessageKey>(engine, key, label, salt);
  return gcm_open(engine, message_key.expose(), kOnlyNonce, aad, ciphertext);
}

RotationKey rotate_session_key(crypto::Engine& engine, FixedView<32> current, FixedView<32> nonce,
                               ByteView x) {
  Secret<32, struct StcRotationRootTag> root;
  crypto::hkdf_extract(engine, current, crypto::Parts(&x, 1), root.writable());
  return crypto::derive<RotationKey>(engine, root.expose(), "stc1 rotate", nonce);
}

StreamContext::StreamContext(crypto::Engine& engine, FixedView<32> chunks_key,
                             FixedView<kSaltBytes> salt)
    : engine_(&engine),
      key_(crypto::derive<Secret<32, struct StcChunkKeyTag>>(engine, chunks_key, "stc1 chunk key",
                                                             salt)),
      metadata_(metadata_of(salt)) {}

std::vector<std::uint8_t> StreamContext::encrypt_chunk(ByteView data, std::uint64_t number,
                                                       bool last) {
  return gcm_seal(*engine_, key_.expose(), chunk_nonce(number, last), {}, data);
}

Result<SecretBytes> StreamContext::decrypt_chunk(ByteView ciphertext, std::uint64_t number,
                                                 bool last) {
  return gcm_open(*engine_, key_.expose(), chunk_nonce(number, last), {}, ciphertext);
}

Result<Stc> Stc::create(crypto::Engine& engine, crypto::Rng& rng, ByteView seed) {
  SEALINE_TRY(key, seed_key(engine, seed));
  return Stc(engine, rng, std::move(key));
}

ByteArray<32> Stc::hash(ByteView data, ByteView context) {
  const auto key = crypto::derive<Secret<32, struct StcHashKeyTag>>(
      *engine_, key_.expose(), "stc1 hash", hash_of(*engine_, context));
  ByteArray<32> out{};
  engine_->hmac_sha256(key.expose(), {data}, out);
  return out;
}

void Stc::derive_key(ByteView context, MutableBytes out) {
  crypto::labelled(*engine_, key_.expose(), "stc1 derive", hash_of(*engine_, context), out);
}

Sealed Stc::encrypt(ByteView data, ByteView context) {
  return seal(*engine_, *rng_, key_.expose(), "stc1 enc", context, data);
}

Result<SecretBytes> Stc::decrypt(ByteView ciphertext, ByteView metadata, ByteView context) {
  return open(*engine_, key_.expose(), "stc1 enc", context, ciphertext, metadata);
}

StreamContext Stc::create_stream_context(FixedView<8> session_id, std::uint32_t stream) {
  ByteArray<kSaltBytes> salt{};
  rng_->fill(salt);
  const auto key = chunks_key(*engine_, key_, session_id, stream);
  return {*engine_, key.expose(), salt};
}

Result<StreamContext> Stc::open_stream_context(FixedView<8> session_id, std::uint32_t stream,
                                               ByteView metadata) {
  SEALINE_TRY(salt, salt_of(metadata));
  const auto key = chunks_key(*engine_, key_, session_id, stream);
  return StreamContext(*engine_, key.expose(), salt);
}

}  // namespace sealine::stc
