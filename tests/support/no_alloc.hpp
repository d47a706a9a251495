#pragma once

#include <cstddef>

namespace sealine::test {

/// Calls of malloc and its kin by this thread so far: operator new and libraries written in C
/// included.
[[nodiscard]] std::size_t allocation_count() noexcept;

/// Bytes that those calls asked for. What is given back is not taken off.
[[nodiscard]] std::size_t allocated_bytes() noexcept;

/// Fails the running test if this thread allocates in its lifetime. Keep EXPECT_... outside of it:
/// those allocate themselves, if only when they fail.
class NoAlloc {
 public:
  NoAlloc() noexcept : at_start_(allocation_count()) {}

  NoAlloc(const NoAlloc&) = delete;
  NoAlloc& operator=(const NoAlloc&) = delete;
  ~NoAlloc();

  [[nodiscard]] std::size_t allocations() const noexcept { return allocation_count() - at_start_; }

 private:
  std::size_t at_start_;
};

}  // namespace sealine::test
