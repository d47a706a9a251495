// What UDP adds to a session: loss, order, copies, other paths, sizes.
// spec: stt.md#recovery, stt.md#migration, stt.md#mtu, stt.md#close, stt.md#rotation
#include "sealine/stt/session.hpp"
#include "support/fixed_rng.hpp"
#include "support/link.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

namespace sealine::stt {
namespace {

using namespace std::chrono_literals;
using test::Link;
using test::LinkSettings;
using Bytes = std::vector<std::uint8_t>;

constexpr TimePoint kStart{1000s};
constexpr SessionId kId{1, 2, 3, 4, 5, 6, 7, 8};

DirectionKey root_of(Role sender) {
  return DirectionKey(ByteArray<32>{static_cast<std::uint8_t>(sender == Role::initiator ? 1 : 2)});
}

Established made(Role role) {
  Established result{.role = role,
                     .session_id = kId,
                     .initiator_key = root_of(Role::initiator),
                     .responder_key = root_of(Role::responder),
                     .forward_secrecy = true,
                     .peer = {},
                     .peer_capabilities = {}};
  return result;
}

SessionConfig udp(CongestionControl congestion = CongestionControl::cubic) {
  SessionConfig config;
  config.transport = Transport::udp;
  config.recovery.congestion = congestion;
  return config;
}

LinkSettings slow_link() { return {.bits_per_second = 50'000'000, .delay = 10ms}; }

Bytes pattern(std::size_t size, unsigned seed = 0) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<std::uint8_t>((i * 131 + (i >> 9U) + seed) & 0xFFU);
  return out;
}

// Two sessions and two directions of a path, in virtual time.
class World {
 public:
  explicit World(SessionConfig config = udp(), LinkSettings link = slow_link())
      : World(config, config, link) {}

  World(SessionConfig of_a, SessionConfig of_b, LinkSettings link = slow_link())
      : a(of_a, made(Role::initiator), *engine, rng, kStart),
        b(of_b, made(Role::responder), *engine, rng, kStart),
        to_b(link, 1),
        to_a(link, 2) {}

  // Until `done`, or for so long.
  bool run(const std::function<bool()>& done, Duration most = 60s) {
    const TimePoint end = now + most;
    while (now <= end) {
      turn();
      if (done()) return true;
      TimePoint next = end + 1ns;
      for (const auto& each :
           {a.poll_timeout(), b.poll_timeout(), to_a.next_arrival(), to_b.next_arrival()}) {
        if (each) next = std::min(next, *each);
      }
      now = std::max(next, now);
    }
    now = end;
    return done();
  }

  void pass(Duration time) {
    (void)run([] { return false; }, time);
  }

  void turn() {
    deliver(to_b, b);
    deliver(to_a, a);
    for (Session* session : {&a, &b}) {
      if (const auto due = session->poll_timeout(); due && *due <= now)
        session->handle_timeout(now);
    }
    send(a, to_b, sent_a);
    send(b, to_a, sent_b);
    while (auto event = a.poll_event()) events_a.push_back(std::move(*event));
    while (auto event = b.poll_event()) events_b.push_back(std::move(*event));
  }

  template <class E>
  static std::vector<E> of(const std::vector<Session::Event>& events) {
    std::vector<E> found;
    for (const auto& event : events) {
      if (const auto* e = std::get_if<E>(&event)) found.push_back(*e);
    }
    return found;
  }

  // All of `data` over a new stream of `from`; what came out at the other end.
  Bytes carry(Session& from, Session& to, ByteView data, Duration most = 60s) {
    const StreamId stream = *from.open({}, now);
    Bytes received;
    bool finished = false;
    bool said_all = false;
    (void)run(
        [&] {
          while (!data.empty()) {
            const auto taken = from.write(stream, data, now);
            if (!taken || *taken == 0) break;
            data = data.subspan(*taken);
          }
          if (data.empty() && !said_all) said_all = from.finish(stream, now).has_value();
          Bytes buffer(65536);
          while (true) {
            const auto read = to.read(stream, buffer, now);
            if (!read) break;
            received.insert(received.end(), buffer.begin(),
                            buffer.begin() + static_cast<std::ptrdiff_t>(read->bytes));
            finished = finished || read->finished;
            if (read->bytes == 0 || read->finished) break;
          }
          turn();
          return finished;
        },
        most);
    EXPECT_TRUE(finished);
    return received;
  }

