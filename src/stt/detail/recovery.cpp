#include "stt/detail/recovery.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/errc.hpp"
#include "stt/detail/congestion.hpp"
#include "stt/detail/ecn_validator.hpp"
#include "stt/detail/loss_episode.hpp"
#include "stt/detail/pacer.hpp"
#include "stt/detail/rate_sampler.hpp"
#include "stt/detail/round_trip.hpp"
#include "stt/detail/sent_map.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sealine::stt::detail {
namespace {

constexpr std::uint64_t kMinReorder = 3;  // datagrams
constexpr std::uint64_t kMaxReorder = 16;
constexpr unsigned kProbes = 2;
constexpr std::size_t kTrainsPerWindow = 8;  // at least, once the path has lost something
constexpr unsigned kMaxBackoff = 16;
constexpr Duration kLongestProbeTimeout = std::chrono::seconds(60);
constexpr int kPersistentTimeouts = 3;
// So long after it was sent a lost packet is remembered, to see whether it arrives after all.
constexpr int kKeptTimeouts = 3;
// More than 100 ms at 10 Gbit/s; a peer that acknowledges nothing makes us remember no more.
constexpr std::size_t kMaxKeptPackets = std::size_t{1} << 18U;

// Newest first, apart from one another, nothing that was not sent.
bool is_possible(const Ack& ack, PacketNumber next) noexcept {
  if (ack.range_count == 0 || ack.range_count > kMaxAckRanges) return false;
  PacketNumber end = next;  // the next range is below it
  for (const PacketRange& range : ack.all()) {
    if (range.last >= end || range.first > range.last) return false;
    end = range.first == 0 ? 0 : range.first - 1;
  }
  return true;
}

}  // namespace

struct Recovery::State {
  State(const RecoveryOptions& chosen, TimePoint now)
      : options(chosen),
        round_trip(chosen.initial_rtt),
        sampler(now),
        congestion(make_congestion(chosen, now)),
        pacer(congestion->window_bytes(), chosen.datagram_bytes, now) {
    pace(now);
  }

  // Where the path has lost something its queue may be shorter than a train of 1 ms.
  void pace(TimePoint now) noexcept {
    pacer.set_rate(congestion->pacing_rate(), now);
    pacer.set_most(has_lost ? congestion->window_bytes() / kTrainsPerWindow
                            : Pacer::kMaxTrainBytes);
  }

  // What one ACK, or one timeout, brings.
  struct Step {
    TimePoint now;
    std::size_t prior_in_flight = 0;
    std::uint64_t prior_largest_datagram = 0;
    std::uint64_t acked_packets = 0;
    bool has_reliable = false;
    std::uint64_t acked_bytes = 0;  ///< on this path, as what follows
    std::uint64_t growth_bytes = 0;
    std::uint64_t lost_bytes = 0;
    std::optional<std::uint64_t> newest{};  ///< datagram
    std::optional<Duration> rtt{};
  };

  void end_datagram(std::size_t datagram_bytes, TimePoint now);
  Result<> handle_ack(const Ack& ack, FrameFates& fates, TimePoint now);
  void handle_timeout(FrameFates& fates, TimePoint now);
  void handle_new_path(TimePoint now);
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const;

  void take_acked(PacketNumber number, FrameFates& fates, Step& step);
  void take_arrived(SentDatagram& datagram, std::uint64_t number, const Step& step);
  void take_round_trip(const Ack& ack, Step& step);
  void take_marks(const Ack& ack, const Step& step);
  void give_rate_sample(const Step& step);
  void detect_lost(FrameFates& fates, Step& step);
  void lose_datagram(std::uint64_t number, FrameFates& fates, Step& step);
  void tell_lost(SentDatagram& datagram, std::uint64_t number, const Step& step);
  void hand_back(FrameFates& fates);
  void hand_back(SentPacket& packet, FrameFates& fates) const;
  void shed(FrameFates& fates, Step& step);
  void trim(TimePoint now) noexcept;

  [[nodiscard]] bool is_overfull() const noexcept {
    return sent.packets.size() > kMaxKeptPackets && reliable_open > 0;
  }

  [[nodiscard]] bool is_on_path(std::uint64_t datagram) const noexcept {
    return datagram >= path_first_datagram;
  }

  [[nodiscard]] PacketNumber next_number() const noexcept { return sent.packets.end_number(); }

  [[nodiscard]] std::uint64_t next_datagram() const noexcept { return sent.datagrams.end_number(); }

  [[nodiscard]] Duration probe_timeout() const noexcept {
    return round_trip.probe_timeout(max_ack_delay);
  }

