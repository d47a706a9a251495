#pragma once

#include "sealine/base/time.hpp"

#include <cstddef>
#include <cstdint>

namespace sealine::stt::detail {

struct RateSample;

/// HyStart++ (RFC 9406): leaves the first slow start before it overflows a queue, by the round
/// trips that grow with it.                                              spec: stt.md#hystart
class HyStart {
 public:
  /// How much the window grows for `growth_bytes` acknowledged.
  [[nodiscard]] std::size_t growth(const RateSample& sample) noexcept;
  /// Five rounds of slower growth did not make it look wrong: slow start is over.
  [[nodiscard]] bool is_done() const noexcept;

 private:
  void begin_round(std::uint64_t next_datagram) noexcept;
  void take_round_trip(Duration rtt) noexcept;

  std::uint64_t round_end_ = 0;  ///< the first datagram of the next round
  unsigned samples_ = 0;
  Duration last_min_ = Duration::max();
  Duration current_min_ = Duration::max();
  Duration baseline_ = Duration::max();  ///< of conservative slow start
  bool is_conservative_ = false;
  unsigned conservative_rounds_ = 0;
};

}  // namespace sealine::stt::detail
