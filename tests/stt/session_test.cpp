#include "sealine/stt/session.hpp"

#include "support/fixed_rng.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <deque>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace sealine::stt {
namespace {

using nlohmann::json;
using test::Bytes;
using test::from_hex;
using test::to_hex;

constexpr TimePoint kStart{std::chrono::seconds(1000)};

Established made(Role role, bool forward_secrecy = true) {
  Established result{.role = role,
                     .session_id = {1, 2, 3, 4, 5, 6, 7, 8},
                     .initiator_key = {},
                     .responder_key = {},
                     .forward_secrecy = forward_secrecy,
                     .peer = {},
                     .peer_capabilities = {}};
  result.initiator_key = DirectionKey(ByteArray<32>{1});
  result.responder_key = DirectionKey(ByteArray<32>{2});
  return result;
}

// Two sessions and the messages between them; events are collected as they come.
class Pair {
 public:
  explicit Pair(SessionConfig config = {}, bool forward_secrecy = true)
      : a(config, made(Role::initiator, forward_secrecy), *engine, rng, kStart),
        b(config, made(Role::responder, forward_secrecy), *engine, rng, kStart) {}

  // Everything that can be delivered is, both ways. Returns how many messages went.
  std::size_t run() {
    std::size_t messages = 0;
    for (bool moved = true; moved;) {
      moved = step(a, b, wire_ab) || step(b, a, wire_ba);
      while (step(b, a, wire_ba)) moved = true;
      if (moved) ++messages;
    }
    collect();
    return messages;
  }

  bool step(Session& from, Session& to, std::size_t& wire) {
    Bytes out(131072);
    const std::size_t length = from.poll_transmit(out, now);
    if (length == 0) return false;
    wire += length;
    out.resize(length);
    if (keep) sent.push_back(out);
    const auto handled = to.handle_datagram(out, now);
    EXPECT_TRUE(handled || to.state() == SessionState::closed);
    collect();
    return true;
  }

