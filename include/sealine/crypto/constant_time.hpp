#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"

namespace sealine::crypto {

/// Whether two runs are equal, in a time that depends on their lengths alone (`CT=` in the
/// specifications).
[[nodiscard]] SEALINE_API bool ct_equal(ByteView a, ByteView b) noexcept;

}  // namespace sealine::crypto
