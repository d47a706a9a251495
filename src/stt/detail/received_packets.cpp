#include "stt/detail/received_packets.hpp"

#include "sealine/base/assert.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace sealine::stt::detail {
namespace {

// After so many REL frames every tenth is answered, before that every second.
constexpr std::uint64_t kEarlyFrames = 100;
constexpr std::uint16_t kEarlyFrequency = 2;
constexpr std::uint16_t kFrequency = 10;

std::size_t word_of(PacketNumber number) noexcept {
  return (number % ReceivedPackets::kWindowPackets) / 64;
}

std::uint64_t bit_of(PacketNumber number) noexcept { return std::uint64_t{1} << (number % 64); }

}  // namespace

bool ReceivedPackets::is_fresh(PacketNumber number) const noexcept {
  if (!largest_ || number > *largest_) return true;
  return number >= oldest() && (seen_[word_of(number)] & bit_of(number)) == 0;
}

void ReceivedPackets::record(PacketNumber number, bool is_reliable, bool at_once, EcnMark ecn_mark,
                             TimePoint now) {
  SEALINE_ASSERT(is_fresh(number));
  const PacketNumber expected = largest_ ? *largest_ + 1 : 0;
  is_urgent_ =
      is_urgent_ || number != expected || ecn_mark == EcnMark::ce || (at_once && is_reliable);
  if (number >= expected) {
    advance(number);
    largest_time_ = now;
  }
  seen_[word_of(number)] |= bit_of(number);
  lowest_news_ = std::min(number, lowest_news_.value_or(number));
  mark(ecn_mark);
  if (!is_reliable) return;
  ++reliable_total_;
  ++reliable_news_;
  if (!first_news_time_) first_news_time_ = now;
}

void ReceivedPackets::set_frequency(std::uint16_t packets, Duration max_delay) noexcept {
  frequency_ = std::clamp<std::uint16_t>(packets, 1, kMaxAckFrequency);
  frequency_delay_ = max_delay;
}

bool ReceivedPackets::is_ack_due(TimePoint now) const noexcept {
  if (reliable_news_ == 0) return false;  // what is no REL waits for something else to say
  const std::uint16_t every =
      frequency_.value_or(reliable_total_ <= kEarlyFrames ? kEarlyFrequency : kFrequency);
  return is_urgent_ || reliable_news_ >= every || now >= *first_news_time_ + delay();
}

bool ReceivedPackets::has_news() const noexcept { return lowest_news_.has_value(); }

std::optional<TimePoint> ReceivedPackets::poll_timeout() const noexcept {
  if (!first_news_time_) return std::nullopt;
  return *first_news_time_ + delay();
}

Ack ReceivedPackets::take_ack(TimePoint now) {
  SEALINE_ASSERT(has_news());
  // One that came late is below what was settled: all from there on is said once more.
  floor_ = std::min(floor_, *lowest_news_);
  Ack ack;
  const PacketNumber low = std::max(floor_, oldest());
  for (PacketNumber from = *largest_;;) {
    const std::uint64_t seen = run_length(from, low, true);
    ack.ranges[ack.range_count++] = {.first = from - (seen - 1), .last = from};
    if (ack.range_count == kMaxAckRanges || from - low < seen) break;
    from -= seen;
    const std::uint64_t missing = run_length(from, low, false);
    if (from - low < missing) break;
    from -= missing;
  }
  const auto delay_us =
      std::chrono::duration_cast<std::chrono::microseconds>(now - largest_time_).count();
  ack.delay_us = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(delay_us, 0, std::numeric_limits<std::uint32_t>::max()));
  if (ecn_ != EcnCounts{}) ack.ecn = ecn_;

  lowest_news_.reset();
  first_news_time_.reset();
  reliable_news_ = 0;
  is_urgent_ = false;
  return ack;
}

void ReceivedPackets::handle_ack_of(PacketNumber largest) noexcept {
  floor_ = std::max(floor_, largest + 1);
}

void ReceivedPackets::set_round_trip(Duration smoothed) noexcept {
  round_trip_delay_ = delay_for(smoothed);
}

Duration ReceivedPackets::delay_for(Duration round_trip) noexcept {
  return std::clamp<Duration>(round_trip / 4, kGranularity, kMaxDelay);
}

std::optional<PacketNumber> ReceivedPackets::largest() const noexcept { return largest_; }

// The lowest number of the window.
PacketNumber ReceivedPackets::oldest() const noexcept {
  return largest_ && *largest_ >= kWindowPackets ? *largest_ - (kWindowPackets - 1) : 0;
}

// How many numbers from `from` downwards, `low` the last, are seen, or not.
std::uint64_t ReceivedPackets::run_length(PacketNumber from, PacketNumber low,
                                          bool is_set) const noexcept {
  const std::uint64_t most = from - low + 1;
  const std::uint64_t flip = is_set ? 0 : ~std::uint64_t{0};
  const auto below = static_cast<int>(from % 64);  // bits of the first word under this one
  std::size_t index = word_of(from);
  const int first = std::countl_one((seen_[index] ^ flip) << (63 - below));
  auto length = static_cast<std::uint64_t>(std::min(first, below + 1));
  if (first <= below) return std::min(length, most);
  while (length < most) {
    index = (index + kWords - 1) % kWords;
    const int ones = std::countl_one(seen_[index] ^ flip);
    length += static_cast<std::uint64_t>(ones);
    if (ones < 64) break;
  }
  return std::min(length, most);
}

// The window moves up: the places of the numbers that come into it are made empty.
void ReceivedPackets::advance(PacketNumber number) noexcept {
  PacketNumber next = largest_ ? *largest_ + 1 : 0;
  largest_ = number;
  if (number - next >= kWindowPackets) {
    seen_.fill(0);
    return;
  }
  while (next <= number) {
    const PacketNumber end = std::min(number, next | 63);  // the last of this word
    const std::uint64_t from = ~std::uint64_t{0} << (next % 64);
    const std::uint64_t upto = ~std::uint64_t{0} >> (63 - (end % 64));
    seen_[word_of(next)] &= ~(from & upto);
    next = end + 1;
  }
}

void ReceivedPackets::mark(EcnMark mark) noexcept {
  switch (mark) {
    case EcnMark::none:
      return;
    case EcnMark::ect0:
      ++ecn_.ect0;
      return;
    case EcnMark::ect1:
      ++ecn_.ect1;
      return;
    case EcnMark::ce:
      ++ecn_.ce;
      return;
  }
}

Duration ReceivedPackets::delay() const noexcept {
  return frequency_ ? frequency_delay_ : round_trip_delay_;
}

}  // namespace sealine::stt::detail