  void collect() {
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

  std::unique_ptr<crypto::Engine> engine = *crypto::make_engine();
  test::SeededRng rng{1};
  TimePoint now = kStart;
  Session a;
  Session b;
  std::vector<Session::Event> events_a;
  std::vector<Session::Event> events_b;
  std::size_t wire_ab = 0;
  std::size_t wire_ba = 0;
  bool keep = false;
  std::vector<Bytes> sent;
};

Bytes pattern(std::size_t size, unsigned seed = 0) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<std::uint8_t>((i * 131 + (i >> 9U) + seed) & 0xFFU);
  return out;
}

// Reads all there is of a stream.
Bytes drained(Pair& pair, Session& session, StreamId stream, bool* finished = nullptr) {
  Bytes all;
  Bytes buffer(10000);
  while (true) {
    const auto read = session.read(stream, buffer, pair.now);
    if (!read) break;
    all.insert(all.end(), buffer.begin(),
               buffer.begin() + static_cast<std::ptrdiff_t>(read->bytes));
    if (read->finished && finished != nullptr) *finished = true;
    if (read->finished || read->bytes == 0) break;
  }
  return all;
}

// Writes `data` to a stream of mode ordered while the other end reads; what arrived.
Bytes carried(Pair& pair, Session& from, Session& to, StreamId stream, ByteView data) {
  Bytes received;
  bool finished = false;
  bool closed = false;
  for (int turns = 0; !finished && turns < 100000; ++turns) {
    while (!data.empty()) {
      const auto taken = from.write(stream, data, pair.now);
      if (!taken || *taken == 0) break;
      data = data.subspan(*taken);
    }
    if (data.empty() && !closed) closed = from.finish(stream, pair.now).has_value();
    pair.run();
    const Bytes some = drained(pair, to, stream, &finished);
    received.insert(received.end(), some.begin(), some.end());
  }
  return received;
}

TEST(SttSession, ABulkStreamArrivesWholeAndEndsClean) {
  Pair pair;
  const StreamId stream = *pair.a.open({}, pair.now);
  EXPECT_EQ(stream, 1);
  const Bytes data = pattern(5 << 20U);
  EXPECT_EQ(carried(pair, pair.a, pair.b, stream, data), data);
  ASSERT_TRUE(pair.b.finish(stream, pair.now));
  pair.run();
  bool finished = false;
  EXPECT_TRUE(drained(pair, pair.a, stream, &finished).empty());
  EXPECT_TRUE(finished);
  pair.run();
  EXPECT_EQ(Pair::of<StreamClosed>(pair.events_a).size(), 1U);
  EXPECT_EQ(Pair::of<StreamClosed>(pair.events_b).size(), 1U);
  EXPECT_FALSE(pair.a.write(stream, data, pair.now));
}

TEST(SttSession, ABulkStreamFillsItsFrames) {
  Pair pair;
  const StreamId stream = *pair.a.open({}, pair.now);
  const auto before = pair.a.statistics().frames_sent;
  const Bytes data = pattern(5 << 20U);
  EXPECT_EQ(carried(pair, pair.a, pair.b, stream, data), data);
  // 81 of them would be full; those that end a write or meet the credit's end are not.
  EXPECT_LE(pair.a.statistics().frames_sent - before, 120U);
}

TEST(SttSession, BothWaysAndIdsOfBothSides) {
  Pair pair;
  const StreamId ours = *pair.a.open({}, pair.now);
  const StreamId theirs = *pair.b.open({}, pair.now);
  EXPECT_EQ(ours, 1);
  EXPECT_EQ(theirs, 2);
  const Bytes one = pattern(100000, 1);
  const Bytes two = pattern(200000, 2);
  EXPECT_EQ(carried(pair, pair.a, pair.b, ours, one), one);
  EXPECT_EQ(carried(pair, pair.b, pair.a, theirs, two), two);
  EXPECT_EQ(Pair::of<StreamOpened>(pair.events_b).size(), 1U);
  EXPECT_EQ(Pair::of<StreamOpened>(pair.events_a).size(), 1U);
}

TEST(SttSession, MessagesKeepTheirBounds) {
  for (const StreamMode mode :
       {StreamMode::unordered, StreamMode::partial, StreamMode::unreliable}) {
    Pair pair;
    const StreamId stream = *pair.a.open({.mode = mode}, pair.now);
    std::vector<Bytes> messages;
    for (const std::size_t size : {0U, 1U, 5U, 1000U, 60000U}) messages.push_back(pattern(size, 7));
    for (const Bytes& message : messages) ASSERT_TRUE(pair.a.write(stream, message, pair.now));
    ASSERT_TRUE(pair.a.finish(stream, pair.now));
    pair.run();
    Bytes buffer(131072);
    for (const Bytes& message : messages) {
      const auto read = pair.b.read(stream, buffer, pair.now);
      ASSERT_TRUE(read && read->message_end) << static_cast<int>(mode);
      EXPECT_EQ(Bytes(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(read->bytes)),
                message);
    }
    const auto end = pair.b.read(stream, buffer, pair.now);
    EXPECT_TRUE(end && end->finished && !end->message_end);
  }
}

TEST(SttSession, ALargeMessageInPiecesAndOneOverTheLimit) {
  Pair pair;
  const StreamId stream = *pair.a.open({.mode = StreamMode::unordered}, pair.now);
  const Bytes message = pattern(kMaxMessageBytes);
  ASSERT_TRUE(pair.a.write(stream, message, pair.now));
  pair.run();
  Bytes buffer(50000);
  Bytes all;
  for (bool end = false; !end;) {
    const auto read = pair.b.read(stream, buffer, pair.now);
    ASSERT_TRUE(read && read->bytes > 0);
    all.insert(all.end(), buffer.begin(),
               buffer.begin() + static_cast<std::ptrdiff_t>(read->bytes));
    end = read->message_end;
  }
  EXPECT_EQ(all, message);
  EXPECT_EQ(pair.a.write(stream, pattern(kMaxMessageBytes + 1), pair.now).error().code,
            Errc::message_too_large);
}

TEST(SttSession, AnUnreliableMessageFitsItsFrameOrIsRefused) {
  for (const Transport transport : {Transport::websocket, Transport::udp}) {
    for (int padding = 0; padding < 6; ++padding) {
      SCOPED_TRACE(padding);
      SessionConfig config;
      config.transport = transport;
      config.padding = static_cast<Padding>(padding);
      const auto is_taken = [&](std::size_t size) {
        Pair pair(config);
        const StreamId stream = *pair.a.open({.mode = StreamMode::unreliable}, pair.now);
        const auto written = pair.a.write(stream, pattern(size), pair.now);
        if (!written) {
          EXPECT_EQ(written.error().code, Errc::message_too_large);
        }
        return written.has_value();
      };
      std::size_t size = 1;
      for (std::size_t step = 65536; step > 0; step /= 2) size += is_taken(size + step) ? step : 0;
      // The largest one that is taken arrives.
      Pair pair(config);
      const StreamId stream = *pair.a.open({.mode = StreamMode::unreliable}, pair.now);
      ASSERT_TRUE(pair.a.write(stream, pattern(size), pair.now));
      pair.run();
      EXPECT_EQ(drained(pair, pair.b, stream), pattern(size));
    }
  }
}

TEST(SttSession, AStalledReaderHoldsOneStreamAndNoOther) {
  Pair pair;
  const StreamId stalled = *pair.a.open({}, pair.now);
  const StreamId fast = *pair.a.open({}, pair.now);
  const Bytes much = pattern(4 << 20U);
  // Nobody reads `stalled`: its credit is 262,144 bytes, and the sender's own buffer as many.
  ByteView rest(much);
  for (int i = 0; i < 50; ++i) {
    const auto taken = pair.a.write(stalled, rest, pair.now);
    ASSERT_TRUE(taken);
    rest = rest.subspan(*taken);
    pair.run();
  }
  EXPECT_EQ(much.size() - rest.size(), 2 * 262144U);
  EXPECT_EQ(pair.b.readable_bytes(stalled), 262144U);
  EXPECT_EQ(carried(pair, pair.a, pair.b, fast, much), much);
  EXPECT_EQ(pair.b.readable_bytes(stalled), 262144U);
  // And it goes on when somebody reads.
  Bytes got;
  for (int i = 0; i < 100 && got.size() < much.size(); ++i) {
    const Bytes some = drained(pair, pair.b, stalled);
    got.insert(got.end(), some.begin(), some.end());
    pair.run();
    const auto taken = pair.a.write(stalled, rest, pair.now);
    rest = rest.subspan(*taken);
    pair.run();
  }
  EXPECT_EQ(got, much);
}

TEST(SttSession, AStreamThatStallsWithAWideWindowHoldsNoOther) {
  const Bytes much = pattern(4 << 20U);
  for (const std::size_t read_before : {1U, 2U, 4U}) {
    Pair pair;
    // A round trip of 100 ms, in which windows are eaten: they grow.
    pair.b.ping(pair.now);
    ASSERT_TRUE(pair.step(pair.b, pair.a, pair.wire_ba));
    pair.now += std::chrono::milliseconds(100);
    pair.run();
    const StreamId stalled = *pair.a.open({}, pair.now);
    const auto write_all = [&] {
      while (*pair.a.write(stalled, much, pair.now) > 0) pair.run();
    };
    Bytes some(65536);
    for (std::size_t read = 0; read < read_before << 20U;) {
      write_all();
      read += pair.b.read(stalled, some, pair.now)->bytes;
      pair.run();
    }
    write_all();  // and nobody reads any more
    const StreamId fast = *pair.a.open({}, pair.now);
    EXPECT_TRUE(carried(pair, pair.a, pair.b, fast, much) == much) << read_before << " MiB";
  }
}

TEST(SttSession, CreditOfTheSessionIsSharedByItsStreams) {
  Pair pair;
  const Bytes data = pattern(262144);
  std::size_t readable = 0;
  std::vector<StreamId> ids;
  for (int i = 0; i < 6; ++i) {
    ids.push_back(*pair.a.open({}, pair.now));
    ASSERT_EQ(*pair.a.write(ids.back(), data, pair.now), data.size());
  }
  pair.run();
  for (const StreamId id : ids) readable += pair.b.readable_bytes(id);
  EXPECT_EQ(readable, 1048576U) << "what the session lets in without being read";
  std::size_t total = 0;
  for (int i = 0; i < 20; ++i) {
    for (const StreamId id : ids) total += drained(pair, pair.b, id).size();
    pair.run();
  }
  EXPECT_EQ(total, 6 * data.size());
}

TEST(SttSession, ManyMessagesAtOnceDoNotUseUpTheCreditUnfinished) {
  for (const Transport transport : {Transport::websocket, Transport::udp}) {
    SessionConfig config;
    config.transport = transport;
    Pair pair(config);
    std::map<StreamId, std::size_t> delivered;
    for (int i = 0; i < 20; ++i) {
      const StreamId stream = *pair.a.open({.mode = StreamMode::unordered}, pair.now);
      ASSERT_TRUE(pair.a.write(stream, pattern(kMaxMessageBytes), pair.now));
      delivered[stream] = 0;
    }
    std::size_t all = 0;
    for (int turns = 0; all < 20 * kMaxMessageBytes && turns < 2000; ++turns) {
      pair.now += std::chrono::milliseconds(1);
      pair.run();
      for (auto& [stream, bytes] : delivered) {
        const Bytes some = drained(pair, pair.b, stream);
        bytes += some.size();
        all += some.size();
      }
    }
    for (const auto& [stream, bytes] : delivered) EXPECT_GE(bytes, kMaxMessageBytes) << stream;
  }
}

TEST(SttSession, PrioritiesBeforeTurns) {
  Pair pair;
  pair.keep = true;
  const StreamId low = *pair.a.open({.priority = 200}, pair.now);
  const StreamId high = *pair.a.open({.priority = 1}, pair.now);
  ASSERT_TRUE(pair.a.write(low, pattern(200000), pair.now));
  ASSERT_TRUE(pair.a.write(high, pattern(200000), pair.now));
  std::vector<StreamId> order;
  Bytes out(131072);
  while (const std::size_t length = pair.a.poll_transmit(out, pair.now)) {
    MutableBytes rest = MutableBytes(out).first(length);
    while (!rest.empty()) {
      const auto frame = parse_frame(rest);
      ASSERT_TRUE(frame);
      if (frame->head.type == FrameType::data &&
          (order.empty() || order.back() != frame->head.stream)) {
        order.push_back(frame->head.stream);
      }
      rest = rest.subspan(frame->frame_bytes);
    }
  }
  EXPECT_EQ(order, (std::vector<StreamId>{high, low}));
}

TEST(SttSession, EqualsTakeTurns) {
  Pair pair;
  std::vector<StreamId> ids;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(*pair.a.open({}, pair.now));
    ASSERT_TRUE(pair.a.write(ids.back(), pattern(200000), pair.now));
  }
  std::map<StreamId, std::size_t> bytes;
  Bytes out(131072);
  for (int i = 0; i < 6; ++i) {
    const std::size_t length = pair.a.poll_transmit(out, pair.now);
    MutableBytes rest = MutableBytes(out).first(length);
    while (!rest.empty()) {
      const auto frame = parse_frame(rest);
      ASSERT_TRUE(frame);
      bytes[frame->head.stream] += frame->head.payload_bytes;
      rest = rest.subspan(frame->frame_bytes);
    }
  }
  for (const StreamId id : ids)
    EXPECT_NEAR(static_cast<double>(bytes[id]), static_cast<double>(bytes[ids[0]]), 66000);
}

