#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/x25519.hpp"
#include "tests/sim/base/dice.hpp"

#include <memory>
#include <utility>

namespace sealine::sim {

/// Keys that all seeds share, as making them is dear and they play no part of chance.
struct Keys {
  explicit Keys(crypto::Engine& engine) {
    DiceRng rng(42);
    for (auto& pair : pairs) {
      pair = std::make_shared<const crypto::KeyPair>(crypto::KeyPair::generate(engine, rng));
    }
    for (auto& psk : psks) {
      crypto::Psk made;
      rng.fill(made.writable());
      psk = std::make_shared<const crypto::Psk>(std::move(made));
    }
  }

  std::shared_ptr<const crypto::KeyPair> pairs[8];
  std::shared_ptr<const crypto::Psk> psks[4];
};

}  // namespace sealine::sim
