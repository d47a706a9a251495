#include "sealine/wire/crc32.hpp"

#include <libdeflate.h>

namespace sealine::wire {

std::uint32_t crc32(ByteView bytes) noexcept {
  return libdeflate_crc32(0, bytes.data(), bytes.size());
}

}  // namespace sealine::wire
