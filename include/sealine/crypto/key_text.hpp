#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/x25519.hpp"

#include <string>
#include <string_view>

namespace sealine::crypto {

/// Keys as people hold them: prefix(4) || base32(v || H(prefix || v)[0:3]), 60 characters.   spec:
/// stcp.md#key-texts
///
/// `slk1` private key, `slp1` public key, `sls1` shared secret. Read in either case; a wrong
/// prefix, length, letter or checksum is bad_key_text, without saying which.
inline constexpr std::size_t kKeyTextChars = 60;

[[nodiscard]] SEALINE_API std::string public_key_text(Engine& engine, const PublicKey& key);
[[nodiscard]] SEALINE_API Result<PublicKey> parse_public_key(Engine& engine, std::string_view text);

/// Secret texts are returned as SecretBytes, so that they are wiped.
[[nodiscard]] SEALINE_API SecretBytes private_key_text(Engine& engine, const PrivateKey& key);
[[nodiscard]] SEALINE_API Result<PrivateKey> parse_private_key(Engine& engine,
                                                               std::string_view text);
[[nodiscard]] SEALINE_API SecretBytes psk_text(Engine& engine, const Psk& psk);
/// Takes `sls1...` or 64 hex digits.
[[nodiscard]] SEALINE_API Result<Psk> parse_psk(Engine& engine, std::string_view text);

/// Four groups of four letters joined by `-`: base32(H("stcp1 fp" || key)[0:10]). For people who
/// compare by voice.
[[nodiscard]] SEALINE_API std::string fingerprint(Engine& engine, const PublicKey& key);

}  // namespace sealine::crypto
