#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/crypto/engine.hpp"

namespace sealine::crypto {

inline constexpr std::size_t kXaesNonceBytes = 24;

/// XAES-256-GCM (C2SP): a fresh AES key from the first half of a 24-byte nonce, GCM under the
/// second. Arguments as Engine::gcm_seal.
SEALINE_API void xaes_seal(Engine& engine, FixedView<kKeyBytes> key,
                           FixedView<kXaesNonceBytes> nonce, ByteView aad, ByteView head,
                           MutableBytes sealed);

/// Arguments and errors as Engine::gcm_open.
[[nodiscard]] SEALINE_API Result<> xaes_open(Engine& engine, FixedView<kKeyBytes> key,
                                             FixedView<kXaesNonceBytes> nonce, ByteView aad,
                                             MutableBytes sealed, MutableBytes head);

}  // namespace sealine::crypto
