#include "stt/detail/rate_sampler.hpp"

#include <algorithm>

namespace sealine::stt::detail {

RateMark RateSampler::handle_sent(std::size_t bytes, std::size_t in_flight,
                                  TimePoint now) noexcept {
  // After an idle time nothing before it belongs to the next measurement.
  if (in_flight == 0) {
    first_sent_ = now;
    delivered_time_ = now;
  }
  return {.first_sent = first_sent_,
          .delivered_time = delivered_time_,
          .delivered = delivered_,
          .lost = lost_,
          .tx_in_flight = in_flight + bytes,
          .is_app_limited = is_app_limited()};
}

void RateSampler::handle_app_limited(std::size_t in_flight) noexcept {
  app_limited_until_ = delivered_ + in_flight;
}

void RateSampler::handle_acked(std::size_t bytes, TimePoint now) noexcept {
  delivered_ += bytes;
  delivered_time_ = now;
}

RateSample RateSampler::take(const RateMark& newest, TimePoint sent, Duration min_rtt) noexcept {
  first_sent_ = sent;
  if (app_limited_until_ && delivered_ > *app_limited_until_) app_limited_until_.reset();

  RateSample sample;
  sample.now = delivered_time_;
  sample.delivered = delivered_ - newest.delivered;
  sample.prior_delivered = newest.delivered;
  sample.tx_in_flight = newest.tx_in_flight;
  sample.lost = lost_ - newest.lost;
  sample.is_app_limited = newest.is_app_limited;
  sample.total_delivered = delivered_;
  sample.total_lost = lost_;
  // The slower of sending and acknowledging: ACKs that come in a heap make no path faster. What is
  // shorter than a round trip is such a heap, and no measurement.
  const Duration interval =
      std::max(sent - newest.first_sent, delivered_time_ - newest.delivered_time);
  if (interval >= min_rtt) sample.interval = interval;
  return sample;
}

}  // namespace sealine::stt::detail
