#include "stt/detail/receive_stream.hpp"

#include "support/fixed_rng.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <vector>

namespace sealine::stt::detail {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kEnough = std::numeric_limits<std::uint64_t>::max();

DataBody fragment(std::uint64_t id, std::uint64_t offset, ByteView bytes, bool message_end) {
  return {.id = id, .offset = offset, .bytes = bytes, .fin = false, .message_end = message_end};
}

// What the next read gives.
std::size_t next_message(ReceiveStream& stream) {
  std::vector<std::uint8_t> out(kMaxMessageBytes);
  const Read read = stream.read(out);
  return read.message_end ? read.bytes : 0;
}

TEST(SttReceiveStream, IncompleteMessagesOfPartialStreamsAreBounded) {
  ReceiveStream stream(StreamMode::partial);
  const std::array<std::uint8_t, 1> byte{7};
  const std::vector<std::uint8_t> rest(kMaxMessageBytes - 1);
  // Each of these would take 128 KiB until it is whole; 256 KiB is what a stream keeps.
  for (std::uint64_t id = 0; id < 100; ++id)
    EXPECT_FALSE(stream.add(fragment(id, kMaxMessageBytes - 1, byte, true), kEnough).fault);
  EXPECT_FALSE(stream.add(fragment(0, 0, rest, false), kEnough).fault);
  EXPECT_FALSE(stream.is_readable()) << "the oldest was given up";
  EXPECT_FALSE(stream.add(fragment(99, 0, rest, false), kEnough).fault);
  EXPECT_EQ(next_message(stream), kMaxMessageBytes) << "the newest was not";
}

TEST(SttReceiveStream, TinyIncompleteMessagesAreBoundedToo) {
  ReceiveStream stream(StreamMode::partial);
  const std::array<std::uint8_t, 1> byte{7};
  for (std::uint64_t id = 0; id < 5000; ++id)
    EXPECT_FALSE(stream.add(fragment(id, 1, byte, true), kEnough).fault);
  EXPECT_FALSE(stream.add(fragment(1000, 0, byte, false), kEnough).fault);
  EXPECT_FALSE(stream.is_readable());
  EXPECT_FALSE(stream.add(fragment(4990, 0, byte, false), kEnough).fault);
  EXPECT_EQ(next_message(stream), 2U);
}

TEST(SttReceiveStream, NothingComesAfterAllWasAbandoned) {
  ReceiveStream stream(StreamMode::partial);
  const std::array<std::uint8_t, 1> byte{7};
  stream.abandon(kEnough);
  for (const std::uint64_t id : {std::uint64_t{0}, kEnough - 1 - kMessageIdWindow, kEnough - 1}) {
    EXPECT_FALSE(stream.add(fragment(id, 0, byte, true), kEnough).fault);
    EXPECT_FALSE(stream.is_readable()) << id;
  }
}

TEST(SttReceiveStream, NothingIsReadableOnceNobodyWantsIt) {
  for (const bool is_reset : {false, true}) {
    ReceiveStream stream(StreamMode::ordered);
    const std::array<std::uint8_t, 9> bytes{7};
    EXPECT_FALSE(stream.add({.bytes = bytes}, kEnough).fault);
    EXPECT_EQ(stream.readable_bytes(), 9U);
    if (is_reset) {
      EXPECT_FALSE(stream.reset(20, kEnough).fault);
    } else {
      stream.stop();
    }
    EXPECT_EQ(stream.readable_bytes(), 0U);
    EXPECT_FALSE(stream.is_readable());
  }
}

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i * 7 + (i >> 8U));
  return out;
}

DataBody part(const Bytes& all, std::size_t begin, std::size_t end) {
  return {.offset = begin, .bytes = ByteView(all).subspan(begin, end - begin)};
}

