#include "sealine/crypto/xaes.hpp"

#include "sealine/base/secret.hpp"
#include "sealine/base/writer.hpp"

#include <cstdint>

namespace sealine::crypto {
namespace {

using MessageKey = Secret<kKeyBytes, struct XaesMessageKeyTag>;

// Kx of the specification: a KBKDF with CMAC whose counter has 16 bits and whose label is "X".
MessageKey message_key(Engine& engine, FixedView<kKeyBytes> key, FixedView<kXaesNonceBytes> nonce) {
  MessageKey derived;
  const FixedBytes<kKeyBytes> blocks = derived.writable();
  for (std::uint8_t i = 0; i < 2; ++i) {
    Writer(blocks.subspan(i * kBlockBytes, kBlockBytes))
        .bytes(ByteArray<4>{0, static_cast<std::uint8_t>(i + 1), 'X', 0})
        .bytes(nonce.first<12>());
  }
  engine.cmac_blocks(key, blocks);
  return derived;
}

}  // namespace

void xaes_seal(Engine& engine, FixedView<kKeyBytes> key, FixedView<kXaesNonceBytes> nonce,
               ByteView aad, ByteView head, MutableBytes sealed) {
  const MessageKey derived = message_key(engine, key, nonce);
  engine.gcm_seal(derived.expose(), nonce.last<kNonceBytes>(), aad, head, sealed);
}

Result<> xaes_open(Engine& engine, FixedView<kKeyBytes> key, FixedView<kXaesNonceBytes> nonce,
                   ByteView aad, MutableBytes sealed, MutableBytes head) {
  const MessageKey derived = message_key(engine, key, nonce);
  return engine.gcm_open(derived.expose(), nonce.last<kNonceBytes>(), aad, sealed, head);
}

}  // namespace sealine::crypto
