#pragma once

#include "sealine/base/time.hpp"
#include "stt/detail/rate_sampler.hpp"
#include "stt/detail/sent_frame.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace sealine::stt::detail {

/// Things with consecutive numbers, the oldest going first: a ring that grows, and allocates
/// nothing once it is as large as it must be.
template <class T>
class NumberedRing {
 public:
  [[nodiscard]] T& operator[](std::uint64_t number) noexcept {
    return places_[number & (places_.size() - 1)];
  }

  [[nodiscard]] const T& operator[](std::uint64_t number) const noexcept {
    return places_[number & (places_.size() - 1)];
  }

  T& push() {
    if (size() == places_.size()) grow();
    T& place = (*this)[end_++];
    place = T{};
    return place;
  }

  void pop() noexcept { ++begin_; }

  [[nodiscard]] std::uint64_t begin_number() const noexcept { return begin_; }

  [[nodiscard]] std::uint64_t end_number() const noexcept { return end_; }

  [[nodiscard]] std::size_t size() const noexcept {
    return static_cast<std::size_t>(end_ - begin_);
  }

 private:
  void grow() {
    std::vector<T> larger(places_.empty() ? 64 : 2 * places_.size());
    for (std::uint64_t number = begin_; number < end_; ++number)
      larger[number & (larger.size() - 1)] = (*this)[number];
    places_.swap(larger);
  }

  std::vector<T> places_;  ///< a power of two
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
};

enum class Fate : std::uint8_t { on_its_way, lost, acked };

struct SentPacket {
  SentFrame frame;
  std::uint64_t datagram = 0;
  PacketNumber open_end = 0;  ///< acked: what is not acked below this one is below that number
  std::uint32_t bytes = 0;
  Fate fate = Fate::on_its_way;
  bool is_reliable = false;
  bool is_in_flight = false;    ///< counts: reliable, on its way, on this path
  bool is_handed_back = false;  ///< frame_lost was said
};

struct SentDatagram {
  TimePoint sent;
  RateMark mark;
  PacketNumber first = 0;  ///< its frames: [first, end)
  PacketNumber end = 0;
  std::uint64_t episode = 0;  ///< loss: which one it belongs to
  std::size_t bytes = 0;      ///< of reliable frames
  std::size_t whole_bytes = 0;
  bool is_reliable = false;
  bool is_mtu_probe = false;
  bool is_acked = false;         ///< one of its frames is: it has arrived
  bool is_counted_lost = false;  ///< congestion control was told
};

/// What was sent and is not forgotten yet, by packet number and by datagram.   spec:
/// stt.md#sent-map
class SentMap {
 public:
  NumberedRing<SentPacket> packets;
  NumberedRing<SentDatagram> datagrams;

  /// The highest number below `end` that is not acknowledged. An acknowledged one points past its
  /// like, so that ranges that were reported before cost next to nothing to pass over.
  [[nodiscard]] std::optional<PacketNumber> open_below(PacketNumber end) noexcept {
    while (end > packets.begin_number()) {
      SentPacket& packet = packets[end - 1];
      if (packet.fate != Fate::acked) return end - 1;
      const PacketNumber next = packet.open_end;
      if (next > packets.begin_number() && packets[next - 1].fate == Fate::acked)
        packet.open_end = packets[next - 1].open_end;
      end = packet.open_end;
    }
    return std::nullopt;
  }

  void mark_acked(PacketNumber number) noexcept {
    packets[number].fate = Fate::acked;
    packets[number].open_end = number;
  }

  [[nodiscard]] SentDatagram& datagram_of(PacketNumber number) noexcept {
    return datagrams[packets[number].datagram];
  }

  void pop() noexcept {
    const std::uint64_t datagram = packets[packets.begin_number()].datagram;
    packets.pop();
    if (packets.size() == 0 || packets[packets.begin_number()].datagram != datagram)
      datagrams.pop();
  }
};

}  // namespace sealine::stt::detail