TEST(SttSession, ResetAndStop) {
  Pair pair;
  const StreamId one = *pair.a.open({}, pair.now);
  ASSERT_TRUE(pair.a.write(one, pattern(1000), pair.now));
  pair.run();
  ASSERT_TRUE(pair.a.reset(one, 300, pair.now));
  pair.run();
  ASSERT_EQ(Pair::of<StreamReset>(pair.events_b).size(), 1U);
  EXPECT_EQ(Pair::of<StreamReset>(pair.events_b)[0].code, 300);
  Bytes buffer(10);
  EXPECT_EQ(pair.b.read(one, buffer, pair.now).error().code, Errc::stream_reset);

  const StreamId two = *pair.a.open({}, pair.now);
  ASSERT_TRUE(pair.a.write(two, pattern(1000), pair.now));
  pair.run();
  ASSERT_TRUE(pair.b.stop(two, 301, pair.now));
  pair.run();
  ASSERT_EQ(Pair::of<StreamStopped>(pair.events_a).size(), 1U);
  EXPECT_EQ(Pair::of<StreamStopped>(pair.events_a)[0].code, 301);
  EXPECT_EQ(pair.a.write(two, buffer, pair.now).error().code, Errc::stream_stopped);
  ASSERT_TRUE(pair.b.finish(one, pair.now));
  ASSERT_TRUE(pair.b.finish(two, pair.now));
  pair.run();
  drained(pair, pair.a, one);
  drained(pair, pair.a, two);
  pair.run();
  EXPECT_EQ(Pair::of<StreamClosed>(pair.events_a).size(), 2U);
  EXPECT_EQ(Pair::of<StreamClosed>(pair.events_b).size(), 2U);
}

