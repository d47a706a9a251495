#pragma once

#include "sealine/stx/message.hpp"
#include "stx/detail/ring.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::stx::detail {

/// A frame of a lane from its head to the moment when it counts as received.
struct ArrivedFrame {
  enum class Kind : std::uint8_t {
    control,
    block,
    nothing,  ///< NAKed, or a block of an item that is over
  };

  ItemId item = 0;
  std::uint32_t block = 0;
  std::uint32_t bytes = 0;  ///< on the wire
  Kind kind = Kind::control;
  bool handed_in = false;
};

/// The frames of one lane that were begun and are not all handed in: blocks come back from other
/// threads in any order, `received` counts the leading ones.
class Arrivals {
 public:
  /// More under work than any caller has; a caller that goes on is stopped.
  static constexpr std::size_t kMost = 65536;

  [[nodiscard]] bool is_full() const noexcept { return frames_.size() >= kMost; }

  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }

  [[nodiscard]] std::uint64_t next_counter() const noexcept { return received_ + frames_.size(); }

  void add(const ArrivedFrame& frame) { frames_.push_back(frame); }

  /// nullptr if it was handed in already.
  [[nodiscard]] ArrivedFrame* find(std::uint64_t counter) {
    if (counter < received_ || counter >= next_counter()) return nullptr;
    ArrivedFrame& frame = frames_[counter - received_];
    return frame.handed_in ? nullptr : &frame;
  }

  [[nodiscard]] bool has_received() { return !frames_.empty() && frames_.front().handed_in; }

  ArrivedFrame take_received() {
    ++received_;
    return frames_.pop_front();
  }

 private:
  Ring<ArrivedFrame> frames_;
  std::uint64_t received_ = 0;
};

}  // namespace sealine::stx::detail
