#include "stt/detail/congestion.hpp"

#include "sealine/base/assert.hpp"
#include "stt/detail/cubic.hpp"
#include "stt/detail/new_reno.hpp"

#include <algorithm>
#include <limits>

namespace sealine::stt::detail {
namespace {

constexpr std::size_t kInitialDatagrams = 10;
constexpr std::size_t kInitialBytes = 14720;

}  // namespace

std::size_t initial_window(std::size_t datagram_bytes) noexcept {
  return std::min(kInitialDatagrams * datagram_bytes, std::max(2 * datagram_bytes, kInitialBytes));
}

std::uint64_t paced(std::size_t window_bytes, Duration smoothed_rtt, bool is_doubling) noexcept {
  const double gain = is_doubling ? 2.0 : 1.25;
  const double rtt = std::max(1.0, static_cast<double>(smoothed_rtt.count()));
  const double rate = gain * static_cast<double>(window_bytes) * 1e9 / rtt;
  constexpr double kMost = 1e15;  // no path is faster, and the numbers stay exact
  return static_cast<std::uint64_t>(std::clamp(rate, 1.0, kMost));
}

std::unique_ptr<Congestion> make_new_reno(const RecoveryOptions& options) {
  return std::make_unique<NewReno>(options);
}

std::unique_ptr<Congestion> make_cubic(const RecoveryOptions& options) {
  return std::make_unique<Cubic>(options);
}

std::unique_ptr<Congestion> make_congestion(const RecoveryOptions& options, TimePoint now) {
  switch (options.congestion) {
    case CongestionControl::new_reno:
      return make_new_reno(options);
    case CongestionControl::cubic:
      return make_cubic(options);
    case CongestionControl::bbr:
      return make_bbr(options, now);
  }
  SEALINE_ASSERT(false);
  return nullptr;
}

}  // namespace sealine::stt::detail
