#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"

namespace sealine::crypto {

/// A source of random bytes. Tests hand in a fixed one, so that every handshake is a golden vector.
class SEALINE_API Rng {
 public:
  virtual ~Rng() = default;
  Rng(const Rng&) = delete;
  Rng& operator=(const Rng&) = delete;

  virtual void fill(MutableBytes out) = 0;

 protected:
  Rng() = default;
};

/// The system's generator through libcrypto (private DRBG, reseeded after a fork). Any thread. A
/// generator that fails ends the process: there is nothing safe to go on with.
class SEALINE_API SystemRng final : public Rng {
 public:
  void fill(MutableBytes out) override;
};

}  // namespace sealine::crypto
