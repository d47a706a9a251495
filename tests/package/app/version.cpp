#include <sealine/base/error.hpp>
#include <sealine/base/version.hpp>

#include <cstdio>
#include <cstring>

int main() {
  const auto error = sealine::make_error_code(sealine::Errc::usage);
  std::printf("%s %s\n", sealine_version(), error.category().name());
  return std::strcmp(sealine_version(), SEALINE_VERSION_STRING);
}
