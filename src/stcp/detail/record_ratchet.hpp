#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/stcp/limits.hpp"
#include "stcp/detail/record.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::stcp::detail {

using ChainKey = Secret<32, struct ChainKeyTag>;
using SharedX = Secret<32, struct RekeySecretTag>;

/// The keys of one direction, one for each record.                              spec:
/// stcp.md#ratchet
///
/// STEP turns CK into the next CK, the key and the IV of one record, and erases the old CK. It runs
/// when the record's keys are first asked for, so at most one record ahead: never past a record
/// that changes the epoch.
class RecordRatchet {
 public:
  RecordRatchet() = default;

  /// epoch and seq are 0.
  void start(const ChainKey& ck);

  /// Computes the keys of the next record, if they are not there yet.
  void prepare(crypto::Engine& engine) {
    if (!ready_) step(engine);
  }

  /// Key and IV of the next record; after prepare().
  [[nodiscard]] FixedView<crypto::kKeyBytes> key() const& noexcept {
    return state_.expose().subspan<kKeyAt, crypto::kKeyBytes>();
  }

  [[nodiscard]] FixedView<kIvBytes> iv() const& noexcept {
    return state_.expose().subspan<kIvAt, kIvBytes>();
  }

  [[nodiscard]] FixedView<crypto::kNonceBytes> nonce() const& noexcept {
    return iv().first<crypto::kNonceBytes>();
  }

  /// The record was sealed or opened: its key is erased.
  void advance() {
    secure_wipe(state_.writable().subspan<kKeyAt>());
    ready_ = false;
    ++sequence_;
  }

  /// The epoch changes: CK = L(HKDF-Extract(CK, x), "stcp1 rk", hk). Right after the record that
  /// ends the old one.
  void mix(crypto::Engine& engine, const SharedX& x, FixedView<crypto::kHashBytes> hk);

  void wipe() noexcept {
    state_.wipe();
    ready_ = false;
  }

  [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }

  [[nodiscard]] std::uint16_t epoch() const noexcept { return epoch_; }

 private:
  static constexpr std::size_t kKeyAt = 32;
  static constexpr std::size_t kIvAt = 64;
  static constexpr std::size_t kStepBytes = 80;

  void step(crypto::Engine& engine);

  Secret<kStepBytes, struct RatchetStateTag> state_;  ///< CK || RK || IV
  std::uint64_t sequence_ = 0;
  std::uint16_t epoch_ = 0;
  bool ready_ = false;
};

}  // namespace sealine::stcp::detail
