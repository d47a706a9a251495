#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/stt/frame.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace sealine::stt {

/// K[d,e]: what all keys of a direction come from, for one epoch.        spec: stt.md#protection
using DirectionKey = Secret<32, struct SttDirectionKeyTag>;

/// The keys of one direction in one epoch: one for each stream, made when first needed; at most 256
/// are kept. One thread; `engine` outlives it.
class SEALINE_API EpochKeys {
 public:
  EpochKeys(crypto::Engine& engine, Epoch epoch, DirectionKey root);

  [[nodiscard]] Epoch epoch() const noexcept { return epoch_; }

  /// The keys of the next epoch; `x` is the rotation's Diffie-Hellman, empty without one.
  [[nodiscard]] EpochKeys next(FixedView<32> nonce, ByteView x) const;

  /// Seals frame `head` (all fields but epoch and payload_bytes are the caller's) into `out`, which
  /// takes the whole of it. Its plaintext is `prefix` followed by `body`. Returns its length.
  [[nodiscard]] std::size_t seal(FrameHead head, ByteView prefix, ByteView body, MutableBytes out);

  /// Opens a parsed frame in place; the plaintext is a view into its payload.
  /// Errors: tag_mismatch.
  [[nodiscard]] Result<MutableBytes> open(const FrameView& frame);

 private:
  struct Slot {
    StreamId stream = 0;
    std::unique_ptr<crypto::Aead> aead;
  };

  [[nodiscard]] crypto::Aead& key_of(StreamId stream);
  [[nodiscard]] ByteArray<12> nonce_of(PacketNumber number) const noexcept;

  static constexpr std::size_t kSlots = 256;

  crypto::Engine* engine_;
  Epoch epoch_;
  DirectionKey root_;
  Secret<12, struct SttIvTag> iv_;
  std::unique_ptr<std::array<Slot, kSlots>> slots_;  ///< by the low byte of the stream's id
};

}  // namespace sealine::stt
