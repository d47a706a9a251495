#include "stt/detail/rotation.hpp"

#include <algorithm>
#include <utility>

namespace sealine::stt::detail {
namespace {

Result<EpochKeys> next_keys(crypto::Engine& engine, const EpochKeys& keys, FixedView<32> nonce,
                            const crypto::KeyPair* ours,
                            const std::optional<ByteArray<32>>& theirs) {
  if (ours == nullptr) return keys.next(nonce, {});
  crypto::SharedSecret shared;
  SEALINE_TRY(engine.x25519(ours->secret.expose(), *theirs, shared.writable()));
  return keys.next(nonce, shared.expose());
}

}  // namespace

SendRotation::SendRotation(crypto::Engine& engine, crypto::Rng& rng, EpochKeys keys,
                           bool with_ephemeral, const Limits& limits, TimePoint now)
    : engine_(&engine),
      rng_(&rng),
      keys_(std::move(keys)),
      with_ephemeral_(with_ephemeral),
      limits_(limits),
      begun_(now) {}

unsigned SendRotation::halves(TimePoint now) const noexcept {
  const auto of = [](std::uint64_t value, std::uint64_t limit) {
    return static_cast<unsigned>(
        std::min<std::uint64_t>(4, value / std::max<std::uint64_t>(1, limit / 2)));
  };
  const auto age = static_cast<std::uint64_t>((now - begun_).count());
  const auto most = static_cast<std::uint64_t>(limits_.rotate_after.count());
  return std::max(
      {of(bytes_, limits_.rotate_bytes), of(frames_, limits_.rotate_frames), of(age, most)});
}

void SendRotation::count(std::size_t plaintext_bytes) noexcept {
  bytes_ += plaintext_bytes;
  ++frames_;
}

bool SendRotation::advance(TimePoint now) {
  if (!next_ || (halves(now) < 2 && !requested_)) return false;
  keys_ = std::move(*next_);
  next_.reset();
  requested_ = false;
  stopped_at_.reset();
  is_time_over_ = false;
  begun_ = now;
  bytes_ = 0;
  frames_ = 0;
  return true;
}

bool SendRotation::is_due(TimePoint now) const noexcept {
  if (is_under_way()) return repeats_ && asked_;
  return requested_ || halves(now) >= 1;
}

std::optional<Rotate> SendRotation::poll(TimePoint now) {
  if (repeats_ && asked_) {
    repeats_ = false;
    return asked_->message;
  }
  if (!is_due(now)) return std::nullopt;
  Asked asked;
  asked.message.epoch = keys_.epoch() + 1;
  rng_->fill(asked.message.nonce);
  if (with_ephemeral_) {
    asked.ephemeral = crypto::KeyPair::generate(*engine_, *rng_);
    asked.message.ephemeral = asked.ephemeral->public_key.bytes;
  }
  asked_ = std::move(asked);
  return asked_->message;
}

Result<> SendRotation::handle_rotated(const Rotated& message) {
  // The answers to rotations that are over may come again, and late.
  const Epoch last = next_ ? next_->epoch() : keys_.epoch();
  if (message.epoch > 0 && message.epoch <= last) return {};
  if (!asked_) return fail(Errc::protocol_broken);
  if (message.epoch != asked_->message.epoch || message.ephemeral.has_value() != with_ephemeral_) {
    return fail(Errc::protocol_broken);
  }
  SEALINE_TRY(keys,
              next_keys(*engine_, keys_, asked_->message.nonce,
                        asked_->ephemeral ? &*asked_->ephemeral : nullptr, message.ephemeral));
  next_.emplace(std::move(keys));
  asked_.reset();
  is_time_over_ = false;
  return {};
}

bool SendRotation::must_stop(TimePoint now) const noexcept {
  const bool stop = asked_.has_value() && halves(now) >= 4;
  if (!stop) stopped_at_.reset();
  if (stop && !stopped_at_) stopped_at_ = now;
  return stop;
}

std::optional<TimePoint> SendRotation::poll_timeout() const noexcept {
  if (stopped_at_) return *stopped_at_ + limits_.rotation_timeout;
  if (is_time_over_) return std::nullopt;
  // Half an epoch's time: ROTATE; the whole: the next keys.
  const Duration half = limits_.rotate_after / 2;
  if (next_) return begun_ + limits_.rotate_after;
  if (!asked_) return begun_ + half;
  return std::nullopt;
}

void SendRotation::handle_timeout(TimePoint now) noexcept {
  const auto due = poll_timeout();
  if (due && now >= *due && !stopped_at_) is_time_over_ = true;
}

bool SendRotation::has_timed_out(TimePoint now) const noexcept {
  return stopped_at_ && now >= *stopped_at_ + limits_.rotation_timeout;
}

ReceiveRotation::ReceiveRotation(crypto::Engine& engine, crypto::Rng& rng, EpochKeys keys,
                                 bool with_ephemeral)
    : engine_(&engine), rng_(&rng), keys_(std::move(keys)), with_ephemeral_(with_ephemeral) {}

Result<Rotated> ReceiveRotation::handle_rotate(const Rotate& message) {
  if (answered_ && message == answered_->question) return answered_->answer;
  // One that is over, and was overtaken by what followed: its sender needs no answer any more.
  if (answered_ && message.epoch > 0 && message.epoch <= keys_.epoch()) return answered_->answer;
  if (next_ || message.epoch != keys_.epoch() + 1 ||
      message.ephemeral.has_value() != with_ephemeral_) {
    return fail(Errc::protocol_broken);
  }
  Rotated answer{.epoch = message.epoch, .ephemeral = std::nullopt};
  std::optional<crypto::KeyPair> ours;
  if (with_ephemeral_) {
    ours = crypto::KeyPair::generate(*engine_, *rng_);
    answer.ephemeral = ours->public_key.bytes;
  }
  SEALINE_TRY(
      keys, next_keys(*engine_, keys_, message.nonce, ours ? &*ours : nullptr, message.ephemeral));
  next_.emplace(std::move(keys));
  answered_ = {.question = message, .answer = answer};
  return answer;
}

EpochKeys* ReceiveRotation::keys(Epoch epoch, PacketNumber number) noexcept {
  if (epoch == keys_.epoch()) return &keys_;
  if (next_ && epoch == next_->epoch()) return &*next_;
  return old_ && epoch == old_->keys.epoch() && number < old_->below ? &old_->keys : nullptr;
}

bool ReceiveRotation::handle_opened(Epoch epoch, PacketNumber number,
                                    std::optional<TimePoint> keep_old_until) {
  if (epoch == keys_.epoch()) {
    if (old_) old_->below = std::min(old_->below, number);
    return false;
  }
  if (!next_ || epoch != next_->epoch()) return false;  // of the old one
  old_.reset();
  if (keep_old_until) {
    old_.emplace(Old{.keys = std::move(keys_), .below = number, .until = *keep_old_until});
  }
  keys_ = std::move(*next_);
  next_.reset();
  return true;
}

void ReceiveRotation::handle_timeout(TimePoint now) {
  if (old_ && now >= old_->until) old_.reset();
}

std::optional<TimePoint> ReceiveRotation::poll_timeout() const noexcept {
  return old_ ? std::optional(old_->until) : std::nullopt;
}

std::optional<Rotated> ReceiveRotation::last_answer() const {
  return answered_ ? std::optional(answered_->answer) : std::nullopt;
}

}  // namespace sealine::stt::detail