TEST(SttSession, WhatAResetStreamUsedComesBackToTheSession) {
  Pair pair;
  // Each stream leaves its whole credit unread behind; the session's would be gone after four.
  for (int i = 0; i < 20; ++i) {
    const StreamId stream = *pair.a.open({}, pair.now);
    ASSERT_EQ(*pair.a.write(stream, pattern(262144), pair.now), 262144U);
    pair.run();
    EXPECT_GT(pair.b.readable_bytes(stream), 0U) << i;
    ASSERT_TRUE(pair.a.reset(stream, 256, pair.now));
    ASSERT_TRUE(pair.b.reset(stream, 256, pair.now));
    pair.run();
  }
  EXPECT_EQ(pair.b.statistics().streams_open, 0U);
}

TEST(SttSession, TenThousandStreamsOpenedAndClosed) {
  Pair pair;
  for (int i = 0; i < 10000; ++i) {
    const StreamId stream = *pair.a.open({}, pair.now);
    ASSERT_TRUE(pair.a.write(stream, from_hex("68656c6c6f"), pair.now));
    ASSERT_TRUE(pair.a.finish(stream, pair.now));
    pair.run();
    ASSERT_EQ(to_hex(drained(pair, pair.b, stream)), "68656c6c6f");
    ASSERT_TRUE(pair.b.finish(stream, pair.now));
    pair.run();
    drained(pair, pair.a, stream);
  }
  EXPECT_EQ(pair.a.statistics().streams_open, 0U);
  EXPECT_EQ(pair.b.statistics().streams_open, 0U);
}

