#include "stt/detail/pacer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace sealine::stt::detail {
namespace {

// A train is what the rate gives in this time, and so much lateness of a timer is made good.
constexpr std::uint64_t kTrainsPerSecond = 1000;
constexpr double kNanosecondsPerSecond = 1e9;

}  // namespace

void Pacer::set_rate(std::uint64_t rate, TimePoint now) noexcept {
  if (rate == rate_) return;
  tokens_ = tokens_at(now);
  filled_ = now;
  rate_ = std::max<std::uint64_t>(rate, 1);
}

void Pacer::handle_sent(std::size_t bytes, TimePoint now) noexcept {
  tokens_ = tokens_at(now) - static_cast<double>(bytes);
  filled_ = now;
  is_in_train_ = tokens_ >= static_cast<double>(datagram_bytes_);
}

TimePoint Pacer::next_send(TimePoint now) const noexcept {
  const double tokens = tokens_at(now);
  const auto needed = static_cast<double>(is_in_train_ ? datagram_bytes_ : train_bytes());
  if (tokens >= needed - 0.5) return now;  // half a byte: what rounding may leave open
  const double wait = (needed - tokens) * kNanosecondsPerSecond / static_cast<double>(rate_);
  constexpr double kLongest = 1e18;  // 31 years: still a number of nanoseconds
  return now + Duration(static_cast<Duration::rep>(std::ceil(std::min(wait, kLongest))));
}

std::size_t Pacer::train_bytes() const noexcept {
  const auto bytes = static_cast<std::size_t>(rate_ / kTrainsPerSecond);
  return std::max(std::min({bytes, most_bytes_, kMaxTrainBytes}), 2 * datagram_bytes_);
}

double Pacer::tokens_at(TimePoint now) const noexcept {
  if (now <= filled_) return tokens_;
  const double seconds = static_cast<double>((now - filled_).count()) / kNanosecondsPerSecond;
  const auto late_bytes = std::min(static_cast<std::size_t>(rate_ / kTrainsPerSecond), most_bytes_);
  const auto most = static_cast<double>(train_bytes() + late_bytes);
  return std::max(tokens_, std::min(tokens_ + (seconds * static_cast<double>(rate_)), most));
}

}  // namespace sealine::stt::detail
