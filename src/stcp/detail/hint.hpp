#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/x25519.hpp"
#include "stcp/detail/handshake_record.hpp"

#include <algorithm>

namespace sealine::stcp::detail {

/// HMAC(L(key, "stcp1 hint", ""), e_c)[0:8]: picks one of many secrets without naming it.  spec:
/// stcp.md#handshake
[[nodiscard]] inline Hint make_hint(crypto::Engine& engine, FixedView<32> hint_key,
                                    FixedView<crypto::kKeyBytes> client_ephemeral) {
  ByteArray<crypto::kHashBytes> mac{};
  engine.hmac_sha256(hint_key, {client_ephemeral}, mac);
  Hint hint{};
  std::copy_n(mac.begin(), hint.size(), hint.begin());
  return hint;
}

}  // namespace sealine::stcp::detail
