#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/crypto/rng.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::sim {

/// Spreads the bits of a number over all 64 (splitmix64's last step).
constexpr std::uint64_t mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

/// All chance of a simulation: a function of its seed, fast, and no secret.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(mix(seed)) {}

  std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15U); }

  /// 0 .. bound - 1; 0 for a bound of 0.
  std::size_t below(std::size_t bound) {
    return bound == 0 ? 0 : static_cast<std::size_t>(next() % bound);
  }

  /// low .. high, both included.
  std::size_t between(std::size_t low, std::size_t high) { return low + below(high - low + 1); }

  bool chance(unsigned percent) { return below(100) < percent; }

  template <class T, std::size_t N>
  T pick(const T (&from)[N]) {
    return from[below(N)];
  }

 private:
  std::uint64_t state_;
};

/// One roll of a thousand that several rare things share: one of them happens at most.
class Roll {
 public:
  explicit Roll(Dice& dice) : left_(dice.below(1000)) {}

  [[nodiscard]] bool hits(unsigned permille) {
    if (is_spent_) return false;
    is_spent_ = left_ < permille;
    if (!is_spent_) left_ -= permille;
    return is_spent_;
  }

 private:
  std::size_t left_;
  bool is_spent_ = false;
};

/// The random bytes that the machines of a simulation draw.
class DiceRng final : public crypto::Rng {
 public:
  explicit DiceRng(std::uint64_t seed) : dice_(seed) {}

  void fill(MutableBytes out) override {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (i % 8 == 0) word = dice_.next();
      out[i] = static_cast<std::uint8_t>(word >> (8U * (i % 8)));
    }
  }

 private:
  Dice dice_;
};

}  // namespace sealine::sim
