#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"

#include <cstdint>

namespace sealine::wire {

/// The CRC-32 of zlib, Ethernet and PNG (polynomial 04C11DB7, reflected). It sees noise on a line
/// and nothing else: who alters bytes on purpose makes it fit.
[[nodiscard]] SEALINE_API std::uint32_t crc32(ByteView bytes) noexcept;

}  // namespace sealine::wire
