#pragma once

#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/stcp/limits.hpp"
#include "sealine/stcp/mode.hpp"
#include "sealine/stcp/padding.hpp"

#include <memory>
#include <optional>
#include <vector>

namespace sealine::stcp {

/// What a client decides before it connects. Must outlive the connections made with it; read only,
/// any thread.
struct ClientConfig {
  Mode mode = Mode::tofu;
  std::shared_ptr<const crypto::KeyPair> identity;  ///< mode mutual
  std::shared_ptr<const crypto::Psk> psk;           ///< mode psk
  Limits limits;
  Padding padding = PadNone{};
};

/// A PSK with what the server needs to recognise it by a client's hint: L(psk, "stcp1 hint", ""),
/// computed once.
struct ServerPsk {
  crypto::Psk psk;
  Secret<32, struct HintKeyTag> hint_key;

  [[nodiscard]] SEALINE_API static ServerPsk make(crypto::Engine& engine, crypto::Psk psk);
};

/// What a server decides before it listens; shared by all its connections. Must outlive them; read
/// only, any thread.
struct ServerConfig {
  ModeSet modes = {Mode::tofu, Mode::mutual};
  std::shared_ptr<const crypto::KeyPair> identity;  ///< modes tofu, mutual
  std::vector<ServerPsk> psks;                      ///< mode psk, tried in order against the hint
  Limits limits;
  Padding padding = PadNone{};
};

}  // namespace sealine::stcp
