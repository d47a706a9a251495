#include "stt/detail/receive_stream.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace sealine::stt::detail {
namespace {

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

}  // namespace
}  // namespace sealine::stt::detail
