#pragma once

#include "sealine/base/time.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace sealine::stt::detail {

/// Memory for a stream's bytes; what it holds at first is anything.
struct Ring {
  std::unique_ptr<std::uint8_t[]> bytes;
  std::size_t size = 0;
};

/// The rings of a session's streams between one use and the next. Bulk data drain a ring thousands
/// of times a second, and memory that is fresh from the system costs a page fault every 4 KiB.
///
/// It keeps 1 MiB in 16 rings at most, and nothing once the session has been quiet for a second:
/// after a drain call watch, then poll_timeout. One thread.
class RingPool {
 public:
  /// One of at least that many bytes, not 0. Its size is a power of two where `bytes` always is.
  [[nodiscard]] Ring take(std::size_t bytes);
  void give_back(Ring ring);

  /// Begins to wait for quiet, where something is kept.
  void watch(TimePoint now);
  void handle_timeout(TimePoint now);

  [[nodiscard]] std::optional<TimePoint> poll_timeout() const noexcept { return due_; }

  [[nodiscard]] std::size_t kept_bytes() const noexcept { return kept_bytes_; }

 private:
  std::vector<Ring> kept_;
  std::size_t kept_bytes_ = 0;
  bool was_used_ = false;  ///< since the last timeout
  std::optional<TimePoint> due_;
};

}  // namespace sealine::stt::detail
