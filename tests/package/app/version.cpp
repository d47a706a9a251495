#include <cstdio>
#include <sealine/base/errc.hpp>
#include <sealine/base/error.hpp>
#include <sealine/base/version.hpp>

int main() {
  const auto error = sealine::make_error_code(sealine::Errc::usage);
  std::printf("%s %s\n", SEALINE_VERSION_STRING, error.category().name());
}
