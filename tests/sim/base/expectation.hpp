#pragma once

#include <cstdint>

namespace sealine::sim {

/// How far a connection is to come, its ends' keys being what they are.
enum class Expectation : std::uint8_t {
  works,         ///< right keys, right mode
  refused,       ///< a mode, secret or key that the server does not take: not one byte in answer
  wrong_server,  ///< another key than the pinned one
};

}  // namespace sealine::sim