TEST(SttReceiveStream, WhatComesNextStandsInTheOfferedPlaceAtOnce) {
  ReceiveStream stream(StreamMode::ordered);
  const Bytes all = pattern(100);
  Bytes place(64);
  stream.offer(place);
  EXPECT_FALSE(stream.add(part(all, 0, 40), kEnough).fault);
  EXPECT_TRUE(std::ranges::equal(ByteView(place).first(40), ByteView(all).first(40)));
  EXPECT_EQ(stream.readable_bytes(), 40U);
  EXPECT_FALSE(stream.add(part(all, 40, 100), kEnough).fault);
  EXPECT_EQ(stream.readable_bytes(), 100U);
  EXPECT_EQ(stream.take_consumed(), 0U) << "nothing was read yet";
  EXPECT_EQ(stream.read(place).bytes, 64U);
  EXPECT_EQ(stream.take_consumed(), 64U);
  EXPECT_TRUE(std::ranges::equal(place, ByteView(all).first(64)));
  EXPECT_EQ(stream.read(place).bytes, 36U);
  EXPECT_TRUE(std::ranges::equal(ByteView(place).first(36), ByteView(all).last(36)));
}

TEST(SttReceiveStream, NothingIsPutIntoAPlaceThatIsNotOfferedAnyMore) {
  const Bytes all = pattern(100);
  for (const bool by_read : {false, true}) {
    ReceiveStream stream(StreamMode::ordered);
    Bytes place(64);
    stream.offer(place);
    EXPECT_FALSE(stream.add(part(all, 0, 10), kEnough).fault);
    Bytes other(5);
    if (by_read) {
      EXPECT_EQ(stream.read(other).bytes, 5U) << "another place, and a smaller one";
    } else {
      stream.offer({});
    }
    std::ranges::fill(place, std::uint8_t{0});
    EXPECT_FALSE(stream.add(part(all, 10, 100), kEnough).fault);
    EXPECT_TRUE(std::ranges::all_of(place, [](std::uint8_t byte) { return byte == 0; }));
    Bytes rest(200);
    rest.resize(stream.read(rest).bytes);
    const std::size_t begin = by_read ? 5 : 0;
    EXPECT_TRUE(std::ranges::equal(rest, ByteView(all).subspan(begin))) << by_read;
  }
}

TEST(SttReceiveStream, AStreamThatIsOverForgetsTheOfferedPlace) {
  const Bytes all = pattern(100);
  for (const bool is_reset : {false, true}) {
    ReceiveStream stream(StreamMode::ordered);
    Bytes place(64);
    stream.offer(place);
    if (is_reset) {
      EXPECT_FALSE(stream.reset(100, kEnough).fault);
    } else {
      stream.stop();
    }
    EXPECT_FALSE(stream.add(part(all, 0, 100), kEnough).fault);
    EXPECT_TRUE(std::ranges::all_of(place, [](std::uint8_t byte) { return byte == 0; }));
  }
}

// Parts in any order, overlapping and repeated, places of any size: the bytes are those of the
// stream, each once.
TEST(SttReceiveStream, PlacesAndReadsOfAnySizeGiveTheStream) {
  const Bytes all = pattern(20'000);
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    test::SeededRng rng(seed);
    ReceiveStream stream(StreamMode::ordered);
    Bytes given;
    Bytes place;
    while (given.size() < all.size()) {
      const std::size_t ahead = given.size() + rng.below(3000);
      const std::size_t begin =
          std::min<std::size_t>(all.size(), rng.below(3) == 0 ? ahead : given.size());
      const std::size_t end = std::min<std::size_t>(all.size(), begin + rng.below(2000));
      EXPECT_FALSE(stream.add(part(all, begin, end), kEnough).fault);
      switch (rng.below(4)) {
        case 0:
          stream.offer({});
          place.assign(rng.below(3000), 0);
          stream.offer(place);
          break;
        case 1: {
          Bytes elsewhere(rng.below(1000));
          elsewhere.resize(stream.read(elsewhere).bytes);
          given.insert(given.end(), elsewhere.begin(), elsewhere.end());
          break;
        }
        case 2: {
          const std::size_t count = stream.read(place).bytes;
          given.insert(given.end(), place.begin(),
                       place.begin() + static_cast<std::ptrdiff_t>(count));
          break;
        }
        default:
          break;
      }
    }
    ASSERT_EQ(given, all);
  }
}

