#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/time.hpp"
#include "sealine/stt/datagram.hpp"
#include "tests/sim/base/dice.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <queue>
#include <vector>

namespace sealine::test {

/// Losses in bursts, after Gilbert and Elliott: a state that is good or bad, a chance to change it
/// with every datagram, and a chance of loss in each.
struct BurstLoss {
  double to_bad = 0;
  double to_good = 1;
  double loss_good = 0;
  double loss_bad = 1;
};

/// A while in which nothing comes through.
struct Blackhole {
  TimePoint from{};
  TimePoint until{};
};

/// What one direction of a path does to datagrams. All chances are 0 to 1, each datagram's own. May
/// be changed while datagrams are on their way: it holds for those that are sent from then on.
struct LinkSettings {
  std::uint64_t bits_per_second = 0;  ///< of the bottleneck; 0: no limit
  Duration delay{};                   ///< of the way, behind the bottleneck
  Duration jitter{};                  ///< up to that much more; order is kept
  std::size_t queue_bytes = std::numeric_limits<std::size_t>::max();       ///< that wait; tail drop
  std::size_t mark_above_bytes = std::numeric_limits<std::size_t>::max();  ///< ECT becomes CE
  std::size_t mtu_bytes = 65535;                                           ///< larger ones vanish
  double loss = 0;
  std::optional<BurstLoss> bursts = std::nullopt;
  double duplicate = 0;
  double corrupt = 0;  ///< one bit is flipped
  double reorder = 0;  ///< held back until 1 to reorder_window later ones are there
  std::size_t reorder_window = 3;
  Duration reorder_hold = std::chrono::milliseconds(100);  ///< but never longer
  std::vector<Blackhole> blackholes = {};
  std::size_t header_bytes = 0;  ///< that each datagram costs on the line beside its own
  /// The address that a datagram seems to come from: a NAT. Asked when it is sent.
  std::function<std::uint64_t(std::uint64_t source, TimePoint now)> rewrite_source = {};
};

/// What became of the datagrams.
struct LinkCounts {
  std::uint64_t sent = 0;
  std::uint64_t delivered = 0;  ///< taken by receive, copies among them
  std::uint64_t delivered_bytes = 0;
  std::uint64_t too_large = 0;
  std::uint64_t queue_full = 0;
  std::uint64_t lost = 0;
  std::uint64_t swallowed = 0;  ///< by blackholes
  std::uint64_t duplicated = 0;
  std::uint64_t corrupted = 0;
  std::uint64_t reordered = 0;
  std::uint64_t marked = 0;
};

/// A datagram at the other end. `bytes` may be written to; good until the next call of the link.
struct Delivery {
  MutableBytes bytes;
  std::uint64_t source = 0;
  stt::EcnMark mark = stt::EcnMark::none;
};

/// One direction of a path in virtual time: a bottleneck with a queue before it, and a way behind
/// it. Many senders may share it, each known by its source address. Equal seeds and equal calls
/// give equal results.
///
///     link.send(datagram, source, mark, now);
///     now = *link.next_arrival();
///     while (auto arrived = link.receive(now)) ...
class Link {
 public:
  Link(LinkSettings settings, std::uint64_t seed);

  void send(ByteView datagram, std::uint64_t source, stt::EcnMark mark, TimePoint now);
  [[nodiscard]] std::optional<TimePoint> next_arrival() const;
  /// The next datagram that is there by `now`.
  [[nodiscard]] std::optional<Delivery> receive(TimePoint now);

  /// Bytes that wait for the bottleneck, without the datagram that it is at.
  [[nodiscard]] std::size_t queued_bytes(TimePoint now);

  [[nodiscard]] LinkSettings& settings() noexcept { return settings_; }

  [[nodiscard]] const LinkCounts& counts() const noexcept { return counts_; }

  /// Datagrams on their way.
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }

 private:
  struct Parcel {
    std::vector<std::uint8_t> bytes;
    std::uint64_t source = 0;
    std::uint64_t generation = 0;  ///< of the place in the table: an old entry of the queue is void
    stt::EcnMark mark{};
  };

  struct Arrival {
    TimePoint at{};
    std::uint64_t order = 0;
    std::uint32_t parcel = 0;
    std::uint64_t generation = 0;

    friend bool operator>(const Arrival& a, const Arrival& b) {
      return a.at != b.at ? a.at > b.at : a.order > b.order;
    }
  };

  struct Waiting {  ///< before the bottleneck
    TimePoint begins{};
    std::size_t bytes = 0;
  };

  struct Held {
    std::uint32_t parcel = 0;
    std::uint64_t generation = 0;
    std::size_t passes_left = 0;
  };

  [[nodiscard]] bool chance(double probability);
  [[nodiscard]] bool is_lost();
  [[nodiscard]] bool is_swallowed(TimePoint now) const;
  [[nodiscard]] TimePoint serialise(std::size_t bytes, TimePoint now);
  void pass_held(TimePoint at);
  void travel(ByteView datagram, std::uint64_t source, stt::EcnMark mark, TimePoint leaves);
  void arrive(std::uint32_t parcel, TimePoint at, bool in_order);
  [[nodiscard]] std::uint32_t new_parcel(ByteView datagram, std::uint64_t source,
                                         stt::EcnMark mark);
  [[nodiscard]] bool is_void(const Arrival& arrival) const;

  LinkSettings settings_;
  sim::Dice dice_;
  LinkCounts counts_;
  std::deque<Waiting> waiting_;
  std::size_t waiting_bytes_ = 0;
  TimePoint line_free_{};
  TimePoint last_arrival_{};
  bool is_bad_ = false;  ///< of BurstLoss
  std::deque<Arrival> in_order_;
  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> late_;
  std::vector<Held> held_;
  std::vector<Parcel> parcels_;
  std::vector<std::uint32_t> free_;
  std::optional<std::uint32_t> given_out_;
  std::uint64_t order_ = 0;
  std::size_t in_flight_ = 0;
};

}  // namespace sealine::test
