#include "support/link.hpp"

#include <algorithm>
#include <utility>

namespace sealine::test {

namespace {

// Rounded up: a bottleneck is never faster than it says.
Duration line_time(std::size_t bytes, std::uint64_t bits_per_second) {
  if (bits_per_second == 0) return {};
  const std::uint64_t bits = std::uint64_t{bytes} * 8;
  return Duration((bits * 1'000'000'000U + bits_per_second - 1) / bits_per_second);
}

}  // namespace

Link::Link(LinkSettings settings, std::uint64_t seed)
    : settings_(std::move(settings)), dice_(seed) {}

bool Link::chance(double probability) {
  if (probability <= 0) return false;  // costs no chance: other draws stay what they are
  return static_cast<double>(dice_.next() >> 11U) * 0x1p-53 < probability;
}

bool Link::is_lost() {
  if (chance(settings_.loss)) return true;
  if (!settings_.bursts) return false;
  const BurstLoss& bursts = *settings_.bursts;
  if (chance(is_bad_ ? bursts.to_good : bursts.to_bad)) is_bad_ = !is_bad_;
  return chance(is_bad_ ? bursts.loss_bad : bursts.loss_good);
}

bool Link::is_swallowed(TimePoint now) const {
  return std::ranges::any_of(settings_.blackholes, [now](const Blackhole& hole) {
    return hole.from <= now && now < hole.until;
  });
}

std::size_t Link::queued_bytes(TimePoint now) {
  while (!waiting_.empty() && waiting_.front().begins <= now) {
    waiting_bytes_ -= waiting_.front().bytes;
    waiting_.pop_front();
  }
  return waiting_bytes_;
}

TimePoint Link::serialise(std::size_t bytes, TimePoint now) {
  const TimePoint begins = std::max(now, line_free_);
  if (begins > now) {
    waiting_.push_back({.begins = begins, .bytes = bytes});
    waiting_bytes_ += bytes;
  }
  line_free_ = begins + line_time(bytes, settings_.bits_per_second);
  return line_free_;
}

void Link::send(ByteView datagram, std::uint64_t source, stt::EcnMark mark, TimePoint now) {
  ++counts_.sent;
  if (settings_.rewrite_source) source = settings_.rewrite_source(source, now);
  if (datagram.size() > settings_.mtu_bytes) {
    ++counts_.too_large;
    return;
  }
  if (is_swallowed(now)) {
    ++counts_.swallowed;
    return;
  }
  const std::size_t bytes = datagram.size() + settings_.header_bytes;
  const std::size_t queued = queued_bytes(now);
  // The bottleneck itself holds one datagram: only what must wait needs a place.
  if (line_free_ > now && queued + bytes > settings_.queue_bytes) {
    ++counts_.queue_full;
    return;
  }
  if (queued > settings_.mark_above_bytes && mark != stt::EcnMark::none) {
    mark = stt::EcnMark::ce;
    ++counts_.marked;
  }
  const TimePoint leaves = serialise(bytes, now);
  if (is_lost()) {
    ++counts_.lost;
    return;
  }
  travel(datagram, source, mark, leaves);
  if (chance(settings_.duplicate)) {
    ++counts_.duplicated;
    travel(datagram, source, mark, leaves);
  }
}

void Link::travel(ByteView datagram, std::uint64_t source, stt::EcnMark mark, TimePoint leaves) {
  const std::uint32_t parcel = new_parcel(datagram, source, mark);
  if (!datagram.empty() && chance(settings_.corrupt)) {
    ++counts_.corrupted;
    std::uint8_t& byte = parcels_[parcel].bytes[dice_.below(datagram.size())];
    byte = static_cast<std::uint8_t>(byte ^ (1U << dice_.below(8)));
  }
  TimePoint at = leaves + settings_.delay;
  if (settings_.jitter > Duration{}) {
    at += Duration(dice_.below(static_cast<std::size_t>(settings_.jitter.count()) + 1));
  }
  if (settings_.reorder_window > 0 && chance(settings_.reorder)) {
    ++counts_.reordered;
    held_.push_back({.parcel = parcel,
                     .generation = parcels_[parcel].generation,
                     .passes_left = dice_.between(1, settings_.reorder_window)});
    arrive(parcel, at + settings_.reorder_hold, false);
    return;
  }
  at = std::max(at, last_arrival_);
  last_arrival_ = at;
  arrive(parcel, at, true);
  if (!held_.empty()) pass_held(at);
}

// A datagram overtakes those that are held back; whom enough have overtaken comes behind it.
void Link::pass_held(TimePoint at) {
  std::erase_if(held_, [&](Held& held) {
    Parcel& parcel = parcels_[held.parcel];
    if (parcel.generation != held.generation) return true;  // its time was over
    if (--held.passes_left > 0) return false;
    ++parcel.generation;
    arrive(held.parcel, at, false);
    return true;
  });
}

void Link::arrive(std::uint32_t parcel, TimePoint at, bool in_order) {
  const Arrival arrival{
      .at = at, .order = order_++, .parcel = parcel, .generation = parcels_[parcel].generation};
  if (in_order) {
    in_order_.push_back(arrival);
  } else {
    late_.push(arrival);
  }
}

std::uint32_t Link::new_parcel(ByteView datagram, std::uint64_t source, stt::EcnMark mark) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(parcels_.size()));
    parcels_.emplace_back();
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  Parcel& parcel = parcels_[index];
  parcel.bytes.assign(datagram.begin(), datagram.end());
  parcel.source = source;
  parcel.mark = mark;
  ++in_flight_;
  return index;
}

bool Link::is_void(const Arrival& arrival) const {
  return parcels_[arrival.parcel].generation != arrival.generation;
}

std::optional<TimePoint> Link::next_arrival() const {
  // A void entry of what was held back is no later than the one that replaced it is early: to wake
  // for nothing does no harm, and receive takes it away.
  std::optional<TimePoint> next;
  if (!in_order_.empty()) next = in_order_.front().at;
  if (!late_.empty() && (!next || late_.top().at < *next)) next = late_.top().at;
  return next;
}

std::optional<Delivery> Link::receive(TimePoint now) {
  if (given_out_) {
    free_.push_back(*given_out_);
    given_out_.reset();
  }
  while (!late_.empty() && is_void(late_.top())) late_.pop();
  const bool is_late = !late_.empty() && (in_order_.empty() || in_order_.front() > late_.top());
  if (!is_late && in_order_.empty()) return std::nullopt;
  const Arrival arrival = is_late ? late_.top() : in_order_.front();
  if (arrival.at > now) return std::nullopt;
  if (is_late) {
    late_.pop();
  } else {
    in_order_.pop_front();
  }
  Parcel& parcel = parcels_[arrival.parcel];
  ++parcel.generation;
  given_out_ = arrival.parcel;
  --in_flight_;
  ++counts_.delivered;
  counts_.delivered_bytes += parcel.bytes.size();
  return Delivery{.bytes = parcel.bytes, .source = parcel.source, .mark = parcel.mark};
}

}  // namespace sealine::test