  RecoveryOptions options;
  SentMap sent;
  bool is_datagram_open = false;
  PacketNumber oldest = 0;        ///< all below it, and all that asks for no ACK, has its fate
  std::size_t reliable_open = 0;  ///< reliable packets without one, on any path
  TimePoint last_reliable_sent;
  std::optional<PacketNumber> largest_acked;
  std::uint64_t largest_acked_datagram = 0;

  std::uint64_t reorder = kMinReorder;
  std::optional<TimePoint> loss_time;
  unsigned backoff = 0;
  unsigned probes_due = 0;
  Duration max_ack_delay = std::chrono::milliseconds(25);

  // --- of the path
  std::uint64_t path_first_datagram = 0;
  RoundTrip round_trip;
  std::optional<TimePoint> first_round_trip;
  RateSampler sampler;
  LossEpisode episode;
  LossRow row;
  EcnValidator ecn;
  std::unique_ptr<Congestion> congestion;
  Pacer pacer;
  bool has_lost = false;
  std::size_t in_flight = 0;
  std::optional<std::uint64_t> window_limited;  ///< the last datagram that filled the window

  std::uint64_t lost_frames = 0;
  std::uint64_t spurious_losses = 0;
  std::uint64_t probe_timeouts = 0;
};

// --- what was sent

void Recovery::handle_sent(PacketNumber number, std::size_t bytes, bool is_reliable,
                           const SentFrame& frame, TimePoint now) {
  State& s = *state_;
  SEALINE_ASSERT(number == s.next_number());
  if (!s.is_datagram_open) {
    SentDatagram& datagram = s.sent.datagrams.push();
    datagram.sent = now;
    datagram.first = number;
    s.is_datagram_open = true;
  }
  SentDatagram& datagram = s.sent.datagrams[s.next_datagram() - 1];
  SentPacket& packet = s.sent.packets.push();
  packet.frame = frame;
  packet.datagram = s.next_datagram() - 1;
  packet.bytes = static_cast<std::uint32_t>(bytes);
  packet.is_reliable = is_reliable;
  packet.is_in_flight = is_reliable;
  datagram.end = number + 1;
  if (!is_reliable) return;
  datagram.is_reliable = true;
  datagram.is_mtu_probe = datagram.is_mtu_probe || (frame.carried & carried::kMtuProbe) != 0;
  datagram.bytes += bytes;
  ++s.reliable_open;
  s.last_reliable_sent = now;
}

void Recovery::end_datagram(std::size_t datagram_bytes, TimePoint now) {
  state_->end_datagram(datagram_bytes, now);
}

void Recovery::State::end_datagram(std::size_t datagram_bytes, TimePoint now) {
  if (!is_datagram_open) return;
  is_datagram_open = false;
  const std::uint64_t number = next_datagram() - 1;
  SentDatagram& datagram = sent.datagrams[number];
  datagram.whole_bytes = datagram_bytes;
  if (datagram.is_reliable) {
    if (probes_due > 0) --probes_due;
    datagram.mark = sampler.handle_sent(datagram.bytes, in_flight, now);
    const std::size_t before = std::exchange(in_flight, in_flight + datagram.bytes);
    const bool is_full = in_flight + options.datagram_bytes > congestion->window_bytes();
    if (is_full) window_limited = number;
    congestion->on_sent({.now = now,
                         .datagram = number,
                         .bytes = datagram.bytes,
                         .in_flight = before,
                         .delivered = sampler.delivered(),
                         .is_app_limited = datagram.mark.is_app_limited,
                         .is_window_limited = is_full});
    pacer.handle_sent(datagram_bytes, now);
    pace(now);
  }
  trim(now);
}

void Recovery::handle_app_limited(TimePoint now) {
  state_->sampler.handle_app_limited(state_->in_flight);
  state_->congestion->on_app_limited(now, state_->in_flight);
}

// --- acknowledged

Result<> Recovery::handle_ack(const Ack& ack, FrameFates& fates, TimePoint now) {
  return state_->handle_ack(ack, fates, now);
}

Result<> Recovery::State::handle_ack(const Ack& ack, FrameFates& fates, TimePoint now) {
  if (!is_possible(ack, next_number())) return fail(Errc::protocol_broken);
  Step step{
      .now = now, .prior_in_flight = in_flight, .prior_largest_datagram = largest_acked_datagram};
  take_round_trip(ack, step);
  for (const PacketRange& range : ack.all()) {
    PacketNumber end = range.last + 1;
    for (auto open = sent.open_below(end); open && *open >= range.first;
         open = sent.open_below(end)) {
      take_acked(*open, fates, step);
      end = *open;
    }
  }
  const PacketNumber largest = ack.ranges.front().last;
  const bool is_newer = !largest_acked || largest > *largest_acked;
  if (is_newer) {
    largest_acked = largest;
    if (largest >= sent.packets.begin_number())
      largest_acked_datagram = sent.packets[largest].datagram;
  }
  if (step.has_reliable) {
    backoff = 0;
    probes_due = 0;
  }
  if (is_newer) take_marks(ack, step);
  detect_lost(fates, step);
  if (episode.take_undo()) congestion->on_spurious(now);
  give_rate_sample(step);
  pace(now);
  trim(now);
  return {};
}