TEST(SttSession, LimitsOfStreams) {
  Pair pair;
  for (int i = 0; i < 1024; ++i) ASSERT_TRUE(pair.a.open({}, pair.now));
  EXPECT_EQ(pair.a.open({}, pair.now).error().code, Errc::stream_limit);
}

TEST(SttSession, RotationByBytesFramesTimeAndOnRequest) {
  for (int how = 0; how < 4; ++how) {
    for (const bool forward_secrecy : {true, false}) {
      SessionConfig config;
      if (how == 0) config.limits.rotate_bytes = 1000000;
      if (how == 1) config.limits.rotate_frames = 20;
      if (how == 2) config.limits.rotate_after = std::chrono::seconds(10);
      Pair pair(config, forward_secrecy);
      const StreamId stream = *pair.a.open({}, pair.now);
      const Bytes data = pattern(6 << 20U);
      Bytes received;
      ByteView rest(data);
      for (int i = 0; i < 400 && received.size() < data.size(); ++i) {
        const auto taken =
            pair.a.write(stream, rest.first(std::min<std::size_t>(rest.size(), 50000)), pair.now);
        ASSERT_TRUE(taken);
        rest = rest.subspan(*taken);
        if (how == 2) pair.now += std::chrono::seconds(1);
        if (how == 3 && i % 10 == 0) pair.a.rotate(pair.now);
        pair.run();
        const Bytes some = drained(pair, pair.b, stream);
        received.insert(received.end(), some.begin(), some.end());
      }
      EXPECT_EQ(received, data) << how;
      EXPECT_GE(pair.a.statistics().epoch_sent, 4U) << how;
      EXPECT_EQ(pair.a.statistics().epoch_sent, pair.b.statistics().epoch_received);
      EXPECT_EQ(Pair::of<KeysRotated>(pair.events_b).size() >= 4U, true);
      EXPECT_NE(pair.a.state(), SessionState::closed);
    }
  }
}

