#include "noise/detail/symmetric_state.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/writer.hpp"

#include <algorithm>
#include <array>

namespace sealine::noise::detail {
namespace {

// HKDF(chaining_key, input_key_material, N) of section 4.3: outputs[i] = HMAC(temp_key,
// outputs[i-1] || i).
template <std::size_t N>
void hkdf(crypto::Engine& engine, ByteView chaining_key, ByteView input_key_material,
          const std::array<FixedBytes<32>, N>& outputs) {
  Secret<32, struct TempKeyTag> temp_key;
  engine.hmac_sha256(chaining_key, {input_key_material}, temp_key.writable());
  ByteView previous;
  for (std::size_t i = 0; i < N; ++i) {
    const auto number = static_cast<std::uint8_t>(i + 1);
    engine.hmac_sha256(temp_key.expose(), {previous, ByteView(&number, 1)}, outputs[i]);
    previous = outputs[i];
  }
}

}  // namespace

SymmetricState::SymmetricState(crypto::Engine& engine, ByteView protocol_name) : engine_(&engine) {
  if (protocol_name.size() <= h_.size()) {
    std::ranges::copy(protocol_name, h_.begin());
  } else {
    engine_->sha256({protocol_name}, h_);
  }
  ck_ = ChainingKey(FixedView<32>(h_));
}

SymmetricState::SymmetricState(Clone, const SymmetricState& other)
    : engine_(other.engine_),
      h_(other.h_),
      ck_(other.ck_.clone()),
      k_(other.k_.clone()),
      n_(other.n_),
      has_key_(other.has_key_) {}

SymmetricState SymmetricState::clone() const { return {Clone{}, *this}; }

void SymmetricState::mix_key(ByteView input_key_material) {
  ChainingKey ck;
  CipherKey temp_k;
  hkdf<2>(*engine_, ck_.expose(), input_key_material, {ck.writable(), temp_k.writable()});
  ck_ = std::move(ck);
  initialize_key(temp_k.expose());
}

void SymmetricState::mix_hash(ByteView data) {
  ByteArray<32> h;
  engine_->sha256({h_, data}, h);
  h_ = h;
}

void SymmetricState::mix_key_and_hash(ByteView input_key_material) {
  ChainingKey ck;
  Secret<32, struct TempHashTag> temp_h;
  CipherKey temp_k;
  hkdf<3>(*engine_, ck_.expose(), input_key_material,
          {ck.writable(), temp_h.writable(), temp_k.writable()});
  ck_ = std::move(ck);
  mix_hash(temp_h.expose());
  initialize_key(temp_k.expose());
}

void SymmetricState::encrypt_and_hash(ByteView plaintext, MutableBytes out) {
  SEALINE_ASSERT(out.size() == plaintext.size() + overhead());
  if (has_key_) {
    engine_->gcm_seal(k_.expose(), next_nonce(), h_, plaintext, out);
  } else {
    std::ranges::copy(plaintext, out.begin());
  }
  mix_hash(out);
}

Result<> SymmetricState::decrypt_and_hash(ByteView data, MutableBytes out) {
  SEALINE_ASSERT(data.size() == out.size() + overhead());
  if (has_key_) {
    // The engine opens in place: what is sealed is copied, so that the peer's message stays as it
    // is for MixHash.
    SecretBytes sealed(data);
    SEALINE_TRY(engine_->gcm_open(k_.expose(), next_nonce(), h_, sealed.writable(), out));
  } else {
    std::ranges::copy(data, out.begin());
  }
  mix_hash(data);
  return {};
}

void SymmetricState::split(FixedBytes<32> initiator_to_responder,
                           FixedBytes<32> responder_to_initiator) {
  hkdf<2>(*engine_, ck_.expose(), {}, {initiator_to_responder, responder_to_initiator});
}

void SymmetricState::initialize_key(FixedView<32> key) {
  k_ = CipherKey(key);
  n_ = 0;
  has_key_ = true;
}

// AESGCM of section 12.4: 32 bits of zeros and the big-endian counter. A handshake uses a few.
ByteArray<crypto::kNonceBytes> SymmetricState::next_nonce() {
  ByteArray<crypto::kNonceBytes> nonce{};
  std::ranges::copy(be_bytes(n_++), nonce.begin() + 4);
  return nonce;
}

}  // namespace sealine::noise::detail
