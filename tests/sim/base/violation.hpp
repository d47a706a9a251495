#pragma once

#include <stdexcept>

namespace sealine::sim {

/// An invariant does not hold.
class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void require(bool condition, const char* invariant) {
  if (!condition) [[unlikely]] {
    throw Violation(invariant);
  }
}

}  // namespace sealine::sim