// Only an ACK whose largest is news, and had to be answered, tells how long that took.
void Recovery::State::take_round_trip(const Ack& ack, Step& step) {
  const PacketNumber largest = ack.ranges.front().last;
  if (largest < sent.packets.begin_number()) return;
  const SentPacket& packet = sent.packets[largest];
  if (packet.fate == Fate::acked || !packet.is_reliable || !is_on_path(packet.datagram)) return;
  const Duration delay = std::min<Duration>(std::chrono::microseconds(ack.delay_us), max_ack_delay);
  step.rtt = round_trip.add(step.now - sent.datagram_of(largest).sent, delay);
  if (!first_round_trip) first_round_trip = step.now;
}

void Recovery::State::take_acked(PacketNumber number, FrameFates& fates, Step& step) {
  SentPacket& packet = sent.packets[number];
  SentDatagram& datagram = sent.datagrams[packet.datagram];
  const bool was_lost = packet.fate == Fate::lost;
  sent.mark_acked(number);
  ++step.acked_packets;
  if (!std::exchange(datagram.is_acked, true)) {
    take_arrived(datagram, packet.datagram, step);
    const bool is_told = datagram.is_reliable && !datagram.is_mtu_probe;
    if (is_told && is_on_path(packet.datagram)) fates.datagram_acked(datagram.whole_bytes);
  }
  if (packet.is_reliable) {
    step.has_reliable = true;
    if (was_lost) {
      ++spurious_losses;
    } else {
      --reliable_open;
    }
    if (packet.is_in_flight) in_flight -= packet.bytes;
    packet.is_in_flight = false;
    if (is_on_path(packet.datagram)) {
      sampler.handle_acked(packet.bytes, step.now);
      step.acked_bytes += packet.bytes;
      if (!episode.is_before(packet.datagram)) step.growth_bytes += packet.bytes;
      if (!step.newest) step.newest = packet.datagram;
    }
  }
  if (!packet.is_handed_back) fates.frame_acked(packet.frame);
}

// What was taken for lost has come: paths that reorder get more patience.
void Recovery::State::take_arrived(SentDatagram& datagram, std::uint64_t number, const Step& step) {
  if (!datagram.is_counted_lost || !is_on_path(number)) return;
  episode.handle_arrived(datagram.episode);
  if (step.prior_largest_datagram < number) return;
  const std::uint64_t distance = step.prior_largest_datagram - number;
  reorder = std::min(std::max(reorder, distance + 1), kMaxReorder);
}

void Recovery::State::take_marks(const Ack& ack, const Step& step) {
  const std::uint64_t marks = ecn.handle_ack(ack.ecn, step.acked_packets, next_number());
  if (marks == 0 || !step.newest) return;
  const bool begins = episode.handle_mark(*step.newest, next_datagram());
  congestion->on_ecn_ce(
      {.now = step.now, .marks = marks, .in_flight = in_flight, .begins_episode = begins});
}

void Recovery::State::give_rate_sample(const Step& step) {
  if (!step.newest) return;
  const SentDatagram& newest = sent.datagrams[*step.newest];
  RateSample sample = sampler.take(newest.mark, newest.sent, round_trip.min());
  sample.newly_acked = step.acked_bytes;
  sample.newly_lost = step.lost_bytes;
  sample.is_recovering = episode.is_before(*step.newest);
  // An episode that this very ACK began is after all that it acknowledges.
  sample.growth_bytes = sample.is_recovering ? 0 : step.growth_bytes;
  sample.prior_in_flight = step.prior_in_flight;
  sample.in_flight = in_flight;
  sample.is_window_limited = window_limited && *step.newest <= *window_limited;
  sample.datagram = *step.newest;
  sample.next_datagram = next_datagram();
  sample.rtt = step.rtt;
  sample.smoothed_rtt = round_trip.smoothed();
  sample.min_rtt = round_trip.min();
  congestion->on_acked(sample);
}

// --- lost

