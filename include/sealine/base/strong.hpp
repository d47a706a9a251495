#pragma once

#include <compare>
#include <concepts>
#include <cstdint>

namespace sealine {

/// A number with a meaning of its own: no implicit conversion, no arithmetic, ordered.
template <class Tag, std::unsigned_integral U>
class Strong {
 public:
  constexpr explicit Strong(U value) : value_(value) {}

  [[nodiscard]] constexpr U value() const noexcept { return value_; }

  friend constexpr auto operator<=>(Strong, Strong) = default;

 private:
  U value_;
};

}  // namespace sealine
