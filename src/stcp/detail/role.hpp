#pragma once

#include <cstdint>

namespace sealine::stcp::detail {

/// Which end of the connection this is.
enum class Role : std::uint8_t { client, server };

}  // namespace sealine::stcp::detail
