#include "stcp/detail/sas.hpp"

#include "sealine/base/secret.hpp"
#include "sealine/crypto/kdf.hpp"

namespace sealine::stcp::detail {

SasCommitment commit(crypto::Engine& engine, const SasNonce& nonce_a,
                     const std::optional<crypto::PublicKey>& client_key) {
  SasCommitment c{};
  const ByteView s_c = client_key ? ByteView(client_key->bytes) : ByteView{};
  engine.sha256({as_bytes("stcp1 sas"), nonce_a, s_c}, c);
  return c;
}

std::uint32_t short_authentication_string(crypto::Engine& engine, const ExporterKey& exporter,
                                          const TranscriptHash& h, const SasNonce& nonce_a,
                                          const SasNonce& nonce_b) {
  const auto key =
      crypto::derive<Secret<32, struct SasKeyTag>>(engine, exporter.expose(), "stcp1 sas");
  ByteArray<crypto::kHashBytes> mac{};
  engine.hmac_sha256(key.expose(), {h, nonce_a, nonce_b}, mac);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 5; ++i) value = (value << 8U) | mac[i];
  return static_cast<std::uint32_t>(value % kSasModulus);
}

}  // namespace sealine::stcp::detail
