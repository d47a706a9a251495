#pragma once

#include <cstdint>
#include <vector>

namespace sealine::sim {

/// What one seed came to.
struct RunResult {
  struct Count {
    const char* name;
    std::uint64_t value;
  };

  std::uint64_t trace = 0;  ///< a hash of all that happened
  std::uint64_t events = 0;
  std::vector<Count> counts;  ///< for people to see that what should happen does
};

}  // namespace sealine::sim