// The writer gave up before it knew that all had arrived.
TEST(SttReceiveStream, AResetBehindTheEndTakesNothingAway) {
  ReceiveStream stream(StreamMode::ordered);
  const std::array<std::uint8_t, 3> bytes{1, 2, 3};
  DataBody all;
  all.bytes = bytes;
  all.fin = true;
  EXPECT_FALSE(stream.add(all, kEnough).fault);
  EXPECT_FALSE(stream.reset(3, kEnough).fault);
  EXPECT_FALSE(stream.is_reset());
  std::array<std::uint8_t, 8> out{};
  const Read read = stream.read(out);
  EXPECT_EQ(read.bytes, 3U);
  EXPECT_TRUE(read.finished);
  EXPECT_TRUE(stream.reset(4, kEnough).fault) << "another final size";
}

const std::vector<std::uint8_t> kBytes(kMaxMessageBytes + 1, 7);

ByteView bytes_of(std::size_t size) { return ByteView(kBytes).first(size); }

DataBody run(std::uint64_t offset, std::size_t size, bool fin = false) {
  return {.id = 0, .offset = offset, .bytes = bytes_of(size), .fin = fin, .message_end = false};
}

DataBody end_of_messages(std::uint64_t count) {
  return {.id = count, .offset = 0, .bytes = {}, .fin = true, .message_end = false};
}

// The code of the fault that a frame is; nothing where it is none.
std::optional<CloseCode> fault_of(ReceiveStream& stream, const DataBody& data,
                                  std::uint64_t allowed = kEnough) {
  const auto added = stream.add(data, allowed);
  return added.fault ? std::optional(added.fault->code) : std::nullopt;
}

// SPEC stt.md#streams
TEST(SttReceiveStream, BytesStayBelowTheFinalSizeAndThereIsOneOnly) {
  ReceiveStream stream(StreamMode::ordered);
  EXPECT_EQ(fault_of(stream, run(4, 2)), std::nullopt);
  EXPECT_EQ(fault_of(stream, run(0, 5, true)), CloseCode::stream) << "below what came";
  EXPECT_EQ(fault_of(stream, run(0, 8, true)), std::nullopt);
  EXPECT_EQ(fault_of(stream, run(0, 8, true)), std::nullopt) << "the same again";
  EXPECT_EQ(fault_of(stream, run(7, 2)), CloseCode::stream);
  EXPECT_EQ(fault_of(stream, run(0, 7, true)), CloseCode::stream);
  EXPECT_EQ(fault_of(stream, run(8, 1, true)), CloseCode::stream);
  EXPECT_EQ(fault_of(stream, run(9, 0)), CloseCode::stream);
  const auto reset = stream.reset(9, kEnough);
  ASSERT_TRUE(reset.fault);
  EXPECT_EQ(reset.fault->code, CloseCode::stream);
}

// SPEC stt.md#credit
TEST(SttReceiveStream, NothingIsTakenBeyondTheCredit) {
  ReceiveStream stream(StreamMode::ordered);
  EXPECT_EQ(stream.add(run(10, 5), 15).credit, 15U);
  EXPECT_EQ(stream.add(run(0, 10), 0).credit, 0U) << "below the highest";
  EXPECT_EQ(fault_of(stream, run(15, 1), 0), CloseCode::flow);
  EXPECT_EQ(fault_of(stream, run(kEnough, 1)), CloseCode::flow) << "beyond the last position";
  EXPECT_EQ(stream.readable_bytes(), 15U);
  EXPECT_EQ(stream.reset(14, 5).fault->code, CloseCode::stream) << "less than was used";
  EXPECT_EQ(stream.reset(21, 5).fault->code, CloseCode::flow);
  EXPECT_EQ(stream.reset(20, 5).credit, 5U);
  EXPECT_TRUE(stream.is_reset());
  EXPECT_EQ(stream.take_consumed(), 20U);
  // Behind it everything is read over.
  EXPECT_EQ(fault_of(stream, run(100, 1), 0), std::nullopt);
  EXPECT_FALSE(stream.reset(99, 0).fault);
  EXPECT_EQ(stream.used(), 20U);
}

