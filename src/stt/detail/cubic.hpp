#pragma once

#include "stt/detail/congestion.hpp"
#include "stt/detail/hystart.hpp"

#include <optional>

namespace sealine::stt::detail {

/// CUBIC (RFC 9438), in its first slow start HyStart++.                    spec: stt.md#cubic
class Cubic final : public Congestion {
 public:
  explicit Cubic(const RecoveryOptions& options);

  void on_sent(const SentSample& /*sent*/) override {}

  void on_acked(const RateSample& sample) override;
  void on_lost(const LossSample& loss) override;
  void on_ecn_ce(const CongestionMark& mark) override;
  void on_persistent_congestion(TimePoint now) override;
  void on_spurious(TimePoint now) override;

  void on_app_limited(TimePoint /*now*/, std::size_t /*in_flight*/) override {}

  void set_datagram_bytes(std::size_t bytes) override;

  [[nodiscard]] std::size_t window_bytes() const override;
  [[nodiscard]] std::uint64_t pacing_rate() const override;

 private:
  // Windows in bytes. The names of RFC 9438 behind them.
  struct Curve {
    double window = 0;                 ///< cwnd
    double threshold = 0;              ///< ssthresh; infinite at first
    double top = 0;                    ///< W_max
    double prior = 0;                  ///< cwnd_prior
    double friendly = 0;               ///< W_est
    double rise_s = 0;                 ///< K, seconds
    std::optional<TimePoint> started;  ///< of congestion avoidance
  };

  void slow_start(const RateSample& sample);
  void avoid(const RateSample& sample, double acked);
  void begin_avoidance(TimePoint now);
  void reduce();
  [[nodiscard]] double cubic_at(Duration since) const;

  [[nodiscard]] double least() const { return 2 * datagram_bytes_; }

  [[nodiscard]] bool is_in_slow_start() const { return now_.window < now_.threshold; }

  double datagram_bytes_;
  Curve now_;
  Curve before_;  ///< the last reduction
  HyStart hystart_;
  Duration smoothed_rtt_;
  std::optional<TimePoint> paused_;  ///< since nothing was there to fill the window
};

}  // namespace sealine::stt::detail
