#include "sealine/base/version.hpp"

const char* sealine_version() noexcept { return SEALINE_VERSION_STRING; }
