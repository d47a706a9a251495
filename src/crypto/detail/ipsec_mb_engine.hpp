#pragma once

#include "sealine/crypto/engine.hpp"

#include <memory>

namespace sealine::crypto::detail {

/// The fast path of x86-64, or null where this build or this machine has none: libipsec-mb for AES,
/// libcrypto for all the rest.
std::unique_ptr<Engine> make_ipsec_mb_engine();

}  // namespace sealine::crypto::detail
