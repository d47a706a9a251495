#pragma once

#include "sealine/base/time.hpp"
#include "sealine/stt/recovery_options.hpp"
#include "stt/detail/congestion.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

namespace sealine::stt::detail {

/// The states of BBRv3, in the words of its draft.
enum class BbrState : std::uint8_t {
  startup,          ///< doubles the rate each round, until the pipe is full
  drain,            ///< lets the queue run off that startup made
  probe_bw_down,    ///< slower than the path: leaves room, looks what others want
  probe_bw_cruise,  ///< as fast as the path
  probe_bw_refill,  ///< one round at the path's rate, so that the pipe is full before
  probe_bw_up,      ///< faster than the path: is there more?
  probe_rtt,        ///< half a bandwidth-delay product, to see the way without a queue
};

/// BBRv3 (draft-ietf-ccwg-bbr): a model of the path, its bandwidth, its round trip without queue
/// and how much it bears in flight, from rates of delivery; loss matters where it exceeds 2 % of
/// what was in flight.                                                      spec: stt.md#congestion
///
/// A mark of a queue (ECN) counts as a loss above that threshold, once an episode. Chance (when the
/// next probe comes) is drawn from time and bytes: nobody gains from guessing it. Volumes are
/// bytes, rates bytes a second.
class Bbr final : public Congestion {
 public:
  static constexpr std::uint64_t kUnbounded = std::numeric_limits<std::uint64_t>::max();
  static constexpr double kUnboundedRate = std::numeric_limits<double>::infinity();
  static constexpr double kLossThreshold = 0.02;
  static constexpr double kLossDeviations = 2;  ///< standard ones, that are chance
  static constexpr double kBeta = 0.7;          ///< of a reduction
  static constexpr double kHeadroom = 0.15;     ///< of inflight_longterm, left to others
  static constexpr unsigned kFullRounds = 3;
  static constexpr double kFullGrowth = 1.25;
  static constexpr unsigned kStartupLossEvents = 6;
  static constexpr unsigned kDrainRounds = 3;
  static constexpr std::size_t kMinPipeDatagrams = 4;
  static constexpr Duration kMinRttWindow = std::chrono::seconds(10);
  static constexpr Duration kProbeRttInterval = std::chrono::seconds(5);
  static constexpr Duration kMaxBandwidthAge = std::chrono::seconds(5);  ///< of one cycle
  static constexpr Duration kProbeRttTime = std::chrono::milliseconds(200);

  Bbr(const RecoveryOptions& options, TimePoint now);

  void on_sent(const SentSample& sent) override;
  void on_acked(const RateSample& sample) override;
  void on_lost(const LossSample& loss) override;
  void on_ecn_ce(const CongestionMark& mark) override;
  void on_persistent_congestion(TimePoint now) override;
  void on_spurious(TimePoint now) override;
  void on_app_limited(TimePoint now, std::size_t in_flight) override;
  void set_datagram_bytes(std::size_t bytes) override;
  [[nodiscard]] std::size_t window_bytes() const override;
  [[nodiscard]] std::uint64_t pacing_rate() const override;

  // --- the model, for tests

  [[nodiscard]] BbrState state() const noexcept { return state_; }

  [[nodiscard]] double max_bandwidth() const noexcept;

  [[nodiscard]] double bandwidth_shortterm() const noexcept { return bw_shortterm_; }

  [[nodiscard]] std::uint64_t inflight_longterm() const noexcept { return inflight_longterm_; }

  [[nodiscard]] std::uint64_t inflight_shortterm() const noexcept { return inflight_shortterm_; }

  [[nodiscard]] bool has_filled_pipe() const noexcept { return full_bw_reached_; }

  [[nodiscard]] std::optional<Duration> min_rtt() const noexcept { return min_rtt_; }

 private:
  /// What the ACKs that come now tell about probes for bandwidth.
  enum class AckPhase : std::uint8_t {
    idle,
    refilling,
    probe_starting,  ///< more goes out, no ACK tells of it yet
    probe_feedback,
    probe_stopping,  ///< no more than usual goes out, ACKs still tell of the probe
  };

  /// The part of a sample that both an ACK and a loss have.
  struct Signal {
    std::uint64_t lost = 0;
    std::uint64_t tx_in_flight = 0;
    bool is_app_limited = false;
  };

  [[nodiscard]] bool is_probing_bw_state() const noexcept;  ///< one of the four of ProbeBW
  [[nodiscard]] bool is_accelerating() const noexcept;
  [[nodiscard]] bool is_marked_app_limited(std::uint64_t datagram, bool is_app_limited) const;

  [[nodiscard]] bool is_too_much(std::uint64_t lost, std::uint64_t in_flight) const;

  // --- the model (bbr.cpp)
  void update_latest_signals(const RateSample& sample);
  void update_round(const RateSample& sample);
  void update_max_bandwidth(const RateSample& sample);
  void update_congestion_signals(const RateSample& sample);
  void lower_shortterm_bounds();
  void update_ack_aggregation(const RateSample& sample);
  void update_min_rtt(const RateSample& sample);
  void reset_shortterm();
  void reset_congestion_signals();

