#pragma once

#include "sealine/base/errc.hpp"
#include "sealine/base/export.hpp"

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace sealine {

/// What went wrong. Eight bytes, no text, no secret: safe to copy, log and compare.
///
/// `detail` is errno for environment errors, the close reason for `aborted`, a byte offset or line
/// number for parse errors, otherwise 0. Authentication errors carry no detail.
struct Error {
  Errc code{};
  std::uint32_t detail = 0;

  /// One plain sentence without capital and full stop.
  [[nodiscard]] SEALINE_API std::string message() const;

  friend constexpr bool operator==(const Error&, const Error&) = default;
};

template <class T = void>
using Result = std::expected<T, Error>;

/// An unexpected value to return from a function that gives a Result.
constexpr std::unexpected<Error> fail(Errc code, std::uint32_t detail = 0) {
  return std::unexpected(Error{code, detail});
}

/// The `std::error_category` named "sealine"; its values are those of Errc.
SEALINE_API const std::error_category& error_category() noexcept;

SEALINE_API std::error_code make_error_code(Errc code) noexcept;
SEALINE_API std::error_code make_error_code(const Error& error) noexcept;

}  // namespace sealine

template <>
struct std::is_error_code_enum<sealine::Errc> : std::true_type {};

#define SEALINE_CONCAT_INNER(a, b) a##b
#define SEALINE_CONCAT(a, b) SEALINE_CONCAT_INNER(a, b)

/// SEALINE_TRY(name, expr) declares `name` from a Result or returns its error; SEALINE_TRY(expr)
/// for Result<>.
#define SEALINE_TRY_2(name, expr)                                           \
  auto SEALINE_CONCAT(sealine_try_, __LINE__) = (expr);                     \
  if (!SEALINE_CONCAT(sealine_try_, __LINE__)) [[unlikely]]                 \
    return std::unexpected(SEALINE_CONCAT(sealine_try_, __LINE__).error()); \
  auto name = std::move(*SEALINE_CONCAT(sealine_try_, __LINE__))
#define SEALINE_TRY_1(expr)                                               \
  if (auto sealine_try_result = (expr); !sealine_try_result) [[unlikely]] \
  return std::unexpected(sealine_try_result.error())
#define SEALINE_TRY_PICK(a, b, macro, ...) macro
#define SEALINE_TRY(...) SEALINE_TRY_PICK(__VA_ARGS__, SEALINE_TRY_2, SEALINE_TRY_1)(__VA_ARGS__)
