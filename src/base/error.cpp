#include "sealine/base/error.hpp"

#include "sealine/base/assert.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace sealine {
namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "sealine"; }

  [[nodiscard]] std::string message(int value) const override {
    return std::string(to_string(static_cast<Errc>(value)));
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const Category category;
  return category;
}

std::error_code make_error_code(Errc code) noexcept {
  return {static_cast<int>(code), error_category()};
}

std::string Error::message() const { return std::string(to_string(code)); }

std::error_code make_error_code(const Error& error) noexcept { return make_error_code(error.code); }

void assertion_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "sealine: broken assertion: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace sealine
