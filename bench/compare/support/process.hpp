#pragma once

#include <cstddef>
#include <cstdint>

namespace sealine::bench {

/// Seconds of a clock that never goes backwards.
double now_s();

/// User and system CPU seconds of this process so far.
double cpu_s();

/// Resident memory of this process that is its own (no file mapped read-only).
std::uint64_t resident_bytes();

/// Runs this process on one core only. Throws std::system_error.
void pin_to_core(std::size_t core);

/// Allows as many descriptors as the system's hard limit does.
void raise_descriptor_limit();

/// Ends this process with the one that started it.
void die_with_parent();

/// CPU and wall time since it was made.
class Stopwatch {
 public:
  [[nodiscard]] double wall_s() const { return now_s() - wall_start_; }

  [[nodiscard]] double cpu_used_s() const { return cpu_s() - cpu_start_; }

 private:
  double wall_start_ = now_s();
  double cpu_start_ = cpu_s();
};

}  // namespace sealine::bench
