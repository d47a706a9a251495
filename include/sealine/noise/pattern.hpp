#pragma once

#include "sealine/base/export.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace sealine::noise {

/// The tokens of the Noise specification, revision 34, section 7.
enum class Token : std::uint8_t { e, s, ee, es, se, ss, psk };

/// A handshake pattern is data; one loop walks it. Tests add patterns of their own as further rows.
///
/// The initiator writes the first message, and the ends write in turn. Where a psk token stands in
/// any message, `e` also enters the key (section 9.2).
struct Pattern {
  std::string_view name;  ///< "NNpsk0"
  std::span<const Token> initiator_pre_message;
  std::span<const Token> responder_pre_message;
  std::span<const std::span<const Token>> messages;
};

/// The patterns that ship. Each is named as in the specification.
namespace patterns {
SEALINE_API extern const Pattern nn, nx, nk, ik, xx, kk, nn_psk0, nn_psk2, nk_psk2, ik_psk2;
}  // namespace patterns

}  // namespace sealine::noise
