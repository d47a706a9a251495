#pragma once

#include "sealine/base/assert.hpp"

#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

namespace sealine::stx::detail {

/// A queue in one run of memory that is kept when it empties, so that a steady flow allocates
/// nothing. It doubles when full: whoever fills it knows its limit.
template <class T>
class Ring {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  [[nodiscard]] T& operator[](std::size_t i) { return slots_[(first_ + i) & (slots_.size() - 1)]; }

  [[nodiscard]] const T& operator[](std::size_t i) const {
    return slots_[(first_ + i) & (slots_.size() - 1)];
  }

  [[nodiscard]] T& front() { return (*this)[0]; }

  [[nodiscard]] T& back() { return (*this)[size_ - 1]; }

  T& push_back(T value) {
    if (size_ == slots_.size()) grow();
    ++size_;
    return back() = std::move(value);
  }

  T pop_front() {
    SEALINE_ASSERT(size_ > 0);
    T value = std::move(front());
    first_ = (first_ + 1) & (slots_.size() - 1);
    --size_;
    return value;
  }

  void clear() noexcept {
    first_ = 0;
    size_ = 0;
  }

 private:
  void grow() {
    constexpr std::size_t kFirstSize = 8;
    std::vector<T> larger(slots_.empty() ? kFirstSize : 2 * slots_.size());
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    slots_.swap(larger);
    first_ = 0;
  }

  std::vector<T> slots_;  ///< a power of two of them
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace sealine::stx::detail
