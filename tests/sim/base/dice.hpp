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

/// A running hash of what happened, to see that the same seed gives the same run.
class Trace {
 public:
  void add(std::uint64_t value) { hash_ = mix(hash_ ^ value); }

  void add(ByteView bytes) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      word = (word << 8U) | bytes[i];
      if (i % 8 == 7) add(word);
    }
    add(word ^ (std::uint64_t{bytes.size()} << 56U));
  }

  [[nodiscard]] std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0;
};

}  // namespace sealine::sim
