#pragma once

#include "sealine/stx/limits.hpp"
#include "stx/detail/ring.hpp"

#include <algorithm>
#include <cstdint>

namespace sealine::stx::detail {

/// The places of blocks and ZERO runs in the order of their first sending, over all lanes, from the
/// oldest that `received` does not cover to the newest. A resend keeps the place of its block, or
/// a full window would have no room for it. spec: stx.md#acknowledgement
class SendWindow {
 public:
  explicit SendWindow(std::uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  /// A single frame fits always.
  [[nodiscard]] bool has_room(std::uint64_t bytes) const noexcept {
    return used_bytes_ == 0 || used_bytes_ + counted(bytes) <= limit_bytes_;
  }

  /// Returns the place.
  std::uint64_t add(std::uint64_t bytes) {
    places_.push_back({.bytes = counted(bytes), .covered = false});
    used_bytes_ += counted(bytes);
    return first_ + places_.size() - 1;
  }

  void cover(std::uint64_t place) {
    if (place < first_) return;
    places_[place - first_].covered = true;
    while (!places_.empty() && places_.front().covered) {
      used_bytes_ -= places_.pop_front().bytes;
      ++first_;
    }
  }

  [[nodiscard]] std::uint64_t used_bytes() const noexcept { return used_bytes_; }

 private:
  struct Place {
    std::uint64_t bytes = 0;
    bool covered = false;
  };

  static std::uint64_t counted(std::uint64_t bytes) { return std::max(bytes, kWindowFrameBytes); }

  std::uint64_t limit_bytes_;
  std::uint64_t used_bytes_ = 0;
  std::uint64_t first_ = 0;
  Ring<Place> places_;
};

}  // namespace sealine::stx::detail
