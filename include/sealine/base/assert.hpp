#pragma once

#include "sealine/base/export.hpp"

namespace sealine {

/// Ends the process: a promise between parts of this program was broken. Never reachable from bytes
/// of a peer.
[[noreturn]] SEALINE_API void assertion_failed(const char* condition, const char* file,
                                               int line) noexcept;

}  // namespace sealine

/// On in every build: programmer errors stop the program, peers' errors are values.
#define SEALINE_ASSERT(condition)                      \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::sealine::assertion_failed(#condition, __FILE__, __LINE__))
