#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"

#include <string_view>

namespace sealine::crypto {

/// HKDF-Extract-SHA256 (RFC 5869): HMAC(salt, ikm).
SEALINE_API void hkdf_extract(Engine& engine, ByteView salt, Parts ikm, FixedBytes<kHashBytes> out);

/// HKDF-Expand-SHA256 (RFC 5869); out.size() <= 255 * 32.
SEALINE_API void hkdf_expand(Engine& engine, ByteView key, Parts info, MutableBytes out);

/// The labelled expansion of every protocol here, `L(k, label, ctx, n)`:
/// HKDF-Expand-SHA256(k, BE16(n) || u8(len label) || label || u8(len ctx) || ctx, n).   spec:
/// stcp.md#notation label and ctx are at most 255 bytes; n = out.size().
SEALINE_API void labelled(Engine& engine, ByteView key, std::string_view label, ByteView ctx,
                          MutableBytes out);

/// L() straight into a secret of its kind.
template <class SecretType>
[[nodiscard]] SecretType derive(Engine& engine, ByteView key, std::string_view label,
                                ByteView ctx = {}) {
  SecretType secret;
  labelled(engine, key, label, ctx, secret.writable());
  return secret;
}

}  // namespace sealine::crypto