// SPEC stt.md#streams
TEST(SttReceiveStream, WhatWouldLeaveTooManyGapsIsAsIfItHadNeverCome) {
  ReceiveStream stream(StreamMode::ordered);
  for (std::uint64_t i = 0; i < kMaxGaps; ++i) {
    EXPECT_EQ(fault_of(stream, run(2 * i + 1, 1)), std::nullopt);
  }
  const std::uint64_t used = stream.used();
  const auto added = stream.add(run(2 * kMaxGaps + 1, 1), kEnough);
  EXPECT_TRUE(added.is_dropped);
  EXPECT_EQ(added.credit, 0U);
  EXPECT_EQ(stream.used(), used);
  EXPECT_FALSE(stream.add(run(2, 1), kEnough).is_dropped) << "fills one";
  EXPECT_FALSE(stream.add(run(2 * kMaxGaps + 1, 1), kEnough).is_dropped) << "there is room again";
}

// SPEC stt.md#streams
TEST(SttReceiveStream, MessageOfTooManyPiecesIsStillCompletedByThoseThatFillIt) {
  ReceiveStream stream(StreamMode::unordered);
  for (std::uint64_t i = 0; i < kMaxGaps; ++i) {
    EXPECT_FALSE(stream.add(fragment(0, 2 * i + 1, bytes_of(1), false), kEnough).is_dropped);
  }
  EXPECT_TRUE(stream.add(fragment(0, 2 * kMaxGaps + 1, bytes_of(1), true), kEnough).is_dropped);
  for (std::uint64_t i = 0; i < kMaxGaps; ++i) {
    EXPECT_FALSE(stream.add(fragment(0, 2 * i, bytes_of(1), false), kEnough).is_dropped) << i;
  }
  EXPECT_EQ(fault_of(stream, fragment(0, 2 * kMaxGaps, bytes_of(2), true)), std::nullopt);
  EXPECT_EQ(next_message(stream), 2 * kMaxGaps + 2);
}

// SPEC stt.md#streams
TEST(SttReceiveStream, MessagesEndInAFrameOfItsOwn) {
  for (const StreamMode mode :
       {StreamMode::unordered, StreamMode::partial, StreamMode::unreliable}) {
    ReceiveStream stream(mode);
    EXPECT_EQ(fault_of(stream, fragment(2, 0, bytes_of(3), true)), std::nullopt);
    DataBody wrong = end_of_messages(3);
    wrong.bytes = bytes_of(1);
    EXPECT_EQ(fault_of(stream, wrong), CloseCode::stream);
    wrong = end_of_messages(3);
    wrong.offset = 1;
    EXPECT_EQ(fault_of(stream, wrong), CloseCode::stream);
    wrong = end_of_messages(3);
    wrong.message_end = true;
    EXPECT_EQ(fault_of(stream, wrong), CloseCode::stream);
    EXPECT_EQ(fault_of(stream, end_of_messages(2)), CloseCode::stream) << "message 2 came";
    EXPECT_EQ(fault_of(stream, end_of_messages(5)), std::nullopt);
    EXPECT_EQ(fault_of(stream, end_of_messages(5)), std::nullopt);
    EXPECT_EQ(fault_of(stream, end_of_messages(6)), CloseCode::stream);
    EXPECT_EQ(fault_of(stream, fragment(5, 0, bytes_of(1), true)), CloseCode::stream);
    EXPECT_EQ(fault_of(stream, fragment(4, 0, bytes_of(1), true)), std::nullopt);
  }
}

