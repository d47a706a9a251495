#include "stt/detail/hystart.hpp"

#include "stt/detail/congestion.hpp"

#include <algorithm>
#include <chrono>

namespace sealine::stt::detail {
namespace {

// RFC 9406, 4.3. Pacing makes its limit L on growth unnecessary.
constexpr Duration kMinThreshold = std::chrono::milliseconds(4);
constexpr Duration kMaxThreshold = std::chrono::milliseconds(16);
constexpr int kRoundTripDivisor = 8;
constexpr unsigned kSamples = 8;
constexpr std::size_t kConservativeDivisor = 4;
constexpr unsigned kConservativeRounds = 5;

}  // namespace

std::size_t HyStart::growth(const RateSample& sample) noexcept {
  if (sample.datagram >= round_end_) begin_round(sample.next_datagram);
  if (sample.rtt) take_round_trip(*sample.rtt);
  return is_conservative_ ? sample.growth_bytes / kConservativeDivisor : sample.growth_bytes;
}

bool HyStart::is_done() const noexcept { return conservative_rounds_ >= kConservativeRounds; }

void HyStart::begin_round(std::uint64_t next_datagram) noexcept {
  round_end_ = next_datagram;
  last_min_ = current_min_;
  current_min_ = Duration::max();
  samples_ = 0;
  if (is_conservative_) ++conservative_rounds_;
}

void HyStart::take_round_trip(Duration rtt) noexcept {
  current_min_ = std::min(current_min_, rtt);
  if (++samples_ < kSamples) return;
  if (is_conservative_) {
    if (current_min_ >= baseline_) return;
    is_conservative_ = false;  // it was jitter: on with slow start
    conservative_rounds_ = 0;
    baseline_ = Duration::max();
    return;
  }
  if (last_min_ == Duration::max()) return;
  const Duration threshold =
      std::clamp(last_min_ / kRoundTripDivisor, kMinThreshold, kMaxThreshold);
  if (current_min_ < last_min_ + threshold) return;
  baseline_ = current_min_;
  is_conservative_ = true;
  conservative_rounds_ = 0;
}

}  // namespace sealine::stt::detail