TEST(SttSession, WithoutAnAnswerToRotateDataStopAndTheSessionEnds) {
  SessionConfig config;
  config.limits.rotate_frames = 4;
  config.limits.idle_timeout = std::chrono::hours(9);
  Pair pair(config);
  const StreamId stream = *pair.a.open({}, pair.now);
  // Nothing comes back: at twice the threshold no more DATA is sent.
  Bytes out(131072);
  std::size_t messages = 0;
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(pair.a.write(stream, from_hex("00"), pair.now));
    if (pair.a.poll_transmit(out, pair.now) > 0) ++messages;
  }
  EXPECT_LE(messages, 9U);
  EXPECT_GE(messages, 7U);
  ASSERT_TRUE(pair.a.poll_timeout());
  pair.now = *pair.a.poll_timeout();
  EXPECT_EQ(pair.now, kStart + std::chrono::seconds(30));
  pair.a.handle_timeout(pair.now);
  pair.collect();
  ASSERT_EQ(Pair::of<SessionClosed>(pair.events_a).size(), 1U);
  EXPECT_EQ(Pair::of<SessionClosed>(pair.events_a)[0].code, 4);
}

TEST(SttSession, OneStreamsKeyOpensNoOther) {
  // What claim 35 says: the keys of two streams differ, and so do those of directions and epochs.
  const auto engine = *crypto::make_engine();
  EpochKeys keys(*engine, 0, DirectionKey(ByteArray<32>{1}));
  Bytes frame(64);
  frame.resize(
      keys.seal({.type = FrameType::data, .stream = 1, .number = 9}, {}, from_hex("00"), frame));
  auto view = parse_frame(frame);
  ASSERT_TRUE(view);
  view->head.stream = 3;  // the same bytes under another stream's key
  EXPECT_FALSE(keys.open(*view));
}

TEST(SttSession, CloseSaysWhyAndNothingFollowsIt) {
  Pair pair;
  const StreamId stream = *pair.a.open({}, pair.now);
  ASSERT_TRUE(pair.a.write(stream, pattern(100), pair.now));
  pair.a.close(400, "enough", pair.now);
  pair.run();
  const auto closed = Pair::of<SessionClosed>(pair.events_b);
  ASSERT_EQ(closed.size(), 1U);
  EXPECT_EQ(closed[0].code, 400);
  EXPECT_EQ(closed[0].reason, "enough");
  EXPECT_TRUE(closed[0].by_peer);
  EXPECT_EQ(pair.a.state(), SessionState::closed);
  Bytes out(131072);
  EXPECT_EQ(pair.a.poll_transmit(out, pair.now), 0U);
  EXPECT_EQ(pair.b.poll_transmit(out, pair.now), 0U);
  EXPECT_FALSE(pair.b.open({}, pair.now));
}