  std::unique_ptr<crypto::Engine> engine = *crypto::make_engine();
  test::SeededRng rng{1};
  TimePoint now = kStart;
  Session a;
  Session b;
  Link to_b;
  Link to_a;
  std::uint64_t address_of_a = 0;
  std::vector<Session::Event> events_a;
  std::vector<Session::Event> events_b;
  std::vector<Bytes> sent_a;  ///< while `keep`
  std::vector<Bytes> sent_b;
  std::map<PathId, std::uint64_t> bytes_of_b;  ///< that b sent to each path
  bool keep = false;
  std::function<bool(PathId)> reaches_a = [](PathId) { return true; };

 private:
  void deliver(Link& link, Session& to) {
    while (auto arrived = link.receive(now)) {
      (void)to.handle_datagram(arrived->bytes, {.path = arrived->source, .mark = arrived->mark},
                               now);
    }
  }

  void send(Session& from, Link& link, std::vector<Bytes>& kept) {
    Bytes out(2048);
    while (true) {
      const Departure departure = from.poll_datagram(out, now);
      if (departure.bytes == 0) return;
      const ByteView datagram = ByteView(out).first(departure.bytes);
      if (keep) kept.emplace_back(datagram.begin(), datagram.end());
      if (&from == &b) {
        bytes_of_b[departure.path] += departure.bytes;
        if (!reaches_a(departure.path)) continue;
      }
      link.send(datagram, &from == &a ? address_of_a : 0, EcnMark::ect0, now);
    }
  }
};

TEST(SttUdp, ABulkStreamArrivesWholeAndAllIsAcknowledged) {
  World world;
  const Bytes data = pattern(3'000'000);
  EXPECT_EQ(world.carry(world.a, world.b, data), data);
  world.pass(1s);
  EXPECT_EQ(world.a.statistics().in_flight_bytes, 0U);
  EXPECT_EQ(world.a.statistics().frames_lost, 0U);
}

TEST(SttUdp, WhatIsLostCopiedOrOvertakenArrivesOnceAndInOrder) {
  for (const auto congestion :
       {CongestionControl::new_reno, CongestionControl::cubic, CongestionControl::bbr}) {
    LinkSettings link = slow_link();
    link.loss = 0.05;
    link.duplicate = 0.05;
    link.reorder = 0.05;
    link.corrupt = 0.01;
    World world(udp(congestion), link);
    const Bytes data = pattern(300'000);
    EXPECT_EQ(world.carry(world.a, world.b, data), data);
    EXPECT_GT(world.a.statistics().frames_lost, 0U);
  }
}

TEST(SttUdp, MessagesOfEveryModeKeepTheirPromise) {
  LinkSettings link = slow_link();
  link.loss = 0.1;
  link.reorder = 0.1;
  link.duplicate = 0.1;
  World world(udp(), link);

  struct Row {
    StreamMode mode;
    std::uint32_t deadline_ms;
    std::map<Bytes, int> got{};
    bool finished = false;
  };

  std::map<StreamId, Row> rows;
  constexpr std::size_t kMessages = 150;
  for (const auto& [mode, deadline] : {std::pair{StreamMode::unordered, 0U},
                                       {StreamMode::partial, 2000U},
                                       {StreamMode::unreliable, 0U}}) {
    const StreamId stream = *world.a.open({.mode = mode, .deadline_ms = deadline}, world.now);
    for (std::size_t i = 0; i < kMessages; ++i) {
      // One size that no datagram takes whole, where that may be.
      const std::size_t size = mode == StreamMode::unreliable ? 100 + i : 100 + (13 * i);
      ASSERT_TRUE(world.a.write(stream, pattern(size, static_cast<unsigned>(i)), world.now));
      world.turn();
    }
    ASSERT_TRUE(world.a.finish(stream, world.now));
    rows.emplace(stream, Row{.mode = mode, .deadline_ms = deadline});
  }
  const auto read_all = [&] {
    bool all = true;
    for (auto& [stream, row] : rows) {
      Bytes message(kMaxMessageBytes);
      while (!row.finished) {
        const auto read = world.b.read(stream, message, world.now);
        if (!read) break;
        row.finished = read->finished;
        if (!read->message_end) break;
        ++row.got[Bytes(message.begin(),
                        message.begin() + static_cast<std::ptrdiff_t>(read->bytes))];
      }
      all = all && row.finished;
    }
    return all;
  };
  EXPECT_TRUE(world.run(read_all));
  for (const auto& [stream, row] : rows) {
    SCOPED_TRACE(static_cast<int>(row.mode));
    if (row.mode == StreamMode::unordered) {
      EXPECT_EQ(row.got.size(), kMessages);
    }
    EXPECT_GT(row.got.size(), kMessages / 2);
    for (const auto& [message, count] : row.got) {
      EXPECT_EQ(count, 1);
      const std::size_t i =
          row.mode == StreamMode::unreliable ? message.size() - 100 : (message.size() - 100) / 13;
      EXPECT_EQ(message, pattern(message.size(), static_cast<unsigned>(i)));
    }
  }
  // An unreliable message is never sent twice: about a tenth of them is gone.
  EXPECT_LT(rows.rbegin()->second.got.size(), kMessages);
}

TEST(SttUdp, RotationsUnderLossLoseNothing) {
  SessionConfig config = udp();
  config.limits.rotate_frames = 100;
  LinkSettings link = slow_link();
  link.loss = 0.05;
  link.reorder = 0.1;
  World world(config, link);
  const Bytes data = pattern(1'000'000);
  EXPECT_EQ(world.carry(world.a, world.b, data), data);
  EXPECT_GE(world.a.statistics().epoch_sent, 5U);
}

TEST(SttUdp, AReplayedDatagramChangesNothing) {
  World world;
  world.keep = true;
  const Bytes data = pattern(100'000);
  ASSERT_EQ(world.carry(world.a, world.b, data), data);
  const auto before = world.b.statistics();
  std::vector<Bytes> again = world.sent_a;
  for (Bytes& datagram : again) {
    ASSERT_TRUE(world.b.handle_datagram(datagram, {}, world.now));
  }
  const auto after = world.b.statistics();
  EXPECT_EQ(after.frames_received, before.frames_received);
  EXPECT_EQ(after.frames_dropped, before.frames_dropped + again.size());
  // Nor does it go back to where it came from.
  again = world.sent_a;
  for (Bytes& datagram : again) {
    ASSERT_TRUE(world.a.handle_datagram(datagram, {}, world.now));
  }
  EXPECT_EQ(world.a.state(), SessionState::active);
}

TEST(SttUdp, FlippedBitsAreDroppedInSilence) {
  SessionConfig config = udp();
  config.probe_mtu = false;
  World world(config);
  world.keep = true;
  const StreamId stream = *world.a.open({}, world.now);
  ASSERT_TRUE(world.a.write(stream, pattern(20), world.now));
  world.turn();
  ASSERT_EQ(world.sent_a.size(), 1U);
  for (std::size_t bit = 0; bit < world.sent_a[0].size() * 8; ++bit) {
    Bytes changed = world.sent_a[0];
    changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1U << (bit % 8)));
    ASSERT_TRUE(world.b.handle_datagram(changed, {}, world.now)) << bit;
  }
  EXPECT_EQ(world.b.statistics().frames_received, 0U);
  EXPECT_EQ(world.b.state(), SessionState::active);
  Bytes true_one = world.sent_a[0];
  ASSERT_TRUE(world.b.handle_datagram(true_one, {}, world.now));
  EXPECT_EQ(world.b.statistics().frames_received, 1U);
}

// A frame made with the peer's keys, and an ACK in it.
Bytes forged_ack(crypto::Engine& engine, PacketNumber number, const Ack& ack) {
  EpochKeys keys(engine, 0, root_of(Role::responder));
  Bytes body(2048);
  ControlWriter writer(body);
  EXPECT_TRUE(writer.put(ack));
  Bytes out(4096);
  out.resize(keys.seal({.type = FrameType::control, .session_id = kId, .number = number}, {},
                       writer.finish(), out));
  return out;
}

TEST(SttUdp, AnAckOfWhatWasNeverSentEndsTheSession) {
  World world;
  const StreamId stream = *world.a.open({}, world.now);
  ASSERT_TRUE(world.a.write(stream, pattern(20), world.now));
  world.turn();
  Ack ack;
  ack.ranges[0] = {.first = 0, .last = 1000};
  ack.range_count = 1;
  Bytes forged = forged_ack(*world.engine, 500, ack);
  ASSERT_TRUE(world.a.handle_datagram(forged, {}, world.now));
  world.turn();
  const auto closed = World::of<SessionClosed>(world.events_a);
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0].code, static_cast<std::uint16_t>(CloseCode::protocol));
}

