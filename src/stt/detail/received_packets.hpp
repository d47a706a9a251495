#pragma once

#include "sealine/base/time.hpp"
#include "sealine/stt/control.hpp"
#include "sealine/stt/datagram.hpp"
#include "sealine/stt/frame.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sealine::stt::detail {

/// The fewest ACKs that are ever asked for: one for so many frames.       spec: stt.md#ack-policy
inline constexpr std::uint16_t kMaxAckFrequency = 64;

/// Which packet numbers came: the replay window, and what is acknowledged when.
///                                                       spec: stt.md#replay, stt.md#ack-policy
class ReceivedPackets {
 public:
  /// RFC 6479 window, wide enough for 1 Gbit/s and more.
  static constexpr std::size_t kWindowPackets = 16384;

  /// Not seen, and not too old to tell.
  [[nodiscard]] bool is_fresh(PacketNumber number) const noexcept;
  /// A frame that was opened and taken. `at_once`: ACK_NOW or FIN. After a whole batch of datagrams
  /// ask poll_ack once.
  void record(PacketNumber number, bool is_reliable, bool at_once, EcnMark mark, TimePoint now);
  /// ACK_FREQ of the peer: every `packets` (1 to 64), or after `max_delay`.
  void set_frequency(std::uint16_t packets, Duration max_delay) noexcept;

  /// An ACK is due at `now`, by count, time or what was seen.
  [[nodiscard]] bool is_ack_due(TimePoint now) const noexcept;
  /// There is something that no ACK of ours has reported: it may ride along.
  [[nodiscard]] bool has_news() const noexcept;
  /// When the delay of an ACK ends.
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const noexcept;
  /// The ACK to be sent now; from here on nothing is due until more comes. Only with has_news().
  [[nodiscard]] Ack take_ack(TimePoint now);
  /// Our ACK that reported `largest` was acknowledged: ranges up to there are not reported again.
  void handle_ack_of(PacketNumber largest) noexcept;

  /// Round trip of the path, which the delay follows.
  void set_round_trip(Duration smoothed) noexcept;
  /// min(25 ms, srtt / 4), but not below the granularity of timers: an answer of the application
  /// takes the ACK along.
  [[nodiscard]] static Duration delay_for(Duration round_trip) noexcept;

  [[nodiscard]] std::optional<PacketNumber> largest() const noexcept;

 private:
  [[nodiscard]] PacketNumber oldest() const noexcept;
  [[nodiscard]] std::uint64_t run_length(PacketNumber from, PacketNumber low,
                                         bool is_set) const noexcept;
  void advance(PacketNumber number) noexcept;
  void mark(EcnMark mark) noexcept;
  [[nodiscard]] Duration delay() const noexcept;

  static constexpr std::size_t kWords = kWindowPackets / 64;
  static constexpr Duration kMaxDelay = std::chrono::milliseconds(25);
  static constexpr Duration kGranularity = std::chrono::milliseconds(1);

  std::array<std::uint64_t, kWords> seen_{};  ///< a bit for each of the newest, by number mod size
  std::optional<PacketNumber> largest_;
  TimePoint largest_time_;
  PacketNumber floor_ = 0;                   ///< below it all was reported, and the peer knows
  std::optional<PacketNumber> lowest_news_;  ///< of what no ACK has reported
  EcnCounts ecn_;

  std::uint64_t reliable_total_ = 0;
  std::uint32_t reliable_news_ = 0;           ///< REL frames that no ACK has reported
  std::optional<TimePoint> first_news_time_;  ///< of the first of those
  bool is_urgent_ = false;                    ///< gap, reorder, CE, asked for
  std::optional<std::uint16_t> frequency_;    ///< ACK_FREQ
  Duration frequency_delay_ = {};
  Duration round_trip_delay_ = kMaxDelay;
};

}  // namespace sealine::stt::detail