// In the order of sending: what is behind one that may still come may still come too.
void Recovery::State::detect_lost(FrameFates& fates, Step& step) {
  loss_time.reset();
  const Duration delay = round_trip.loss_delay();
  while (oldest < next_number()) {
    const SentPacket& packet = sent.packets[oldest];
    if (packet.fate == Fate::acked) row.handle_arrived();
    if (packet.fate == Fate::acked || !packet.is_reliable) {
      ++oldest;
      continue;
    }
    if (!largest_acked || oldest > *largest_acked) return;
    const SentDatagram& datagram = sent.datagrams[packet.datagram];
    const bool is_overtaken = packet.datagram + reorder <= largest_acked_datagram;
    if (!is_overtaken && step.now < datagram.sent + delay) {
      loss_time = datagram.sent + delay;
      return;
    }
    lose_datagram(packet.datagram, fates, step);
  }
}

// All of it that is not acknowledged.
void Recovery::State::lose_datagram(std::uint64_t number, FrameFates& fates, Step& step) {
  SentDatagram& datagram = sent.datagrams[number];
  for (; oldest < datagram.end; ++oldest) {
    SentPacket& packet = sent.packets[oldest];
    if (packet.fate != Fate::on_its_way || !packet.is_reliable) continue;
    packet.fate = Fate::lost;
    --reliable_open;
    ++lost_frames;
    if (packet.is_in_flight) {
      in_flight -= packet.bytes;
      packet.is_in_flight = false;
    }
    hand_back(packet, fates);
  }
  // A part that came shows that the datagram was not lost; the path says nothing by dropping what
  // was sent to see whether it would.
  if (datagram.is_acked || !is_on_path(number)) return row.handle_arrived();
  if (datagram.is_mtu_probe) return;
  fates.datagram_lost(datagram.whole_bytes);
  step.lost_bytes += datagram.bytes;
  tell_lost(datagram, number, step);
}

void Recovery::State::tell_lost(SentDatagram& datagram, std::uint64_t number, const Step& step) {
  const bool begins = episode.handle_lost(number, next_datagram());
  datagram.is_counted_lost = true;
  has_lost = true;
  datagram.episode = episode.number();
  sampler.handle_lost(datagram.bytes);
  congestion->on_lost({.now = step.now,
                       .sent = datagram.sent,
                       .datagram = number,
                       .bytes = datagram.bytes,
                       .prior_delivered = datagram.mark.delivered,
                       .tx_in_flight = datagram.mark.tx_in_flight,
                       .lost = sampler.lost() - datagram.mark.lost,
                       .is_app_limited = datagram.mark.is_app_limited,
                       .total_delivered = sampler.delivered(),
                       .total_lost = sampler.lost(),
                       .next_datagram = next_datagram(),
                       .in_flight = in_flight,
                       .begins_episode = begins});
  // Before the first round trip nobody knew what is long.
  if (!first_round_trip || datagram.sent < *first_round_trip) return;
  if (!row.handle_lost(datagram.sent, kPersistentTimeouts * probe_timeout())) return;
  episode.handle_persistent();
  round_trip.forget_min();
  congestion->on_persistent_congestion(step.now);
}

// --- timeouts

std::optional<TimePoint> Recovery::poll_timeout() const { return state_->poll_timeout(); }

std::optional<TimePoint> Recovery::State::poll_timeout() const {
  if (is_overfull()) return last_reliable_sent;
  if (loss_time) return loss_time;
  if (reliable_open == 0) return std::nullopt;
  const Duration wait = probe_timeout() * (std::int64_t{1} << std::min(backoff, kMaxBackoff));
  return last_reliable_sent + std::min(wait, kLongestProbeTimeout);
}

void Recovery::handle_timeout(FrameFates& fates, TimePoint now) {
  state_->handle_timeout(fates, now);
}

void Recovery::State::handle_timeout(FrameFates& fates, TimePoint now) {
  const auto due = poll_timeout();
  if (!due || now < *due) return;
  Step step{.now = now, .prior_in_flight = in_flight};
  if (is_overfull()) {
    shed(fates, step);
  } else if (loss_time) {
    detect_lost(fates, step);
  } else {
    ++backoff;
    ++probe_timeouts;
    probes_due = kProbes;
    hand_back(fates);
  }
  pace(now);
  trim(now);
}

// A probe had better carry what is missing than nothing: the oldest goes out once more. It is not
// lost for that.
void Recovery::State::hand_back(FrameFates& fates) {
  unsigned datagrams = 0;
  std::uint64_t last = next_datagram();
  for (PacketNumber number = oldest; number < next_number(); ++number) {
    SentPacket& packet = sent.packets[number];
    if (packet.fate != Fate::on_its_way || !packet.is_reliable || packet.is_handed_back) continue;
    if (sent.datagrams[packet.datagram].is_mtu_probe) continue;
    if (std::exchange(last, packet.datagram) != packet.datagram && ++datagrams > kProbes) return;
    hand_back(packet, fates);
  }
}

