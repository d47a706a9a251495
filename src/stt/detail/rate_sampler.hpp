#pragma once

#include "sealine/base/time.hpp"
#include "stt/detail/congestion.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace sealine::stt::detail {

/// What a datagram takes along when it is sent, so that its ACK tells a rate.
struct RateMark {
  TimePoint first_sent;
  TimePoint delivered_time;
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;
  std::uint64_t tx_in_flight = 0;
  bool is_app_limited = false;
};

/// Measures how fast the path delivers (draft-ietf-ccwg-bbr, 4.1.2). One for each path.
///                                                                       spec: stt.md#delivery-rate
class RateSampler {
 public:
  explicit RateSampler(TimePoint now) : first_sent_(now), delivered_time_(now) {}

  /// A datagram leaves; `in_flight` without it.
  [[nodiscard]] RateMark handle_sent(std::size_t bytes, std::size_t in_flight,
                                     TimePoint now) noexcept;

  void handle_lost(std::size_t bytes) noexcept { lost_ += bytes; }

  void handle_app_limited(std::size_t in_flight) noexcept;

  /// Bytes of a datagram were acknowledged.
  void handle_acked(std::size_t bytes, TimePoint now) noexcept;
  /// The part of a rate sample that is measured here. After handle_acked for all that an ACK
  /// acknowledges, with what the newest of it took along, and when that was sent.
  [[nodiscard]] RateSample take(const RateMark& newest, TimePoint sent, Duration min_rtt) noexcept;

  [[nodiscard]] std::uint64_t delivered() const noexcept { return delivered_; }

  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

  [[nodiscard]] bool is_app_limited() const noexcept { return app_limited_until_.has_value(); }

 private:
  std::uint64_t delivered_ = 0;
  std::uint64_t lost_ = 0;
  TimePoint first_sent_;  ///< of the datagrams that the next sample covers
  TimePoint delivered_time_;
  std::optional<std::uint64_t> app_limited_until_;  ///< of `delivered_`
};

}  // namespace sealine::stt::detail