  void start_round() noexcept { next_round_delivered_ = delivered_; }

  [[nodiscard]] double bandwidth() const noexcept;
  [[nodiscard]] std::uint64_t bdp(double gain) const;
  [[nodiscard]] std::uint64_t with_budget(std::uint64_t inflight) const;
  [[nodiscard]] std::uint64_t inflight_with_headroom() const;
  [[nodiscard]] std::uint64_t target_inflight() const;
  [[nodiscard]] std::uint64_t min_pipe() const noexcept;
  [[nodiscard]] std::uint64_t extra_acked() const;
  [[nodiscard]] std::uint64_t probe_rtt_window() const;

  // --- the states (bbr_states.cpp)
  void reset_full_bw(double baseline);
  void check_full_bw(const RateSample& sample);
  void check_startup_loss(const RateSample& sample);
  void leave_startup_for_loss();
  void enter_drain();
  void check_drain(const RateSample& sample);
  void start_down(TimePoint now);
  void start_refill();
  void start_up(const RateSample& sample);
  void update_cycle(const RateSample& sample);
  [[nodiscard]] bool adapt_longterm(const RateSample& sample);
  void advance_max_bandwidth(TimePoint now);
  void raise_longterm(const RateSample& sample);
  void raise_longterm_slope();
  void take_as_too_high(const Signal& signal, TimePoint now);
  [[nodiscard]] bool is_time_to_probe(TimePoint now) const;
  [[nodiscard]] bool is_time_to_go_down(const RateSample& sample);
  void check_probe_rtt(const RateSample& sample);
  void end_probe_rtt_if_done(TimePoint now);

  // --- control (bbr.cpp)
  void note_congestion();
  void save_state();
  void save_window();
  void restore_window();
  void set_pacing_rate(double gain);
  void set_window(const RateSample& sample);

  std::size_t datagram_bytes_;
  std::uint64_t initial_window_;
  std::uint64_t window_;
  std::uint64_t prior_window_ = 0;  ///< last good one, before recovery or ProbeRTT
  double pacing_rate_;
  BbrState state_ = BbrState::startup;

  // rounds
  std::uint64_t delivered_ = 0;
  std::uint64_t next_round_delivered_ = 0;
  std::uint64_t round_count_ = 0;
  bool round_start_ = false;

  // bandwidth: of the last cycle of probes and of this
  std::array<double, 2> max_bw_{};
  TimePoint max_bw_advanced_at_;
  double bw_shortterm_ = kUnboundedRate;
  double full_bw_ = 0;
  unsigned full_bw_count_ = 0;
  bool full_bw_now_ = false;
  bool full_bw_reached_ = false;

  // volume
  std::uint64_t inflight_longterm_ = kUnbounded;
  std::uint64_t inflight_shortterm_ = kUnbounded;

  // congestion
  double bw_latest_ = 0;
  std::uint64_t inflight_latest_ = 0;
  std::uint64_t loss_round_delivered_ = 0;
  bool loss_round_start_ = false;
  bool is_loss_in_round_ = false;
  std::uint64_t lost_in_round_ = 0;
  unsigned loss_events_ = 0;  ///< of this round: runs of lost datagrams
  std::optional<std::uint64_t> last_lost_;
  bool is_recovering_ = false;

  // undo
  std::optional<BbrState> undo_state_;
  double undo_bw_shortterm_ = kUnboundedRate;
  std::uint64_t undo_inflight_shortterm_ = kUnbounded;
  std::uint64_t undo_inflight_longterm_ = kUnbounded;

  // the cycle of probes
  AckPhase ack_phase_ = AckPhase::idle;
  bool is_probe_sample_ = false;
  bool prev_probe_too_high_ = false;
  bool prev_probe_precautionary_ = false;
  TimePoint cycle_began_{};
  Duration probe_wait_{};
  std::uint64_t rounds_since_probe_ = 0;
  std::uint64_t drain_start_round_ = 0;
  unsigned probe_up_rounds_ = 0;
  std::uint64_t probe_up_acked_ = 0;
  std::uint64_t probe_up_acked_per_increase_ = kUnbounded;

  // round trips
  Duration smoothed_rtt_{};
  std::optional<Duration> min_rtt_;
  TimePoint min_rtt_at_;
  std::optional<Duration> probe_rtt_min_;
  TimePoint probe_rtt_min_at_;
  bool probe_rtt_expired_ = false;
  std::optional<TimePoint> probe_rtt_done_at_;
  bool probe_rtt_round_done_ = false;
  bool idle_restart_ = false;

  // ProbeRTT sends little of its own will: what was sent then tells nothing about the path
  std::uint64_t limited_until_delivered_ = 0;
  std::optional<std::uint64_t> limited_datagram_;

  // aggregation of ACKs: the most of each of the last rounds
  static constexpr std::size_t kAggregationRounds = 10;
  std::array<std::uint64_t, kAggregationRounds + 1> extra_acked_{};
  TimePoint extra_acked_since_;
  std::uint64_t extra_acked_delivered_ = 0;
};

}  // namespace sealine::stt::detail
