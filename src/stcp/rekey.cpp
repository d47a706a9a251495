#include "stcp/detail/rekey.hpp"

#include <algorithm>

namespace sealine::stcp::detail {

bool Rekey::handle(RekeyEvent event, OwnHalf half) {
  const std::optional<RekeyState> next = next_rekey_state(state_, event, half);
  if (!next) return false;
  state_ = *next;
  if (state_ == RekeyState::idle || state_ == RekeyState::r1_unanswered) wipe();
  return true;
}

crypto::PublicKey Rekey::make_r1(crypto::Engine& engine, crypto::Rng& rng) {
  const crypto::KeyPair pair = crypto::KeyPair::generate(engine, rng);
  std::ranges::copy(pair.secret.expose(), x_.writable().begin());
  share_ = pair.public_key;
  return share_;
}

Result<> Rekey::take_r1(crypto::Engine& engine, crypto::Rng& rng, const TranscriptHash& h,
                        const crypto::PublicKey& client_share) {
  const crypto::KeyPair pair = crypto::KeyPair::generate(engine, rng);
  SEALINE_TRY(engine.x25519(pair.secret.expose(), client_share.view(), x_.writable()));
  share_ = pair.public_key;
  engine.sha256({h, client_share.bytes, share_.bytes}, hk_);
  return {};
}

Result<> Rekey::take_r2(crypto::Engine& engine, const TranscriptHash& h,
                        const crypto::PublicKey& server_share) {
  const crypto::PrivateKey secret(x_.expose());
  SEALINE_TRY(engine.x25519(secret.expose(), server_share.view(), x_.writable()));
  engine.sha256({h, share_.bytes, server_share.bytes}, hk_);
  return {};
}

void Rekey::wipe() noexcept {
  x_.wipe();
  secure_wipe(hk_);
  share_ = {};
}

std::string_view to_string(RekeyState state) noexcept {
  switch (state) {
    case RekeyState::idle:
      return "idle";
    case RekeyState::r1_due:
      return "r1_due";
    case RekeyState::r2_awaited:
      return "r2_awaited";
    case RekeyState::r3_due:
      return "r3_due";
    case RekeyState::r2_due:
      return "r2_due";
    case RekeyState::r3_awaited:
      return "r3_awaited";
    case RekeyState::r1_unanswered:
      return "r1_unanswered";
  }
  return "?";
}

std::string_view to_string(RekeyEvent event) noexcept {
  switch (event) {
    case RekeyEvent::wanted:
      return "wanted";
    case RekeyEvent::r1_sealed:
      return "r1_sealed";
    case RekeyEvent::r2_sealed:
      return "r2_sealed";
    case RekeyEvent::r3_sealed:
      return "r3_sealed";
    case RekeyEvent::r1_opened:
      return "r1_opened";
    case RekeyEvent::r2_opened:
      return "r2_opened";
    case RekeyEvent::r3_opened:
      return "r3_opened";
    case RekeyEvent::closing:
      return "closing";
    case RekeyEvent::close_opened:
      return "close_opened";
  }
  return "?";
}

}  // namespace sealine::stcp::detail
