#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace sealine {

/// Reads big-endian numbers and byte runs from a view, and never beyond it.
///
/// A failed read leaves the reader where it was. Errors: input_too_short, trailing_bytes (finish),
/// and value_too_large (prefixed); their detail is the offset. Views it returns live as long as the
/// input.
class Reader {
 public:
  constexpr explicit Reader(ByteView input) : input_(input) {}

  /// A big-endian unsigned number of sizeof(U) bytes.
  template <std::unsigned_integral U>
  [[nodiscard]] constexpr Result<U> be() {
    SEALINE_TRY(raw, bytes(sizeof(U)));
    ByteArray<sizeof(U)> in_order{};
    std::copy_n(raw.data(), in_order.size(), in_order.data());
    const U value = std::bit_cast<U>(in_order);
    return std::endian::native == std::endian::little ? std::byteswap(value) : value;
  }

  [[nodiscard]] constexpr Result<ByteView> bytes(std::size_t count) {
    if (count > remaining())
      return fail(Errc::input_too_short, static_cast<std::uint32_t>(offset_));
    const ByteView taken = input_.subspan(offset_, count);
    offset_ += count;
    return taken;
  }

  template <std::size_t N>
  [[nodiscard]] constexpr Result<FixedView<N>> fixed() {
    SEALINE_TRY(raw, bytes(N));
    return raw.template first<N>();
  }

  /// A length of type U, at most `limit`, and a reader over that many bytes.
  template <std::unsigned_integral U>
  [[nodiscard]] constexpr Result<Reader> prefixed(U limit) {
    Reader ahead = *this;
    SEALINE_TRY(length, ahead.be<U>());
    if (length > limit) return fail(Errc::value_too_large, static_cast<std::uint32_t>(offset_));
    SEALINE_TRY(body, ahead.bytes(static_cast<std::size_t>(length)));
    *this = ahead;
    return Reader(body);
  }

  /// Succeeds only when everything was read.
  [[nodiscard]] constexpr Result<> finish() const {
    if (remaining() != 0) return fail(Errc::trailing_bytes, static_cast<std::uint32_t>(offset_));
    return {};
  }

  [[nodiscard]] constexpr std::size_t remaining() const noexcept { return input_.size() - offset_; }

  [[nodiscard]] constexpr std::size_t offset() const noexcept { return offset_; }

  [[nodiscard]] constexpr ByteView rest() const noexcept { return input_.subspan(offset_); }

 private:
  ByteView input_;
  std::size_t offset_ = 0;
};

}  // namespace sealine
