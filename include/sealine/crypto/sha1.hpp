#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"

namespace sealine::crypto {

/// SHA-1, which is broken. RFC 6455 asks for it in Sec-WebSocket-Accept, where it protects nothing;
/// it is used there and nowhere else.
[[nodiscard]] SEALINE_API ByteArray<20> sha1_of_websocket_key(ByteView bytes);

}  // namespace sealine::crypto
