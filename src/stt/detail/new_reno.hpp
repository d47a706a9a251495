#pragma once

#include "stt/detail/congestion.hpp"

namespace sealine::stt::detail {

/// Additive increase, halving (RFC 9002, 7): what the others are measured against.
///                                                                    spec: stt.md#new-reno
class NewReno final : public Congestion {
 public:
  explicit NewReno(const RecoveryOptions& options);

  void on_sent(const SentSample& /*sent*/) override {}

  void on_acked(const RateSample& sample) override;
  void on_lost(const LossSample& loss) override;
  void on_ecn_ce(const CongestionMark& mark) override;
  void on_persistent_congestion(TimePoint now) override;
  void on_spurious(TimePoint now) override;

  void on_app_limited(TimePoint /*now*/, std::size_t /*in_flight*/) override {}

  void set_datagram_bytes(std::size_t bytes) override { datagram_bytes_ = bytes; }

  [[nodiscard]] std::size_t window_bytes() const override { return window_; }

  [[nodiscard]] std::uint64_t pacing_rate() const override;

 private:
  void reduce();

  [[nodiscard]] std::size_t least() const { return 2 * datagram_bytes_; }

  [[nodiscard]] bool is_in_slow_start() const { return window_ < threshold_; }

  std::size_t datagram_bytes_;
  std::size_t window_;
  std::size_t threshold_;
  std::size_t acked_ = 0;  ///< towards the next step of the window
  Duration smoothed_rtt_;
  std::size_t window_before_ = 0;  ///< the last reduction
  std::size_t threshold_before_;
};

}  // namespace sealine::stt::detail
