#include "stcp/detail/record_ratchet.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/crypto/kdf.hpp"

#include <algorithm>
#include <array>

namespace sealine::stcp::detail {

void RecordRatchet::start(const ChainKey& ck) {
  wipe();
  std::ranges::copy(ck.expose(), state_.writable().begin());
  sequence_ = 0;
  epoch_ = 0;
}

// CK' || RK || IV = KBKDF(CK, 'S' || 00 || BE16(epoch) || BE64(seq)), over the old CK itself.
void RecordRatchet::step(crypto::Engine& engine) {
  ByteArray<12> input{'S', 0, static_cast<std::uint8_t>(epoch_ >> 8U),
                      static_cast<std::uint8_t>(epoch_)};
  store_be64(sequence_, input.data() + 4);
  engine.kbkdf_cmac(state_.expose().first<32>(), input, state_.writable());
  ready_ = true;
}

void RecordRatchet::mix(crypto::Engine& engine, const SharedX& x,
                        FixedView<crypto::kHashBytes> hk) {
  SEALINE_ASSERT(!ready_);
  const std::array<ByteView, 1> ikm = {x.expose()};
  Secret<32, struct ExtractedTag> extracted;
  crypto::hkdf_extract(engine, state_.expose().first<32>(), ikm, extracted.writable());
  crypto::labelled(engine, extracted.expose(), "stcp1 rk", hk, state_.writable().first<32>());
  ++epoch_;
}

}  // namespace sealine::stcp::detail
