#include "sealine/stcp/config.hpp"

#include "sealine/crypto/kdf.hpp"

#include <utility>

namespace sealine::stcp {

ServerPsk ServerPsk::make(crypto::Engine& engine, crypto::Psk psk) {
  auto hint_key = crypto::derive<Secret<32, struct HintKeyTag>>(engine, psk.expose(), "stcp1 hint");
  return {std::move(psk), std::move(hint_key)};
}

}  // namespace sealine::stcp