TEST(SttUdp, CloseIsSaidAgainToWhoeverStillSends) {
  World world;
  ASSERT_EQ(world.carry(world.a, world.b, pattern(1000)).size(), 1000U);
  world.a.close(300, "enough", world.now);
  Bytes out(2048);
  const std::size_t first = world.a.poll_datagram(out, world.now).bytes;
  ASSERT_GT(first, 0U);
  const Bytes close(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(first));
  EXPECT_EQ(world.a.poll_datagram(out, world.now).bytes, 0U);
  // It was lost: what still comes is answered with the same bytes, one for each datagram.
  world.b.ping(world.now);
  for (int i = 0; i < 3; ++i) {
    Bytes anything(40, 7);
    ASSERT_TRUE(world.a.handle_datagram(anything, {}, world.now));
    const std::size_t again = world.a.poll_datagram(out, world.now).bytes;
    EXPECT_TRUE(std::equal(close.begin(), close.end(), out.begin(),
                           out.begin() + static_cast<std::ptrdiff_t>(again)));
    EXPECT_EQ(world.a.poll_datagram(out, world.now).bytes, 0U);
  }
  Bytes copy = close;
  ASSERT_TRUE(world.b.handle_datagram(copy, {}, world.now));
  EXPECT_EQ(world.b.state(), SessionState::closed);
  EXPECT_EQ(world.b.poll_datagram(out, world.now).bytes, 0U);
  // And not for ever.
  EXPECT_EQ(world.a.state(), SessionState::closing);
  world.now = *world.a.poll_timeout();
  world.a.handle_timeout(world.now);
  EXPECT_EQ(world.a.state(), SessionState::closed);
  Bytes late(40, 7);
  ASSERT_TRUE(world.a.handle_datagram(late, {}, world.now));
  EXPECT_EQ(world.a.poll_datagram(out, world.now).bytes, 0U);
}

