#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/stt/control.hpp"
#include "sealine/stt/keys.hpp"
#include "sealine/stt/limits.hpp"

#include <cstdint>
#include <optional>

/// Each direction has its epochs.                                        spec: stt.md#rotation
namespace sealine::stt::detail {

/// The sender's side: ROTATE at half of a threshold, the next epoch from the whole on once ROTATED
/// came, silence at twice of it until it does.
class SendRotation {
 public:
  SendRotation(crypto::Engine& engine, crypto::Rng& rng, EpochKeys keys, bool with_ephemeral,
               const Limits& limits, TimePoint now);

  /// The keys of the next frame; switches epochs when it is time. True: they have just changed.
  [[nodiscard]] bool advance(TimePoint now);

  [[nodiscard]] EpochKeys& keys() noexcept { return keys_; }

  [[nodiscard]] Epoch epoch() const noexcept { return keys_.epoch(); }

  void count(std::size_t plaintext_bytes) noexcept;

  [[nodiscard]] bool is_due(TimePoint now) const noexcept;
  /// ROTATE, if one is to be sent now.
  [[nodiscard]] std::optional<Rotate> poll(TimePoint now);

  /// It did not arrive: the same again, unless its answer came by now.
  void handle_lost() noexcept { repeats_ = asked_.has_value(); }

  /// Errors: protocol_broken, dh_all_zero: the session ends with CLOSE{4}.
  [[nodiscard]] Result<> handle_rotated(const Rotated& message);

  void request() noexcept { requested_ = true; }

  [[nodiscard]] bool is_under_way() const noexcept {
    return asked_.has_value() || next_.has_value();
  }

  /// No DATA until ROTATED comes.
  [[nodiscard]] bool must_stop(TimePoint now) const noexcept;
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const noexcept;
  /// Whatever is due goes with the next frame, which may have to wait.
  void handle_timeout(TimePoint now) noexcept;
  /// It has been stopped for too long.
  [[nodiscard]] bool has_timed_out(TimePoint now) const noexcept;

 private:
  struct Asked {
    Rotate message;
    std::optional<crypto::KeyPair> ephemeral;
  };

  /// How far into the epoch we are, in units of half a threshold.
  [[nodiscard]] unsigned halves(TimePoint now) const noexcept;

  crypto::Engine* engine_;
  crypto::Rng* rng_;
  EpochKeys keys_;
  bool with_ephemeral_;
  Limits limits_;
  TimePoint begun_;
  std::uint64_t bytes_ = 0;
  std::uint64_t frames_ = 0;
  bool requested_ = false;
  bool repeats_ = false;
  bool is_time_over_ = false;  ///< the epoch's, or half of it: nothing more to wait for
  std::optional<Asked> asked_;
  std::optional<EpochKeys> next_;
  mutable std::optional<TimePoint> stopped_at_;
};

/// The receiver's side: answers, and opens frames of the old and the new epoch.
class ReceiveRotation {
 public:
  ReceiveRotation(crypto::Engine& engine, crypto::Rng& rng, EpochKeys keys, bool with_ephemeral);

  /// The answer. Errors: protocol_broken, dh_all_zero: CLOSE{4}.
  [[nodiscard]] Result<Rotated> handle_rotate(const Rotate& message);
  /// The keys of a frame; null: of no epoch, or of one that was over when the frame was sent.
  [[nodiscard]] EpochKeys* keys(Epoch epoch, PacketNumber number) noexcept;
  /// A frame of this epoch verified. True: the first of a new one. The old keys are gone then; or,
  /// where frames overtake one another, they open until `keep_old_until` what was sent before.
  [[nodiscard]] bool handle_opened(Epoch epoch, PacketNumber number,
                                   std::optional<TimePoint> keep_old_until);
  void handle_timeout(TimePoint now);
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const noexcept;
  /// The last answer, for the case that it was lost.
  [[nodiscard]] std::optional<Rotated> last_answer() const;

  [[nodiscard]] Epoch epoch() const noexcept { return keys_.epoch(); }

 private:
  struct Answered {
    Rotate question;
    Rotated answer;
  };

  struct Old {
    EpochKeys keys;
    PacketNumber below = 0;  ///< the first number of the epoch that followed, as far as is known
    TimePoint until;
  };

  crypto::Engine* engine_;
  crypto::Rng* rng_;
  EpochKeys keys_;
  bool with_ephemeral_;
  std::optional<EpochKeys> next_;
  std::optional<Old> old_;
  std::optional<Answered> answered_;
};

}  // namespace sealine::stt::detail
