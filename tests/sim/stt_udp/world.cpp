#include "tests/sim/stt_udp/world.hpp"

#include "sealine/crypto/engine.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/session.hpp"
#include "support/link.hpp"
#include "tests/sim/base/content.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/run_result.hpp"
#include "tests/sim/base/stage.hpp"
#include "tests/sim/base/violation.hpp"
#include "tests/sim/stt/end.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <malloc.h>
#include <memory>
#include <utility>
#include <vector>

namespace sealine::sim {

SttUdpWorld::SttUdpWorld(std::uint64_t seed, std::uint64_t events, crypto::Engine& inner,
                         const NoKeys&)
    : Stage(seed, 0x577, inner),
      events_(events),
      links_{test::Link({}, mix(seed) ^ 1), test::Link({}, mix(seed) ^ 2)} {
  closes_ = seed % 4 == 3;
  draw_path();
  const stt::SessionConfig config = draw_config();
  std::array<ByteArray<32>, 2> roots{};
  for (auto& root : roots) rng_.fill(root);
  const bool forward_secrecy = dice_.chance(30);
  for (const stt::Role role : {stt::Role::initiator, stt::Role::responder}) {
    stt::Established established{.role = role,
                                 .session_id = kId,
                                 .initiator_key = stt::DirectionKey(roots[0]),
                                 .responder_key = stt::DirectionKey(roots[1]),
                                 .forward_secrecy = forward_secrecy,
                                 .peer = {},
                                 .peer_capabilities = {}};
    ends_[index(role)] = std::make_unique<SttEnd>(config, std::move(established), engine_, rng_,
                                                  Dice(dice_.next()), now_);
  }
}

RunResult SttUdpWorld::run() {
  draw_faults();
  while (turns_ < events_ && !is_over()) turn(false);
  if (closes_) {
    if (!is_over()) close();
  } else {
    settle();
  }
  check_end();
  RunResult result{.trace = trace_.value(), .events = turns_, .counts = {}};
  std::uint64_t bytes = 0, messages = 0, streams = 0, rotations = 0;
  for (const auto& end : ends_) {
    bytes += end->bytes_read;
    messages += end->messages_read;
    streams += end->streams_opened;
    rotations += end->rotations;
  }
  result.counts = {{"streams", streams},
                   {"kilobytes", bytes / 1000},
                   {"messages", messages},
                   {"rotations", rotations},
                   {"moves", moves_followed_},
                   {"datagrams", links_[0].counts().sent + links_[1].counts().sent},
                   {"lost", lost()},
                   {"nonces", book_.count()},
                   {"closed early", closes_ ? 1U : 0U}};
  return result;
}

std::uint64_t SttUdpWorld::lost() const {
  std::uint64_t sum = 0;
  for (const auto& link : links_) {
    const auto& c = link.counts();
    sum += c.lost + c.queue_full + c.swallowed + c.too_large + c.corrupted;
  }
  return sum;
}

void SttUdpWorld::draw_path() {
  const auto rate = dice_.pick<std::uint64_t>({0, 2'000'000, 10'000'000, 100'000'000});
  const auto delay = dice_.pick<Duration>({0ms, 1ms, 10ms, 40ms, 150ms});
  mtu_ = dice_.pick<std::size_t>({1200, 1300, 1472, 1472, 9000});
  for (auto& link : links_) {
    test::LinkSettings& s = link.settings();
    s.bits_per_second = rate;
    s.delay = delay;
    s.jitter = dice_.chance(30) ? delay / 4 : 0ms;
    s.queue_bytes = dice_.pick<std::size_t>({8'000, 30'000, 100'000, 10'000'000});
    if (dice_.chance(25)) s.mark_above_bytes = 4'000;
    s.mtu_bytes = mtu_;
    s.reorder_hold = 20ms + delay;
  }
  moves_ = dice_.chance(35);
}

stt::SessionConfig SttUdpWorld::draw_config() {
  stt::SessionConfig config;
  config.transport = stt::Transport::udp;
  config.padding =
      dice_.pick({stt::Padding::none, stt::Padding::none, stt::Padding::none,
                  stt::Padding::fixed_128, stt::Padding::fixed_256, stt::Padding::fixed_512,
                  stt::Padding::fixed_1024, stt::Padding::full});
  config.recovery.congestion =
      dice_.pick({stt::CongestionControl::cubic, stt::CongestionControl::cubic,
                  stt::CongestionControl::bbr, stt::CongestionControl::new_reno});
  config.probe_mtu = dice_.chance(80);
  config.largest_datagram_bytes =
      config.probe_mtu ? dice_.pick<std::size_t>({1452, 1472, 8972}) : 1200;
  config.limits.rotate_frames = dice_.pick<std::uint64_t>({20, 60, 300, 100'000});
  config.limits.rotate_bytes = dice_.pick<std::uint64_t>({20'000, 1'000'000'000});
  config.limits.rotate_after = dice_.pick<Duration>({2s, 3600s});
  config.limits.send_buffer_bytes = dice_.pick<std::size_t>({5'000, 60'000, 262'144});
  // Two of the largest messages at least: less may not be granted before one of them is read.
  config.limits.stream_window_bytes = dice_.pick<std::uint64_t>({50'000, 262'144});
  config.limits.session_window_bytes = dice_.pick<std::uint64_t>({150'000, 1'048'576});
  config.limits.max_stream_window_bytes = 1U << 20U;
  config.limits.max_session_window_bytes = 4U << 20U;
  // Who moves and only receives has to say so now and then.
  if (moves_ || dice_.chance(30)) config.limits.ping_after = 5s;
  return config;
}

void SttUdpWorld::draw_faults() {
  faults_until_ = now_ + std::chrono::milliseconds(dice_.between(100, 3000));
  const bool is_calm = dice_.chance(25);
  for (auto& link : links_) {
    test::LinkSettings& s = link.settings();
    clear_faults(s);
    if (is_calm) continue;
    s.loss = dice_.pick({0.0, 0.001, 0.01, 0.05, 0.3});
    if (dice_.chance(15)) s.bursts = test::BurstLoss{.to_bad = 0.01, .to_good = 0.2};
    s.duplicate = dice_.pick({0.0, 0.0, 0.02, 0.1});
    s.corrupt = dice_.pick({0.0, 0.0, 0.001, 0.01});
    s.reorder = dice_.pick({0.0, 0.0, 0.02, 0.2});
    s.reorder_window = dice_.between(1, 64);
    if (dice_.chance(10) && now_ >= next_hole_) {
      // One direction alone; and where the session has to live through it, not so often that it
      // could think that the other end is gone.
      const std::size_t most_ms = closes_ ? 120'000 : 4'000;
      const Duration hole = std::chrono::milliseconds(
          dice_.between(10, dice_.chance(20) ? most_ms : std::size_t{1000}));
      s.blackholes = {{.from = now_, .until = now_ + hole}};
      next_hole_ = now_ + 4 * hole;
    }
  }
  if (mtu_ >= 1300 && dice_.chance(20)) {
    for (auto& link : links_) link.settings().mtu_bytes = dice_.pick<std::size_t>({1200, mtu_});
  }
}

void SttUdpWorld::clear_faults(test::LinkSettings& s) {
  s.loss = s.duplicate = s.corrupt = s.reorder = 0;
  s.bursts.reset();
  s.blackholes.clear();
}

void SttUdpWorld::turn(bool is_settling) {
  ++turns_;
  if (!is_settling && now_ >= faults_until_) draw_faults();
  for (auto& end : ends_) {
    receive(*end, is_settling);
    const auto due = end->deadline();
    const bool is_due = due && *due <= now_;
    // Early is harmless.
    if (is_due || (!is_settling && dice_.chance(1))) end->timeout(now_);
    end->take_events(peer_of(*end), now_);
    if (is_settling) {
      end->read(peer_of(*end), false, now_);
      end->finish_all(now_);
    } else {
      act(*end);
    }
    end->take_events(peer_of(*end), now_);
    if (is_settling) {
      end->read(peer_of(*end), false, now_);
      end->finish_all(now_);
    }
  }
  for (auto& end : ends_) {
    if (const auto path = end->path_changed()) {
      proven_.push_back(*path);
      ++moves_followed_;
    }
    send(*end, is_settling);
    end->take_events(peer_of(*end), now_);
  }
  require(!book_.repeated(), "no key seals twice with one nonce");
  book_.tidy();
  if (turns_ % 64 == 0) {
    for (const auto& end : ends_) end->check_windows();
  }
  advance(is_settling);
}

void SttUdpWorld::advance(bool is_settling) {
  TimePoint next = now_ + 10s;
  for (const auto& end : ends_) {
    if (const auto due = end->deadline()) next = std::min(next, *due);
  }
  for (const auto& link : links_) {
    if (const auto at = link.next_arrival()) next = std::min(next, *at);
  }
  if (!is_settling) next = std::min({next, next_act_, faults_until_});
  if (unsent_) next = std::min(next, now_ + 100us);
  unsent_ = false;
  if (next <= now_) {
    if (++standing_still_ > 1000) fail("time goes on");
    return;
  }
  standing_still_ = 0;
  now_ = next;
}

void SttUdpWorld::receive(SttEnd& end, bool is_settling) {
  test::Link& link = links_[1 - index(end.role())];
  while (auto arrived = link.receive(now_)) {
    const std::vector<std::uint8_t> copy(arrived->bytes.begin(), arrived->bytes.end());
    if (!is_settling && dice_.chance(1)) remember(end, copy);
    deliver(end, arrived->bytes, arrived->source, arrived->mark);
  }
  if (is_settling) return;
  if (!captured_[index(end.role())].empty() && dice_.chance(1)) {
    // Anything that was ever seen, again; from where it came or from elsewhere.
    auto& captured = captured_[index(end.role())];
    std::vector<std::uint8_t> again = captured[dice_.below(captured.size())];
    const bool is_spoofed = !end.is_initiator() && dice_.chance(50);
    deliver(end, again, is_spoofed ? kSpoofed + dice_.below(3) : address_, stt::EcnMark::none);
  }
}

void SttUdpWorld::remember(SttEnd& end, const std::vector<std::uint8_t>& datagram) {
  auto& captured = captured_[index(end.role())];
  if (captured.size() < 8) {
    captured.push_back(datagram);
  } else {
    captured[dice_.below(captured.size())] = datagram;
  }
  // Overtakes the true one, from an address that is not the sender's.
  if (!end.is_initiator() && dice_.chance(30)) {
    std::vector<std::uint8_t> first = datagram;
    deliver(end, first, kSpoofed + dice_.below(3), stt::EcnMark::none);
  }
}

void SttUdpWorld::deliver(SttEnd& end, MutableBytes bytes, std::uint64_t source,
                          stt::EcnMark mark) {
  trace_.add(ByteView(bytes).first(std::min<std::size_t>(bytes.size(), 40)));
  // The initiator has dialled one address and hears no other.
  const stt::PathId path = end.is_initiator() ? 0 : source;
  if (!end.is_initiator()) received_from_[path] += bytes.size();
  ++arrivals_[index(end.role())];
  const auto handled = end.session().handle_datagram(bytes, {.path = path, .mark = mark}, now_);
  require(handled.has_value(), "a datagram is never an error");
}

void SttUdpWorld::send(SttEnd& end, bool is_settling) {
  const std::size_t side = index(end.role());
  std::array<std::uint8_t, 9100> out{};
  for (int count = 0;; ++count) {
    require(count < 20'000, "what an end has to say comes to an end");
    if (!is_settling && dice_.chance(1)) {
      unsent_ = true;  // the socket is full for now
      return;
    }
    const bool was_closed = was_over_[side];
    const stt::Departure departure = end.session().poll_datagram(out, now_);
    if (departure.bytes == 0) break;
    require(departure.bytes <= out.size(), "a datagram fits");
    const MutableBytes datagram = MutableBytes(out).first(departure.bytes);
    check_datagram(end, datagram, departure, was_closed);
    was_over_[side] = end.session().state() == stt::SessionState::closing ||
                      end.session().state() == stt::SessionState::closed;
    // What goes to another address than the peer's arrives nowhere.
    if (!end.is_initiator() && departure.path != address_) continue;
    links_[side].send(datagram, end.is_initiator() ? address_ : 0, stt::EcnMark::ect0, now_);
  }
}

void SttUdpWorld::check_datagram(SttEnd& end, MutableBytes datagram,
                                 const stt::Departure& departure, bool was_closed) {
  const std::size_t side = index(end.role());
  trace_.add(datagram.size() ^ (std::uint64_t{side} << 40U) ^
             static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  require(!Content::is_in_clear_in(datagram), "nothing is in clear on the wire");
  if (was_closed) {
    require(std::ranges::equal(datagram, last_sent_[side]),
            "who has closed says the same again, and nothing else");
    require(++repeats_[side] <= arrivals_[side] - arrivals_at_close_[side],
            "who has closed answers once to each datagram");
    return;
  }
  require(!(end.closed() && end.closed()->by_peer), "nothing is said after a CLOSE that came");
  last_sent_[side].assign(datagram.begin(), datagram.end());
  arrivals_at_close_[side] = arrivals_[side];
  MutableBytes rest = datagram;
  while (!rest.empty()) {
    const auto frame = stt::parse_frame(rest);
    require(frame.has_value(), "a datagram holds whole frames");
    require(frame->head.session_id == kId, "a frame has its session's id");
    require(frame->head.number == next_number_[side]++, "numbers rise by one");
    require(frame->head.epoch >= epoch_[side] && frame->head.epoch <= epoch_[side] + 1,
            "epochs only rise");
    epoch_[side] = frame->head.epoch;
    rest = rest.subspan(frame->frame_bytes);
  }
  if (end.is_initiator()) {
    require(departure.path == 0, "the initiator speaks to whom it dialled");
    return;
  }
  if (std::ranges::find(proven_, departure.path) != proven_.end()) return;
  sent_to_[departure.path] += datagram.size();
  require(sent_to_[departure.path] <= kAmplification * received_from_[departure.path],
          "an address that is not proven gets three times what came from it");
}

void SttUdpWorld::act(SttEnd& end) {
  if (now_ < next_act_ && dice_.chance(90)) return;
  if (end.is_initiator()) {
    next_act_ = now_ + std::chrono::microseconds(dice_.pick({50UL, 500UL, 5'000UL, 40'000UL}) *
                                                 dice_.between(1, 4));
  }
  const std::size_t roll = dice_.below(1000);
  if (roll < 60 && end.open_streams() < kMaxStreams) {
    end.open(now_);
  } else if (roll < 500) {
    end.write(now_);
  } else if (roll < 900) {
    end.read(peer_of(end), true, now_);
  } else if (roll < 940) {
    end.finish(now_);
  } else if (roll < 945) {
    end.reset(now_);
  } else if (roll < 950) {
    end.stop(now_);
  } else if (roll < 960) {
    end.ping(now_);
  } else if (roll < 965) {
    end.rotate(now_);
  } else if (roll < 972 && moves_ && end.is_initiator()) {
    ++address_;  // a NAT has forgotten it, or it walks
  } else if (roll < 973 && closes_ && !end.is_over()) {
    end.close(static_cast<std::uint16_t>(256 + dice_.below(100)), now_);
  }
}

void SttUdpWorld::stop_faults() {
  for (auto& link : links_) {
    clear_faults(link.settings());
    link.settings().mtu_bytes = mtu_;
  }
}

void SttUdpWorld::settle() {
  if (is_over()) fail("a session stays open by itself");
  stop_faults();
  const TimePoint limit = now_ + kSettleTime;
  while (!(initiator().all_streams_closed() && responder().all_streams_closed())) {
    turn(true);
    if (is_over()) fail("a session stays open by itself");
    if (now_ > limit) fail("all is done a minute after the last fault");
  }
  for (const auto& end : ends_) {
    end->check_complete(peer_of(*end));
    require(end->session().statistics().streams_open == 0, "a stream that is over is forgotten");
  }
  SttEnd& closer = *ends_[dice_.below(2)];
  closer.drain(now_);
  while (!(initiator().is_over() && responder().is_over())) {
    turn(true);
    if (now_ > limit + 10s) fail("a drained session ends");
  }
  const auto& heard = peer_of(closer).closed();
  require(heard->code == 0 && heard->by_peer, "a drained session ends with NORMAL");
}

void SttUdpWorld::close() {
  ends_[dice_.below(2)]->close(400, now_);
  settle_close();
}

void SttUdpWorld::settle_close() {
  stop_faults();
  const TimePoint limit = now_ + 2 * kSettleTime + 20s;
  while (!(initiator().is_over() && responder().is_over())) {
    turn(true);
    if (now_ > limit) fail("a session that one has closed ends for both");
  }
}

void SttUdpWorld::check_end() {
  if (closes_) settle_close();
  // The rest of what is on its way, and what it is answered with.
  const TimePoint limit = now_ + 10s;
  while (now_ < limit && (links_[0].in_flight() > 0 || links_[1].in_flight() > 0)) turn(true);
  for (auto& end : ends_) {
    const stt::SessionClosed& closed = *end->closed();
    const auto code = peer_of(*end).close_code();
    // Who could not reach the other end for long enough is right to give up.
    const bool is_given_up = closed.code == 4 || closed.code == 6;
    const bool is_known = closed.code == 0 || end->close_code() == closed.code ||
                          code == closed.code || (closes_ && is_given_up);
    if (!is_known) fail("a session ends as somebody ended it");
    if (closed.by_peer && closed.code >= 256) {
      require(closed.reason == "enough", "a CLOSE says why");
    }
  }
  // What a session holds when it is over, with all that the streams had that nobody read.
  for (auto& end : ends_) {
    const std::size_t before = ::mallinfo2().uordblks;
    end->forget_session();
    const std::size_t held = before - ::mallinfo2().uordblks;
    require(held <= kMaxHeldBytes, "a session's memory is bounded");
  }
}

void SttUdpWorld::fail(const char* invariant) {
  initiator().print("initiator");
  responder().print("responder");
  for (auto& link : links_) {
    const auto& c = link.counts();
    std::printf("  link: mtu %zu, queue %zu; %llu sent, %llu too large, %llu queue full\n",
                link.settings().mtu_bytes, link.settings().queue_bytes,
                static_cast<unsigned long long>(c.sent),
                static_cast<unsigned long long>(c.too_large),
                static_cast<unsigned long long>(c.queue_full));
  }
  throw Violation(invariant);
}

}  // namespace sealine::sim
