#pragma once

#include "sealine/base/error.hpp"
#include "sealine/stx/limits.hpp"
#include "sealine/stx/message.hpp"
#include "stx/detail/ring.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::stx::detail {

/// What a frame of a lane was, until ACK.received covers it.
struct SentFrame {
  enum class Kind : std::uint8_t { control, drop, zero, block };

  std::uint64_t place = 0;  ///< in the window: block, zero
  ItemId item = 0;
  std::uint32_t block = 0;  ///< of zero: the first
  Kind kind = Kind::control;
  bool naked = false;  ///< NAKed, or its lane has ended: its block goes in another frame
};

/// The frames of one lane from `received` to the newest, and the rules that ACK and NAK meet.
/// spec: stx.md#acknowledgement
class SentFrames {
 public:
  /// So many frames that nobody has acknowledged: then the lane waits.
  static constexpr std::size_t kMost = 16384;

  [[nodiscard]] bool is_full() const noexcept { return frames_.size() >= kMost; }

  [[nodiscard]] std::uint64_t next_counter() const noexcept { return received_ + frames_.size(); }

  /// Returns the frame's counter.
  std::uint64_t add(SentFrame frame) {
    frames_.push_back(frame);
    return next_counter() - 1;
  }

  /// Errors: protocol_broken: beyond what was sent, going back, durable above received.
  [[nodiscard]] Result<> check(const Ack& ack) const {
    if (ack.received > next_counter() || ack.received < received_ || ack.durable < durable_ ||
        ack.durable > ack.received) {
      return fail(Errc::protocol_broken);
    }
    return {};
  }

  /// The oldest frame below ack.received; call until has_covered is false.
  [[nodiscard]] bool has_covered(const Ack& ack) const noexcept { return received_ < ack.received; }

  SentFrame take_covered() {
    ++received_;
    return frames_.pop_front();
  }

  void set_durable(std::uint64_t durable) noexcept { durable_ = durable; }

  /// The frame of a NAK, marked. Errors: protocol_broken: below received, not yet sent, twice.
  [[nodiscard]] Result<SentFrame> take_nak(std::uint64_t counter) {
    if (counter < received_ || counter >= next_counter()) return fail(Errc::protocol_broken);
    SentFrame& frame = frames_[counter - received_];
    if (frame.naked) return fail(Errc::protocol_broken);
    frame.naked = true;
    return frame;
  }

  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }

  [[nodiscard]] Ring<SentFrame>& waiting() noexcept { return frames_; }

 private:
  Ring<SentFrame> frames_;
  std::uint64_t received_ = 0;
  std::uint64_t durable_ = 0;
};

/// Which blocks ACK.durable of a lane speaks of: the caller of a sender may let go what it kept of
/// them. Where durable lags so far that the marks are full, a later mark stands for the ones left
/// out: news comes later, never wrongly.
class DurableMarks {
 public:
  struct Mark {
    std::uint64_t counter = 0;
    ItemId item = 0;
    std::uint32_t block = 0;
  };

  void add(Mark mark) {
    if (marks_.size() < kMost) {
      marks_.push_back(mark);
    } else {
      marks_.back() = mark;
    }
  }

  [[nodiscard]] bool has_below(std::uint64_t durable) const {
    return !marks_.empty() && marks_[0].counter < durable;
  }

  Mark take() { return marks_.pop_front(); }

 private:
  static constexpr std::size_t kMost = 8192;

  Ring<Mark> marks_;
};

}  // namespace sealine::stx::detail
