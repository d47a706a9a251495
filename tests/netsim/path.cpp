#include "path.hpp"

#include <algorithm>
#include <utility>

namespace sealine::netsim {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr std::uint64_t kBitsPerByte = 8;

}  // namespace

Path::Path(const PathSettings& settings, std::uint64_t direction)
    : settings_(settings), random_(settings.seed * 2 + direction) {}

void Path::send(std::span<const std::uint8_t> packet, Nanoseconds now) {
  ++counts_.sent;
  Nanoseconds leaves = now;
  if (settings_.bits_per_second != 0) {
    if (line_free_ > now) {
      const Nanoseconds wait = line_free_ - now + time_on_the_line(packet.size());
      if (wait > time_on_the_line(settings_.queue_bytes)) {
        ++counts_.queue_full;
        return;
      }
    }
    leaves = std::max(now, line_free_) + time_on_the_line(packet.size());
    line_free_ = leaves;
  }
  if (is_lost()) {
    ++counts_.lost;
    return;
  }
  Parcel parcel{.due = leaves + settings_.delay_ns, .bytes = {}};
  if (!spare_.empty()) {
    parcel.bytes = std::move(spare_.back());
    spare_.pop_back();
  }
  parcel.bytes.assign(packet.begin(), packet.end());
  parcels_.push_back(std::move(parcel));
}

std::optional<Nanoseconds> Path::next_arrival() const {
  if (parcels_.empty()) return std::nullopt;
  return parcels_.front().due;
}

const Path::Packet* Path::arrived(Nanoseconds now) const {
  return parcels_.empty() || parcels_.front().due > now ? nullptr : &parcels_.front().bytes;
}

void Path::take() {
  ++counts_.delivered;
  counts_.delivered_bytes += parcels_.front().bytes.size();
  spare_.push_back(std::move(parcels_.front().bytes));
  parcels_.pop_front();
}

Nanoseconds Path::time_on_the_line(std::uint64_t bytes) const {
  // A queue of many seconds at the least rate still fits in 64 bits.
  return static_cast<Nanoseconds>(bytes * kBitsPerByte * kNanosecondsPerSecond /
                                  settings_.bits_per_second);
}

bool Path::is_lost() {
  // Drawn for every packet, so that the losses do not move with the setting of another run.
  constexpr double kWords = 18446744073709551616.0;
  return static_cast<double>(random_()) / kWords < settings_.loss;
}

}  // namespace sealine::netsim
