#pragma once

#include <cstdint>

namespace sealine::io::detail {

/// The number of this process among its forks: a child reads another one than its parent.
///
/// Two processes that go on with one ratchet would seal different bytes under the same key, so that
/// whoever holds keys remembers the number under which they came to be.
[[nodiscard]] std::uint64_t process_generation();

}  // namespace sealine::io::detail