TEST(SttSession, DrainWaitsForItsStreams) {
  Pair pair;
  const StreamId stream = *pair.a.open({}, pair.now);
  ASSERT_TRUE(pair.a.write(stream, pattern(100000), pair.now));
  ASSERT_TRUE(pair.a.finish(stream, pair.now));
  pair.a.drain(pair.now);
  pair.run();
  EXPECT_TRUE(Pair::of<SessionClosed>(pair.events_b).empty());
  EXPECT_EQ(drained(pair, pair.b, stream).size(), 100000U);
  ASSERT_TRUE(pair.b.finish(stream, pair.now));
  pair.run();
  drained(pair, pair.a, stream);
  pair.run();
  ASSERT_EQ(Pair::of<SessionClosed>(pair.events_b).size(), 1U);
  EXPECT_EQ(Pair::of<SessionClosed>(pair.events_b)[0].code, 0);
}

TEST(SttSession, IdleEndsItAndPingsKeepIt) {
  Pair idle;
  ASSERT_TRUE(idle.a.poll_timeout());
  idle.now = *idle.a.poll_timeout();
  EXPECT_EQ(idle.now, kStart + std::chrono::seconds(60));
  idle.a.handle_timeout(idle.now);
  idle.collect();
  ASSERT_EQ(Pair::of<SessionClosed>(idle.events_a).size(), 1U);
  EXPECT_EQ(Pair::of<SessionClosed>(idle.events_a)[0].code, 6);

  SessionConfig config;
  config.limits.ping_after = std::chrono::seconds(20);
  Pair kept(config);
  for (int i = 0; i < 20; ++i) {
    kept.now += std::chrono::seconds(20);
    kept.a.handle_timeout(kept.now);
    kept.b.handle_timeout(kept.now);
    kept.run();
  }
  EXPECT_EQ(kept.a.state(), SessionState::active);
  EXPECT_TRUE(Pair::of<SessionClosed>(kept.events_b).empty());
}

TEST(SttSession, PaddedFramesHaveFewSizes) {
  const std::map<Padding, std::vector<std::size_t>> sizes{
      {Padding::fixed_128, {128}},
      {Padding::fixed_256, {256}},
      {Padding::fixed_512, {512}},
      {Padding::fixed_1024, {1024}},
      {Padding::full, {128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536}}};
  for (const auto& [padding, allowed] : sizes) {
    SessionConfig config;
    config.padding = padding;
    Pair pair(config);
    pair.keep = true;
    const StreamId stream = *pair.a.open({}, pair.now);
    const Bytes data = pattern(70000);
    EXPECT_EQ(carried(pair, pair.a, pair.b, stream, data), data);
    pair.a.rotate(pair.now);
    pair.run();
    pair.a.close(256, std::string(1000, 'x'), pair.now);
    pair.run();
    for (Bytes& message : pair.sent) {
      MutableBytes rest(message);
      while (!rest.empty()) {
        const auto frame = parse_frame(rest);
        ASSERT_TRUE(frame);
        EXPECT_TRUE(std::ranges::find(allowed, frame->head.payload_bytes) != allowed.end())
            << frame->head.payload_bytes;
        rest = rest.subspan(frame->frame_bytes);
      }
    }
  }
}

TEST(SttSession, ADeadlineThatPassesIsGivenUp) {
  Pair pair;
  const StreamId stream = *pair.a.open({.mode = StreamMode::partial, .deadline_ms = 100}, pair.now);
  ASSERT_TRUE(pair.a.write(stream, pattern(10, 1), pair.now));
  pair.now += std::chrono::milliseconds(100);
  pair.a.handle_timeout(pair.now);
  ASSERT_TRUE(pair.a.write(stream, pattern(10, 2), pair.now));
  ASSERT_TRUE(pair.a.finish(stream, pair.now));
  pair.run();
  Bytes buffer(100);
  const auto read = pair.b.read(stream, buffer, pair.now);
  ASSERT_TRUE(read && read->message_end);
  EXPECT_EQ(Bytes(buffer.begin(), buffer.begin() + 10), pattern(10, 2));
  EXPECT_TRUE(pair.b.read(stream, buffer, pair.now)->finished);
}

