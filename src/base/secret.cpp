#include "sealine/base/secret.hpp"

#include <cstring>

namespace sealine {

void secure_wipe(MutableBytes bytes) noexcept {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

}  // namespace sealine
