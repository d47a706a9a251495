#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/x25519.hpp"
#include "stcp/detail/key_schedule.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace sealine::stcp::detail {

/// The short authentication string of a first contact: commit, then reveal.             spec:
/// stcp.md#sas
inline constexpr std::size_t kSasNonceBytes = 32;
inline constexpr std::uint32_t kSasModulus = 1'000'000;

using SasNonce = ByteArray<kSasNonceBytes>;
using SasCommitment = ByteArray<crypto::kHashBytes>;

/// C = H("stcp1 sas" || nA || s_c), s_c the client's static public key in mode 4, nothing else.
[[nodiscard]] SasCommitment commit(crypto::Engine& engine, const SasNonce& nonce_a,
                                   const std::optional<crypto::PublicKey>& client_key);

/// (HMAC(L(exp, "stcp1 sas", ""), h || nA || nB)[0:5] as BE40) mod 10^6.
[[nodiscard]] std::uint32_t short_authentication_string(crypto::Engine& engine,
                                                        const ExporterKey& exporter,
                                                        const TranscriptHash& h,
                                                        const SasNonce& nonce_a,
                                                        const SasNonce& nonce_b);

}  // namespace sealine::stcp::detail