// The verdicts of the vectors, on a reliable transport: what UDP drops closes with 1002 (an error
// of handle_datagram), what the peer alone can have made ends the session with a CLOSE.
TEST(SttSession, GoldenBadFrames) {
  const json vectors = test::load_vectors("stt.json");
  const json& handshake = vectors["handshakes"][0];
  const auto engine = *crypto::make_engine();
  std::size_t checked = 0;
  for (const json& v : vectors["bad_frames"]) {
    SCOPED_TRACE(v["name"].get<std::string>());
    test::SeededRng rng(4);
    Established established = made(Role::responder);
    established.session_id = test::hex_array<8>(handshake["session_id"].get<std::string>());
    established.initiator_key =
        DirectionKey(test::hex_array<32>(handshake["k_i2r_0"].get<std::string>()));
    established.responder_key =
        DirectionKey(test::hex_array<32>(handshake["k_r2i_0"].get<std::string>()));
    Session session({}, std::move(established), *engine, rng, kStart);
    for (const json& first : v["first"]) {
      Bytes datagram = from_hex(first.get<std::string>());
      ASSERT_TRUE(session.handle_datagram(datagram, kStart));
    }
    Bytes datagram = from_hex(v["hex"].get<std::string>());
    const auto handled = session.handle_datagram(datagram, kStart);
    EXPECT_EQ(handled.has_value(), v["udp"] != "drop");
    std::optional<SessionClosed> closed;
    while (auto event = session.poll_event()) {
      if (const auto* e = std::get_if<SessionClosed>(&*event)) closed = *e;
    }
    ASSERT_TRUE(closed);
    if (!v["close"].is_null()) {
      EXPECT_EQ(closed->code, v["close"].get<int>());
    }
    ++checked;
  }
  EXPECT_EQ(checked, 57U);
}

TEST(SttSession, EveryFlippedBitEndsTheSession) {
  Pair source;
  source.keep = true;
  const StreamId stream = *source.a.open({}, source.now);
  ASSERT_TRUE(source.a.write(stream, from_hex("68656c6c6f"), source.now));
  source.run();
  const Bytes message = source.sent.at(0);
  for (std::size_t bit = 0; bit < message.size() * 8; ++bit) {
    Pair pair;
    Bytes changed = message;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(pair.b.handle_datagram(changed, kStart)) << bit;
    EXPECT_EQ(pair.b.state(), SessionState::closed);
    Bytes out(131072);
    EXPECT_EQ(pair.b.poll_transmit(out, kStart), 0U);
  }
}

TEST(SttSession, ReplayReorderDropAndReflection) {
  Pair source;
  source.keep = true;
  const StreamId stream = *source.a.open({}, source.now);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(source.a.write(stream, from_hex("0102"), source.now));
    source.run();
  }
  ASSERT_GE(source.sent.size(), 3U);
  const auto feed = [&](std::vector<std::size_t> order) {
    Pair pair;
    for (const std::size_t i : order) {
      Bytes bytes = source.sent[i];
      if (!pair.b.handle_datagram(bytes, kStart)) return false;
    }
    return true;
  };
  EXPECT_TRUE(feed({0, 1, 2}));
  EXPECT_FALSE(feed({0, 0}));
  EXPECT_FALSE(feed({0, 2}));
  EXPECT_FALSE(feed({1, 0}));
  Bytes own = source.sent[0];
  Pair pair;
  EXPECT_FALSE(pair.a.handle_datagram(own, kStart)) << "its own direction's keys open nothing";
}

}  // namespace
}  // namespace sealine::stt
