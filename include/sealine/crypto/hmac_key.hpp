#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"

namespace sealine::crypto {

/// A key of HMAC-SHA-256 with its schedule done once: what SHA-256 has in its eight words after the
/// block key xor ipad, and after key xor opad (RFC 2104). For Engine::hmac_many.
///
/// The same for every engine and thread: nothing but the two states, wiped on move and on death.
class SEALINE_API HmacKey {
 public:
  /// The states of SHA-256 behind one block, words in the order of the machine.
  static constexpr std::size_t kStateBytes = 32;

  /// The empty key.
  HmacKey() : HmacKey(ByteView{}) {}

  /// A key of any length; more than 64 bytes are hashed first, as RFC 2104 has it.
  explicit HmacKey(ByteView key);

  [[nodiscard]] FixedView<kStateBytes> inner() const& noexcept {
    return states_.expose().first<kStateBytes>();
  }

  [[nodiscard]] FixedView<kStateBytes> outer() const& noexcept {
    return states_.expose().last<kStateBytes>();
  }

 private:
  alignas(16) Secret<2 * kStateBytes, struct HmacStatesTag> states_;
};

}  // namespace sealine::crypto
