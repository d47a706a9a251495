#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"
#include "sealine/stt/control.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/recovery_options.hpp"
#include "stt/detail/sent_frame.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace sealine::stt::detail {

/// Who is told what became of frames.
class FrameFates {
 public:
  virtual ~FrameFates() = default;
  virtual void frame_acked(const SentFrame& frame) = 0;
  /// To be sent again, if it still matters. May be said of a frame whose ACK comes later: then
  /// frame_acked is not called for it.
  virtual void frame_lost(const SentFrame& frame) = 0;

  /// What the size of datagrams is judged by: of those on this path, with REL and no MTU probe,
  /// each that arrived, however late, and each that was taken for lost. Before the lost ones of an
  /// ACK come the arrived ones.
  virtual void datagram_acked(std::size_t /*datagram_bytes*/) {}

  virtual void datagram_lost(std::size_t /*datagram_bytes*/) {}
};

/// Which frames are on their way, which were lost, when the next may go: loss detection, probe
/// timeouts, round trips, congestion control, pacing. One path at a time.  spec: stt.md#recovery
class Recovery {
 public:
  Recovery(const RecoveryOptions& options, TimePoint now);
  Recovery(Recovery&&) noexcept;
  Recovery& operator=(Recovery&&) noexcept;
  ~Recovery();

  // --- what was sent

  /// A frame went into the current datagram. Numbers rise by one. `is_reliable`: flag REL.
  void handle_sent(PacketNumber number, std::size_t bytes, bool is_reliable, const SentFrame& frame,
                   TimePoint now);
  /// The frames since the last call left in one datagram.
  void end_datagram(std::size_t datagram_bytes, TimePoint now);
  /// Nothing more to be sent although window and pacer would let it.
  void handle_app_limited(TimePoint now);

  // --- inputs

  /// Errors: protocol_broken (a number not sent yet).
  [[nodiscard]] Result<> handle_ack(const Ack& ack, FrameFates& fates, TimePoint now);
  /// At poll_timeout: frames are lost, or probes become due.
  void handle_timeout(FrameFates& fates, TimePoint now);
  /// Another path (migration): congestion, round trips and pacing begin anew; frames on their way
  /// stay known, and count as in flight no longer.
  void handle_new_path(TimePoint now);
  /// The largest datagram of the path.
  void set_datagram_bytes(std::size_t bytes) noexcept;
  /// What the peer may delay its ACKs by (ACK_FREQ of ours). 25 ms at first.
  void set_max_ack_delay(Duration delay) noexcept;

  // --- outputs

  /// Probes that a probe timeout asks for: each datagram with a REL frame takes one.
  [[nodiscard]] unsigned probes_due() const noexcept;
  /// When a datagram of full size may go: `now` or earlier means at once, none: not before an ACK.
  /// Frames without REL need no permission. Probes go at once.
  [[nodiscard]] std::optional<TimePoint> next_send(TimePoint now) const;
  /// Bytes that pacing lets go in one train now: clamp(rate x 1 ms, 2 datagrams, 64 KiB).
  [[nodiscard]] std::size_t train_bytes() const noexcept;
  /// Of loss detection and probes.
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const;

  // --- getters

  [[nodiscard]] Duration smoothed_rtt() const noexcept;
  [[nodiscard]] Duration min_rtt() const noexcept;
  [[nodiscard]] Duration probe_timeout() const noexcept;  ///< without backoff
  [[nodiscard]] std::size_t window_bytes() const noexcept;
  [[nodiscard]] std::size_t in_flight_bytes() const noexcept;
  [[nodiscard]] std::uint64_t pacing_rate() const noexcept;  ///< bytes/s
  [[nodiscard]] std::uint64_t lost_frames() const noexcept;
  [[nodiscard]] std::uint64_t spurious_losses() const noexcept;
  [[nodiscard]] std::uint64_t probe_timeouts() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sealine::stt::detail