// SPEC stt.md#streams
TEST(SttReceiveStream, FragmentsAgreeOnTheSizeOfTheirMessage) {
  for (const StreamMode mode : {StreamMode::unordered, StreamMode::partial}) {
    ReceiveStream stream(mode);
    EXPECT_EQ(fault_of(stream, fragment(0, 10, bytes_of(10), true)), std::nullopt);
    EXPECT_EQ(fault_of(stream, fragment(0, 15, bytes_of(6), false)), CloseCode::stream);
    EXPECT_EQ(fault_of(stream, fragment(0, 5, bytes_of(6), true)), CloseCode::stream);
    EXPECT_EQ(fault_of(stream, fragment(1, 10, bytes_of(10), false)), std::nullopt);
    EXPECT_EQ(fault_of(stream, fragment(1, 0, bytes_of(19), true)), CloseCode::stream);
    EXPECT_EQ(fault_of(stream, fragment(2, 0, bytes_of(kMaxMessageBytes + 1), true)),
              CloseCode::limit);
    EXPECT_EQ(fault_of(stream, fragment(2, kEnough, bytes_of(1), true)), CloseCode::limit);
    EXPECT_EQ(fault_of(stream, fragment(kEnough, 0, bytes_of(1), true)), CloseCode::stream);
    EXPECT_EQ(fault_of(stream, fragment(0, 0, bytes_of(10), false)), std::nullopt);
    EXPECT_EQ(next_message(stream), 20U);
    EXPECT_EQ(fault_of(stream, fragment(0, 15, bytes_of(6), false)), std::nullopt)
        << "whole already";
  }
}

// SPEC stt.md#streams
TEST(SttReceiveStream, UnreliableMessageIsOneFrame) {
  ReceiveStream stream(StreamMode::unreliable);
  EXPECT_EQ(fault_of(stream, fragment(0, 0, bytes_of(3), false)), CloseCode::protocol);
  EXPECT_EQ(fault_of(stream, fragment(0, 3, bytes_of(3), true)), CloseCode::protocol);
  EXPECT_EQ(fault_of(stream, fragment(0, 0, bytes_of(3), true)), std::nullopt);
}

// SPEC stt.md#streams
TEST(SttReceiveStream, IdsStayInTheirWindow) {
  ReceiveStream reliable(StreamMode::unordered);
  EXPECT_EQ(fault_of(reliable, fragment(kMessageIdWindow, 0, bytes_of(1), true)),
            CloseCode::stream);
  EXPECT_EQ(fault_of(reliable, fragment(kMessageIdWindow - 1, 0, bytes_of(1), true)), std::nullopt);
  EXPECT_EQ(fault_of(reliable, fragment(0, 0, bytes_of(1), true)), std::nullopt);
  EXPECT_EQ(fault_of(reliable, fragment(kMessageIdWindow, 0, bytes_of(1), true)), std::nullopt)
      << "the oldest incomplete one is 1 now";

  ReceiveStream lossy(StreamMode::partial);
  EXPECT_EQ(fault_of(lossy, fragment(0, 0, bytes_of(1), false)), std::nullopt);
  EXPECT_EQ(fault_of(lossy, fragment(3 * kMessageIdWindow, 0, bytes_of(2), true)), std::nullopt);
  EXPECT_EQ(next_message(lossy), 2U);
  EXPECT_EQ(fault_of(lossy, fragment(0, 1, bytes_of(1), true)), std::nullopt);
  EXPECT_EQ(fault_of(lossy, fragment(2 * kMessageIdWindow, 0, bytes_of(1), true)), std::nullopt);
  EXPECT_FALSE(lossy.is_readable()) << "too far below the newest";
  EXPECT_EQ(fault_of(lossy, fragment(2 * kMessageIdWindow + 1, 0, bytes_of(3), true)),
            std::nullopt);
  EXPECT_EQ(next_message(lossy), 3U);
}

