#pragma once

#include "sealine/base/time.hpp"
#include "sealine/stt/recovery_options.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

/// What recovery tells congestion control, and asks it.                 spec: stt.md#congestion
///
/// Everything counts in bytes and in datagrams: those with a REL frame, as the others are not in
/// flight. Datagrams have numbers of their own, from 0 by 1, over the session; `delivered` and
/// `lost` are totals of the path. In the words of draft-ietf-ccwg-bbr: C is the connection, P the
/// datagram (its state when it was sent), RS the rate sample.
namespace sealine::stt::detail {

/// A datagram that has just left.
struct SentSample {
  TimePoint now;
  std::uint64_t datagram = 0;      ///< its number
  std::size_t bytes = 0;           ///< of its frames
  std::size_t in_flight = 0;       ///< before it: 0 after an idle time
  std::uint64_t delivered = 0;     ///< C.delivered
  bool is_app_limited = false;     ///< C.app_limited: it carries the mark
  bool is_window_limited = false;  ///< no second one of full size fits the window now
};

/// What one ACK tells. `datagram` and everything of P is that of the newest datagram that was newly
/// acknowledged. Comes after the on_lost of the same ACK.
struct RateSample {
  TimePoint now;

  // --- the delivery rate, measured over `interval`
  std::uint64_t delivered = 0;        ///< RS.delivered: bytes, C.delivered - P.delivered
  Duration interval = {};             ///< RS.interval; zero: no rate (shorter than min_rtt)
  std::uint64_t prior_delivered = 0;  ///< P.delivered: a round ends once it reaches the mark
  std::uint64_t tx_in_flight = 0;     ///< P.tx_in_flight: in flight right after it was sent
  std::uint64_t lost = 0;             ///< RS.lost: C.lost - P.lost
  bool is_app_limited = false;        ///< P.is_app_limited

  // --- this ACK
  std::uint64_t newly_acked = 0;    ///< bytes
  std::uint64_t newly_lost = 0;     ///< bytes, by this ACK
  std::uint64_t growth_bytes = 0;   ///< of newly_acked: sent since the last episode of loss began
  std::size_t prior_in_flight = 0;  ///< before this ACK
  std::size_t in_flight = 0;        ///< after it
  /// The window was full when the datagram, or a later one, left.
  bool is_window_limited = false;
  /// The datagram was sent before the last episode of loss began: recovery is not over.
  bool is_recovering = false;

  // --- rounds
  std::uint64_t datagram = 0;
  std::uint64_t next_datagram = 0;    ///< the number that the next datagram gets
  std::uint64_t total_delivered = 0;  ///< C.delivered, after this ACK
  std::uint64_t total_lost = 0;       ///< C.lost, after this ACK

  // --- round trips
  std::optional<Duration> rtt;  ///< of this ACK, without the peer's delay; none: it told nothing
  Duration smoothed_rtt = {};
  Duration min_rtt = {};  ///< of the path

  /// The window was used: only then does its size prove anything (RFC 9002, 7.8).
  [[nodiscard]] bool may_grow() const noexcept { return is_window_limited || !is_app_limited; }

  /// Bytes a second; 0 without a valid interval.
  [[nodiscard]] std::uint64_t delivery_rate() const noexcept {
    if (interval <= Duration::zero()) return 0;
    return static_cast<std::uint64_t>(static_cast<double>(delivered) * 1e9 /
                                      static_cast<double>(interval.count()));
  }
};

/// The pace of a window: a quarter more than one in a round trip, so that pacing alone limits
/// nothing; twice as much where the window doubles in each. Bytes a second, at least 1.
[[nodiscard]] std::uint64_t paced(std::size_t window_bytes, Duration smoothed_rtt,
                                  bool is_doubling) noexcept;

/// A datagram that is taken for lost; never an MTU probe.
struct LossSample {
  TimePoint now;
  TimePoint sent;
  std::uint64_t datagram = 0;
  std::size_t bytes = 0;
  std::uint64_t prior_delivered = 0;  ///< P.delivered
  std::uint64_t tx_in_flight = 0;     ///< P.tx_in_flight
  std::uint64_t lost = 0;             ///< C.lost - P.lost, this one included
  bool is_app_limited = false;        ///< P.is_app_limited
  std::uint64_t total_delivered = 0;  ///< C.delivered
  std::uint64_t total_lost = 0;       ///< C.lost, this one included
  std::uint64_t next_datagram = 0;
  std::size_t in_flight = 0;  ///< without it
  /// It was sent after the last episode began: the window is reduced once for each (RFC 9002,
  /// 7.3.2).
  bool begins_episode = false;
};

/// An ACK said that more datagrams were marked CE.
struct CongestionMark {
  TimePoint now;
  std::uint64_t marks = 0;  ///< new ones
  std::size_t in_flight = 0;
  bool begins_episode = false;  ///< as in LossSample
};

/// Decides how much may be in flight, and how fast it goes out. One object for each path.
class Congestion {
 public:
  virtual ~Congestion() = default;

  virtual void on_sent(const SentSample& sent) = 0;
  virtual void on_acked(const RateSample& sample) = 0;
  virtual void on_lost(const LossSample& loss) = 0;
  virtual void on_ecn_ce(const CongestionMark& mark) = 0;
  /// Nothing came through for 3 PTO (RFC 9002, 7.6).
  virtual void on_persistent_congestion(TimePoint now) = 0;
  /// All that the last episode took for lost has arrived: its reduction was wrong.
  virtual void on_spurious(TimePoint now) = 0;
  /// Nothing more to send although the window has room.
  virtual void on_app_limited(TimePoint now, std::size_t in_flight) = 0;
  /// The path takes datagrams of another size.
  virtual void set_datagram_bytes(std::size_t bytes) = 0;

  [[nodiscard]] virtual std::size_t window_bytes() const = 0;
  /// Bytes a second, at least 1.
  [[nodiscard]] virtual std::uint64_t pacing_rate() const = 0;
};

/// RFC 9002, 7.2: ten datagrams, but at most 14,720 bytes unless two are more.
[[nodiscard]] std::size_t initial_window(std::size_t datagram_bytes) noexcept;

[[nodiscard]] std::unique_ptr<Congestion> make_new_reno(const RecoveryOptions& options);
[[nodiscard]] std::unique_ptr<Congestion> make_cubic(const RecoveryOptions& options);
[[nodiscard]] std::unique_ptr<Congestion> make_bbr(const RecoveryOptions& options, TimePoint now);
/// The one that the options name.
[[nodiscard]] std::unique_ptr<Congestion> make_congestion(const RecoveryOptions& options,
                                                          TimePoint now);

}  // namespace sealine::stt::detail
