#pragma once

#include "sealine/base/error.hpp"

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sealine::cli {

/// What a command tells its user when it ends badly: an Error with the words around it.
struct Failure {
  Error error{};
  std::string text;                  ///< in place of the error's own sentence, if not empty
  std::vector<std::string> details;  ///< printed behind two spaces each
  std::string hint;                  ///< the one next step
  std::optional<int> exit{};         ///< where the table of exit_code.hpp does not decide
};

template <class T = void>
using Outcome = std::expected<T, Failure>;

/// A Failure to return from a function that gives an Outcome.
inline std::unexpected<Failure> failure(Error error, std::string text = {}, std::string hint = {}) {
  return std::unexpected(Failure{error, std::move(text), {}, std::move(hint), {}});
}

inline std::unexpected<Failure> failure(Errc code, std::string text = {}, std::string hint = {}) {
  return failure(Error{code}, std::move(text), std::move(hint));
}

/// A command line that cannot be understood.
inline std::unexpected<Failure> usage(std::string text, std::string hint = {}) {
  return failure(Errc::usage, std::move(text), std::move(hint));
}

}  // namespace sealine::cli