// SPEC stt.md#credit
TEST(SttReceiveStream, MessagesCostSixteenBytesAndTheirHighestEnd) {
  ReceiveStream stream(StreamMode::unordered);
  EXPECT_EQ(stream.add(fragment(0, 10, bytes_of(5), false), 31).credit, 31U);
  EXPECT_EQ(stream.add(fragment(0, 0, bytes_of(10), false), 0).credit, 0U);
  EXPECT_EQ(fault_of(stream, fragment(0, 15, bytes_of(1), true), 0), CloseCode::flow);
  EXPECT_EQ(stream.add(fragment(0, 15, bytes_of(1), true), 1).credit, 1U);
  EXPECT_EQ(fault_of(stream, fragment(1, 0, {}, true), 15), CloseCode::flow);
  EXPECT_EQ(stream.add(fragment(1, 0, {}, true), 16).credit, 16U);
  EXPECT_EQ(stream.take_consumed(), 0U);
  EXPECT_EQ(next_message(stream), 16U);
  EXPECT_EQ(stream.take_consumed(), 32U);
}

// SPEC stt.md#credit
TEST(SttReceiveStream, DatagramsQueueUpTo256KiBAndTheOldestGoesButNotTheOneBeingRead) {
  ReceiveStream stream(StreamMode::unreliable);
  for (std::uint64_t id = 0; id < 3; ++id) {
    EXPECT_EQ(fault_of(stream, fragment(id, 0, bytes_of(100'000 + id), true)), std::nullopt);
  }
  EXPECT_EQ(next_message(stream), 100'001U) << "message 0 was too old";
  std::vector<std::uint8_t> half(50'000);
  EXPECT_EQ(stream.read(half).bytes, 50'000U);
  for (std::uint64_t id = 3; id < 6; ++id) {
    EXPECT_EQ(fault_of(stream, fragment(id, 0, bytes_of(100'000 + id), true)), std::nullopt);
  }
  EXPECT_EQ(next_message(stream), 50'002U);
  EXPECT_EQ(next_message(stream), 100'005U);
  EXPECT_FALSE(stream.is_readable());
}

// SPEC stt.md#streams
TEST(SttReceiveStream, AbandonMeansSomethingToPartialStreamsAlone) {
  for (const StreamMode mode : {StreamMode::ordered, StreamMode::unordered}) {
    ReceiveStream stream(mode);
    stream.abandon(5);
    EXPECT_EQ(fault_of(stream, fragment(0, 0, bytes_of(3), mode != StreamMode::ordered)),
              std::nullopt);
    EXPECT_EQ(stream.readable_bytes(), 3U);
  }
}

// SPEC stt.md#streams
TEST(SttReceiveStream, BodiesAreReadByTheirModeAlone) {
  EXPECT_FALSE(parse_data(StreamMode::ordered, 0, {}));
  EXPECT_FALSE(parse_data(StreamMode::ordered, flag::kMessageEnd, bytes_of(2)));
  EXPECT_FALSE(parse_data(StreamMode::unordered, 0, {}));
  EXPECT_FALSE(parse_data(StreamMode::unordered, 0, bytes_of(1)));
  EXPECT_TRUE(parse_data(StreamMode::unordered, 0, bytes_of(2)));
  const std::array<std::uint8_t, 2> half{0, 0x80};
  EXPECT_FALSE(parse_data(StreamMode::partial, 0, half)) << "half a number";
}

// SPEC stt.md#streams
TEST(SttReceiveStream, StoppedStreamCountsWhatComesAsReadAndIsOverAtItsEnd) {
  ReceiveStream stream(StreamMode::unordered);
  EXPECT_EQ(fault_of(stream, fragment(0, 0, bytes_of(3), true)), std::nullopt);
  stream.stop();
  EXPECT_EQ(fault_of(stream, fragment(1, 0, bytes_of(4), false)), std::nullopt);
  EXPECT_EQ(stream.take_consumed(), 16U + 3 + 16 + 4);
  EXPECT_EQ(fault_of(stream, end_of_messages(2)), std::nullopt);
  EXPECT_FALSE(stream.is_over());
  EXPECT_EQ(fault_of(stream, fragment(1, 4, {}, true)), std::nullopt);
  EXPECT_TRUE(stream.is_over());
  EXPECT_FALSE(stream.is_readable());
}

}  // namespace
}  // namespace sealine::stt::detail
