#pragma once

#include "sealine/base/bytes.hpp"
#include "tests/sim/base/dice.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::sim {

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
