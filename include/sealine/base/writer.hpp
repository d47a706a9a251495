#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace sealine {

/// `value` as sizeof(U) big-endian bytes.
template <std::unsigned_integral U>
constexpr ByteArray<sizeof(U)> be_bytes(U value) {
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  return std::bit_cast<ByteArray<sizeof(U)>>(value);
}

/// Writes big-endian numbers and byte runs into a caller's buffer, and never beyond it.
///
/// Errors are sticky: after the first that does not fit, nothing more is written and finish() fails
/// with out_of_space. So a run of writes needs one check, at its end.
class Writer {
 public:
  constexpr explicit Writer(MutableBytes output) : output_(output) {}

  template <std::unsigned_integral U>
  constexpr Writer& be(U value) {
    return bytes(be_bytes(value));
  }

  constexpr Writer& bytes(ByteView data) {
    const MutableBytes place = reserve(data.size());
    std::copy_n(data.data(), place.size(), place.data());
    return *this;
  }

  constexpr Writer& zeros(std::size_t count) {
    std::ranges::fill(reserve(count), std::uint8_t{0});
    return *this;
  }

  /// The next `count` bytes, for the caller to fill; empty if they do not fit.
  constexpr MutableBytes reserve(std::size_t count) {
    if (failed_ || count > output_.size() - used_) {
      failed_ = true;
      return {};
    }
    const MutableBytes place = output_.subspan(used_, count);
    used_ += count;
    return place;
  }

  /// The part of the output that was written.
  [[nodiscard]] constexpr Result<MutableBytes> finish() const {
    if (failed_) return fail(Errc::out_of_space, static_cast<std::uint32_t>(used_));
    return output_.first(used_);
  }

  [[nodiscard]] constexpr std::size_t used() const noexcept { return used_; }

  [[nodiscard]] constexpr std::size_t room() const noexcept {
    return failed_ ? 0 : output_.size() - used_;
  }

 private:
  MutableBytes output_;
  std::size_t used_ = 0;
  bool failed_ = false;
};

}  // namespace sealine
