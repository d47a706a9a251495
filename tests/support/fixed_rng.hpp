#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/crypto/rng.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>

namespace sealine::test {

/// Gives the bytes that were queued, in their order, so that a handshake becomes a golden vector.
/// Asking for more than there are ends the test program: the code draws random bytes that the test
/// does not know of.
class FixedRng final : public crypto::Rng {
 public:
  FixedRng() = default;

  explicit FixedRng(ByteView bytes) { push(bytes); }

  FixedRng& push(ByteView bytes);
  void fill(MutableBytes out) override;

  /// Bytes that nobody has asked for yet.
  [[nodiscard]] std::size_t remaining() const { return queue_.size(); }

 private:
  std::deque<std::uint8_t> queue_;
};

/// An endless stream that is a function of its seed: SHA-256(seed || counter). For simulations and
/// properties, where a failing seed must be enough to see the failure again. Does not allocate.
class SeededRng final : public crypto::Rng {
 public:
  explicit SeededRng(std::uint64_t seed);

  void fill(MutableBytes out) override;

  /// A number below `bound` (at least 1), for choices in tests. Slightly uneven for huge bounds.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);

 private:
  void refill();

  std::uint64_t seed_;
  std::uint64_t counter_ = 0;
  ByteArray<32> block_{};
  std::size_t used_ = 32;
};

}  // namespace sealine::test
