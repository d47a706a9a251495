#pragma once

#include "sealine/base/time.hpp"

#include <chrono>
#include <cstdint>

namespace sealine::stcp::detail {

/// Counts the records that bring no application bytes.                          spec:
/// stcp.md#limits
///
/// More than 64 * (1 + t) since the last one that did, t = whole seconds since then, are a fault
/// (F15).
class RecordBudget {
 public:
  static constexpr std::uint64_t kRecordsEachSecond = 64;

  void start(TimePoint now) { brought_data(now); }

  void brought_data(TimePoint now) {
    since_ = now;
    count_ = 0;
  }

  /// Counts one more; false if it is one too many.
  [[nodiscard]] bool take_empty(TimePoint now) {
    ++count_;
    return count_ <= kRecordsEachSecond * (1 + whole_seconds(now - since_));
  }

  /// Whether one more would still be taken.
  [[nodiscard]] bool has_room(TimePoint now) const {
    return count_ < kRecordsEachSecond * (1 + whole_seconds(now - since_));
  }

  [[nodiscard]] static std::uint64_t whole_seconds(Duration passed) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(passed).count());
  }

 private:
  TimePoint since_{};
  std::uint64_t count_ = 0;
};

/// Bounds how often a client may ask a server for the work of a rekey.            spec:
/// stcp.md#rekey
///
/// The n-th R1 with n > 16 + whole seconds since ENCRYPTED + whole MiB received is a fault (F15).
class RekeyBudget {
 public:
  static constexpr std::uint64_t kFree = 16;
  static constexpr unsigned kMebibyteLog2 = 20;

  /// Counts one more; false if it is one too many.
  [[nodiscard]] bool take(Duration since_encrypted, std::uint64_t received_bytes) {
    ++count_;
    return count_ <=
           kFree + RecordBudget::whole_seconds(since_encrypted) + (received_bytes >> kMebibyteLog2);
  }

 private:
  std::uint64_t count_ = 0;
};

}  // namespace sealine::stcp::detail
