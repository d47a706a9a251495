#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <span>
#include <vector>

namespace sealine::netsim {

using Nanoseconds = std::int64_t;  ///< of CLOCK_MONOTONIC, or a length of time

/// What both directions of the path do to packets.
struct PathSettings {
  std::uint64_t bits_per_second = 0;  ///< of the bottleneck, IP headers counted; 0: no limit
  Nanoseconds delay_ns = 0;           ///< one way, behind the bottleneck
  double loss = 0;                    ///< chance of each packet, behind the bottleneck
  std::uint64_t queue_bytes = 0;      ///< that may wait for the bottleneck; tail drop
  std::uint64_t seed = 1;
};

/// What became of the packets of one direction.
struct PathCounts {
  std::uint64_t sent = 0;
  std::uint64_t delivered = 0;
  std::uint64_t delivered_bytes = 0;
  std::uint64_t lost = 0;
  std::uint64_t queue_full = 0;
};

/// One direction: a bottleneck with a queue before it (a token bucket one packet deep), then a way
/// that takes time and loses packets. Which packets are lost depends on the seed and their number
/// alone. Time never goes backwards. One thread.
class Path {
 public:
  using Packet = std::vector<std::uint8_t>;

  Path(const PathSettings& settings, std::uint64_t direction);

  void send(std::span<const std::uint8_t> packet, Nanoseconds now);

  /// When the next packet is at the other end.
  [[nodiscard]] std::optional<Nanoseconds> next_arrival() const;
  /// The packet that is there by `now`, if any; good until `take`, which counts and forgets it.
  [[nodiscard]] const Packet* arrived(Nanoseconds now) const;
  void take();

  [[nodiscard]] const PathCounts& counts() const noexcept { return counts_; }

 private:
  struct Parcel {
    Nanoseconds due = 0;
    Packet bytes;
  };

  [[nodiscard]] Nanoseconds time_on_the_line(std::uint64_t bytes) const;
  [[nodiscard]] bool is_lost();

  PathSettings settings_;
  std::mt19937_64 random_;
  PathCounts counts_;
  Nanoseconds line_free_ = 0;
  std::deque<Parcel> parcels_;
  std::vector<Packet> spare_;
};

}  // namespace sealine::netsim