TEST(SttUdp, TheSessionFollowsItsInitiatorToAnotherAddress) {
  World world;
  const Bytes data = pattern(2'000'000);
  bool moved = false;
  world.to_b.settings().rewrite_source = [&](std::uint64_t source, TimePoint now) {
    moved = now > kStart + 200ms;
    return moved ? 7 : source;
  };
  world.reaches_a = [&](PathId path) { return path == (moved ? 7U : 0U); };
  EXPECT_EQ(world.carry(world.a, world.b, data), data);
  EXPECT_TRUE(moved);
  const auto changed = World::of<PathChanged>(world.events_b);
  ASSERT_EQ(changed.size(), 1U);
  EXPECT_EQ(changed[0].path, 7U);
  EXPECT_TRUE(World::of<SessionClosed>(world.events_b).empty());
}

TEST(SttUdp, AnAddressThatDoesNotAnswerGetsNoMoreThanThreeTimesWhatItSent) {
  // Small datagrams ask, and what answers would fill one of 1,200 bytes.
  SessionConfig padded = udp();
  padded.padding = Padding::full;
  World world(udp(), padded);
  world.keep = true;
  ASSERT_EQ(world.carry(world.a, world.b, pattern(50'000)).size(), 50'000U);
  // Somebody on the way sends the newest datagrams on from an address that is not his.
  const StreamId stream = *world.a.open({}, world.now);
  std::uint64_t spoofed_bytes = 0;
  world.sent_a.clear();
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(world.a.write(stream, pattern(200), world.now));
    Bytes out(2048);
    while (true) {
      const std::size_t length = world.a.poll_datagram(out, world.now).bytes;
      if (length == 0) break;
      Bytes stolen(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(length));
      spoofed_bytes += length;
      ASSERT_TRUE(world.b.handle_datagram(stolen, {.path = 9}, world.now));
    }
    world.now += 100ms;
    world.turn();
    EXPECT_LE(world.bytes_of_b[9], 3 * spoofed_bytes);
  }
  EXPECT_GT(world.bytes_of_b[9], 0U);
  EXPECT_TRUE(World::of<PathChanged>(world.events_b).empty());
}

TEST(SttUdp, TheInitiatorStaysWithTheAddressThatItDialled) {
  World world;
  ASSERT_EQ(world.carry(world.b, world.a, pattern(1000)).size(), 1000U);
  world.to_a.settings().rewrite_source = [](std::uint64_t, TimePoint) { return 5; };
  (void)world.carry(world.b, world.a, pattern(1000));
  EXPECT_TRUE(World::of<PathChanged>(world.events_a).empty());
}

TEST(SttUdp, TheLargestDatagramIsFoundAndABlackHoleSurvived) {
  LinkSettings link = slow_link();
  link.mtu_bytes = 1472;
  World world(udp(), link);
  const Bytes data = pattern(1'500'000);
  EXPECT_EQ(world.carry(world.a, world.b, data), data);
  EXPECT_EQ(world.a.statistics().datagram_bytes, 1472U);
  // The path gets narrower while the session runs.
  world.to_b.settings().mtu_bytes = 1300;
  world.to_a.settings().mtu_bytes = 1300;
  EXPECT_EQ(world.carry(world.a, world.b, data), data);
  EXPECT_LE(world.a.statistics().datagram_bytes, 1300U);
}

TEST(SttUdp, NothingIsSentFasterThanThePathTakesIt) {
  for (const auto congestion : {CongestionControl::cubic, CongestionControl::bbr}) {
    LinkSettings link{.bits_per_second = 20'000'000, .delay = 20ms, .queue_bytes = 100'000};
    World world(udp(congestion), link);
    const Bytes data = pattern(5'000'000);
    const TimePoint begun = world.now;
    EXPECT_EQ(world.carry(world.a, world.b, data), data);
    const double seconds = std::chrono::duration<double>(world.now - begun).count();
    EXPECT_GT(5'000'000 * 8 / seconds, 0.8 * 20'000'000);
    EXPECT_LT(world.to_b.counts().queue_full, world.to_b.counts().sent / 10);
  }
}

TEST(SttUdp, ADirectionThatGoesDarkIsSurvived) {
  World world;
  world.to_a.settings().blackholes = {{.from = kStart + 100ms, .until = kStart + 5s}};
  const Bytes data = pattern(2'000'000);
  EXPECT_EQ(world.carry(world.a, world.b, data), data);
  EXPECT_GT(world.a.statistics().probe_timeouts, 0U);
}

TEST(SttUdp, ResetAndStopArriveThoughTheirFramesAreLost) {
  World world;
  const StreamId kept = *world.a.open({}, world.now);
  const StreamId dropped = *world.a.open({}, world.now);
  ASSERT_TRUE(world.a.write(kept, pattern(10), world.now));
  ASSERT_TRUE(world.a.write(dropped, pattern(10), world.now));
  world.pass(100ms);
  world.to_b.settings().loss = 1;
  ASSERT_TRUE(world.a.reset(dropped, 77, world.now));
  ASSERT_TRUE(world.a.stop(kept, 78, world.now));
  world.pass(50ms);
  world.to_b.settings().loss = 0;
  world.pass(5s);
  const auto resets = World::of<StreamReset>(world.events_b);
  const auto stops = World::of<StreamStopped>(world.events_b);
  ASSERT_EQ(resets.size(), 1U);
  EXPECT_EQ(resets[0].code, 77);
  ASSERT_EQ(stops.size(), 1U);
  EXPECT_EQ(stops[0].code, 78);
}

TEST(SttUdp, PaddedFramesHaveFewSizesOnUdpToo) {
  for (const auto& [padding, payload] :
       {std::pair{Padding::fixed_128, std::size_t{128}}, {Padding::fixed_512, std::size_t{512}}}) {
    SessionConfig config = udp();
    config.padding = padding;
    config.probe_mtu = false;
    World world(config);
    world.keep = true;
    const Bytes data = pattern(20'000);
    EXPECT_EQ(world.carry(world.a, world.b, data), data);
    for (Bytes& datagram : world.sent_a) {
      MutableBytes rest(datagram);
      while (!rest.empty()) {
        const auto frame = parse_frame(rest);
        ASSERT_TRUE(frame);
        EXPECT_EQ(frame->payload.size(), payload);
        rest = rest.subspan(frame->frame_bytes);
      }
    }
  }
  SessionConfig config = udp();
  config.padding = Padding::full;
  World world(config);
  world.keep = true;
  const Bytes data = pattern(20'000);
  EXPECT_EQ(world.carry(world.a, world.b, data), data);
  std::set<std::size_t> sizes;
  for (const Bytes& datagram : world.sent_a) sizes.insert(datagram.size());
  EXPECT_LE(sizes.size(), 4U);
}

}  // namespace
}  // namespace sealine::stt