void Recovery::State::hand_back(SentPacket& packet, FrameFates& fates) const {
  if (!std::exchange(packet.is_handed_back, true)) fates.frame_lost(packet.frame);
}

// More is remembered than a path needs, since nothing is acknowledged.
void Recovery::State::shed(FrameFates& fates, Step& step) {
  while (is_overfull()) {
    while (sent.packets.begin_number() < oldest && is_overfull()) sent.pop();
    if (!is_overfull()) return;
    if (sent.packets[oldest].fate == Fate::on_its_way && sent.packets[oldest].is_reliable) {
      lose_datagram(sent.packets[oldest].datagram, fates, step);
    } else {
      ++oldest;
    }
  }
}

// Forgets, from the oldest on, what is acknowledged, and the rest once nobody will speak of it.
void Recovery::State::trim(TimePoint now) noexcept {
  while (oldest < next_number() && !sent.packets[oldest].is_reliable) ++oldest;
  const Duration kept = kKeptTimeouts * probe_timeout();
  while (sent.packets.begin_number() < oldest) {
    const PacketNumber number = sent.packets.begin_number();
    const bool may_come = sent.packets[number].fate != Fate::acked &&
                          sent.datagram_of(number).sent + kept > now &&
                          sent.packets.size() <= kMaxKeptPackets;
    if (may_come) return;
    sent.pop();
  }
}

// --- paths and permission

void Recovery::handle_new_path(TimePoint now) { state_->handle_new_path(now); }

void Recovery::State::handle_new_path(TimePoint now) {
  for (PacketNumber number = sent.packets.begin_number(); number < next_number(); ++number)
    sent.packets[number].is_in_flight = false;
  path_first_datagram = next_datagram();
  in_flight = 0;
  has_lost = false;
  window_limited.reset();
  round_trip = RoundTrip(options.initial_rtt);
  first_round_trip.reset();
  sampler = RateSampler(now);
  episode = LossEpisode();
  row = LossRow();
  ecn.handle_new_path();
  congestion = make_congestion(options, now);
  pacer = Pacer(congestion->window_bytes(), options.datagram_bytes, now);
  pace(now);
  reorder = kMinReorder;
  backoff = 0;
}

void Recovery::set_datagram_bytes(std::size_t bytes) noexcept {
  if (bytes == state_->options.datagram_bytes) return;
  state_->options.datagram_bytes = bytes;
  state_->congestion->set_datagram_bytes(bytes);
  state_->pacer.set_datagram_bytes(bytes);
}

void Recovery::set_max_ack_delay(Duration delay) noexcept { state_->max_ack_delay = delay; }

unsigned Recovery::probes_due() const noexcept { return state_->probes_due; }

std::optional<TimePoint> Recovery::next_send(TimePoint now) const {
  const State& s = *state_;
  if (s.probes_due > 0) return now;
  const bool has_room =
      s.in_flight == 0 || s.in_flight + s.options.datagram_bytes <= s.congestion->window_bytes();
  if (!has_room) return std::nullopt;
  return s.pacer.next_send(now);
}

std::size_t Recovery::train_bytes() const noexcept { return state_->pacer.train_bytes(); }

// --- getters

Recovery::Recovery(const RecoveryOptions& options, TimePoint now)
    : state_(std::make_unique<State>(options, now)) {}

Recovery::Recovery(Recovery&&) noexcept = default;
Recovery& Recovery::operator=(Recovery&&) noexcept = default;
Recovery::~Recovery() = default;

Duration Recovery::smoothed_rtt() const noexcept { return state_->round_trip.smoothed(); }

Duration Recovery::min_rtt() const noexcept { return state_->round_trip.min(); }

Duration Recovery::probe_timeout() const noexcept { return state_->probe_timeout(); }

std::size_t Recovery::window_bytes() const noexcept { return state_->congestion->window_bytes(); }

std::size_t Recovery::in_flight_bytes() const noexcept { return state_->in_flight; }

std::uint64_t Recovery::pacing_rate() const noexcept { return state_->congestion->pacing_rate(); }

std::uint64_t Recovery::lost_frames() const noexcept { return state_->lost_frames; }

std::uint64_t Recovery::spurious_losses() const noexcept { return state_->spurious_losses; }

std::uint64_t Recovery::probe_timeouts() const noexcept { return state_->probe_timeouts; }

}  // namespace sealine::stt::detail
