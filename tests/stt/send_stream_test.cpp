#include "stt/detail/send_stream.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace sealine::stt::detail {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{1000s};
constexpr std::uint64_t kEnough = UINT64_MAX;
const std::vector<std::uint8_t> kBytes(10'000, 7);

ByteView bytes_of(std::size_t size) { return ByteView(kBytes).first(size); }

// A stream over a path that loses, and what its frames were.
struct Sender {
  SendStream stream;

  explicit Sender(StreamMode mode, Retention retention = Retention::until_acked)
      : stream(mode, retention, 65536) {}

  // The next frame, on its way.
  std::optional<SentFrame> send(std::size_t room = 1000, std::uint64_t credit = kEnough) {
    const auto frame = stream.next(room, credit);
    if (!frame) return std::nullopt;
    const SentFrame sent{.is_data = true,
                         .fin = frame->fin,
                         .message_end = frame->message_end,
                         .bytes = static_cast<std::uint32_t>(frame->bytes.size()),
                         .message = frame->id,
                         .offset = frame->offset};
    stream.sent(*frame);
    return sent;
  }

  std::vector<SentFrame> send_all(std::size_t room = 1000) {
    std::vector<SentFrame> all;
    while (const auto frame = send(room)) all.push_back(*frame);
    return all;
  }

  bool write(std::size_t size, std::optional<TimePoint> deadline = std::nullopt) {
    return stream.write(bytes_of(size), deadline) == size;
  }
};

// SPEC stt.md#retransmission
TEST(SttSendStream, SendsWhatWasLostBeforeWhatWasNeverSentAndWithoutCredit) {
  Sender sender(StreamMode::ordered);
  ASSERT_TRUE(sender.write(3000));
  const SentFrame first = sender.send().value();
  const SentFrame second = sender.send().value();
  sender.stream.lost(first);
  EXPECT_TRUE(sender.stream.has_waiting());
  EXPECT_FALSE(sender.stream.is_blocked(0)) << "what was lost needs none";
  const SentFrame again = sender.send(400, 0).value();
  EXPECT_EQ(again.offset, 0U);
  EXPECT_EQ(again.bytes, 400U);
  EXPECT_EQ(sender.send(1000, 0)->offset, 400U);
  EXPECT_FALSE(sender.send(1000, 0));
  EXPECT_TRUE(sender.stream.is_blocked(0));
  EXPECT_FALSE(sender.stream.is_blocked(1));
  EXPECT_EQ(sender.send()->offset, 2000U);
  // An acknowledgement that comes late after all, and a loss of what is there.
  sender.stream.acked(first);
  sender.stream.lost(again);
  sender.stream.lost(first);
  EXPECT_FALSE(sender.stream.has_waiting());
  sender.stream.acked(second);
  sender.stream.lost(second);
  EXPECT_FALSE(sender.stream.has_waiting());
}

// SPEC stt.md#retransmission
TEST(SttSendStream, SendsNothingAgainThatIsThereThoughACopyOfItWasLost) {
  for (const StreamMode mode : {StreamMode::ordered, StreamMode::unordered}) {
    Sender sender(mode);
    ASSERT_TRUE(sender.write(3000));
    const std::vector<SentFrame> frames = sender.send_all();
    ASSERT_EQ(frames.size(), 3U);
    sender.stream.acked(frames[1]);
    sender.stream.acked(frames[2]);
    sender.stream.lost(frames[1]);
    sender.stream.lost(frames[2]);
    EXPECT_FALSE(sender.stream.has_waiting());
    sender.stream.lost({.is_data = true, .bytes = 1500});
    const SentFrame again = sender.send(2000).value();
    EXPECT_EQ(again.offset, 0U);
    EXPECT_EQ(again.bytes, 1000U) << "what lacks, and no more";
    EXPECT_FALSE(sender.stream.has_waiting());
  }
}

// SPEC stt.md#streams
TEST(SttSendStream, IsOverOnceAllIsThereAndItsEndToo) {
  for (const bool end_first : {false, true}) {
    Sender sender(StreamMode::ordered);
    ASSERT_TRUE(sender.write(1500));
    sender.stream.finish();
    const std::vector<SentFrame> frames = sender.send_all();
    ASSERT_EQ(frames.size(), 2U);
    EXPECT_FALSE(frames[0].fin);
    EXPECT_TRUE(frames[1].fin);
    sender.stream.acked(frames[end_first ? 1 : 0]);
    EXPECT_FALSE(sender.stream.is_over());
    sender.stream.acked(frames[end_first ? 0 : 1]);
    EXPECT_TRUE(sender.stream.is_over());
    EXPECT_FALSE(sender.stream.has_waiting());
    EXPECT_FALSE(sender.stream.is_blocked(0));
    EXPECT_FALSE(sender.stream.next(1000, kEnough));
    // What is heard of it later changes nothing.
    sender.stream.lost(frames[0]);
    sender.stream.acked(frames[0]);
    EXPECT_TRUE(sender.stream.is_over());
  }
}

// SPEC stt.md#retransmission
TEST(SttSendStream, AnEndThatWasLostGoesOutAgainWithTheLastBytesOrAlone) {
  Sender sender(StreamMode::ordered);
  ASSERT_TRUE(sender.write(100));
  sender.stream.finish();
  const SentFrame whole = sender.send().value();
  sender.stream.lost(whole);
  const SentFrame again = sender.send(50).value();
  EXPECT_FALSE(again.fin);
  const SentFrame rest = sender.send().value();
  EXPECT_TRUE(rest.fin);
  EXPECT_EQ(rest.offset, 50U);
  sender.stream.lost(rest);
  sender.stream.acked(again);
  // The bytes of the first frame were there after all; its end was not told apart.
  sender.stream.acked({.is_data = true, .bytes = 100});
  const SentFrame end = sender.send().value();
  EXPECT_TRUE(end.fin);
  EXPECT_EQ(end.bytes, 0U);
  EXPECT_EQ(end.offset, 100U);
  sender.stream.acked(end);
  EXPECT_TRUE(sender.stream.is_over());
}

// SPEC stt.md#streams
TEST(SttSendStream, MessagesAreBegunWhenAllOfTheirCreditIsThere) {
  Sender sender(StreamMode::unordered);
  ASSERT_TRUE(sender.write(2000));
  EXPECT_TRUE(sender.stream.is_blocked(2015));
  EXPECT_FALSE(sender.send(1000, 2015));
  EXPECT_FALSE(sender.stream.is_blocked(2016));
  EXPECT_EQ(sender.stream.next(1000, 2016)->credit, 2016U);
  EXPECT_FALSE(sender.send(1000, 2016)->message_end);
  EXPECT_EQ(sender.stream.next(1000, 0)->credit, 0U) << "begun, so paid for";
  EXPECT_TRUE(sender.send(1000, 0)->message_end);
  EXPECT_FALSE(sender.stream.is_blocked(0)) << "nothing waits";
}

// SPEC stt.md#retransmission
TEST(SttSendStream, FragmentsThatWereLostAreSentAgainUntilTheMessageIsWhole) {
  Sender sender(StreamMode::unordered);
  ASSERT_TRUE(sender.write(2500));
  ASSERT_TRUE(sender.write(0));
  sender.stream.finish();
  const std::vector<SentFrame> frames = sender.send_all();
  ASSERT_EQ(frames.size(), 5U);
  EXPECT_TRUE(frames[3].message_end && frames[3].message == 1 && frames[3].bytes == 0);
  EXPECT_TRUE(frames[4].fin && frames[4].message == 2);
  for (const SentFrame& frame : frames) sender.stream.lost(frame);
  const std::vector<SentFrame> again = sender.send_all(700);
  // 700 + 700 + 700 + 400, the empty message, the end.
  ASSERT_EQ(again.size(), 6U);
  EXPECT_TRUE(again[3].message_end);
  EXPECT_EQ(again[3].offset + again[3].bytes, 2500U);
  EXPECT_TRUE(again[4].message == 1 && again[4].message_end);
  EXPECT_TRUE(again[5].fin);
  for (const std::size_t i : {4U, 5U, 0U, 3U, 2U}) {
    sender.stream.acked(again[i]);
    EXPECT_FALSE(sender.stream.is_over()) << i;
  }
  // Of the fragment that lacks, one half by the first copy.
  sender.stream.acked(frames[1]);
  EXPECT_FALSE(sender.stream.is_over());
  sender.stream.acked(frames[0]);
  EXPECT_TRUE(sender.stream.is_over());
}

// SPEC stt.md#retransmission
TEST(SttSendStream, OfAnUnreliableMessageNothingIsKept) {
  Sender sender(StreamMode::unreliable);
  ASSERT_TRUE(sender.write(1000));
  ASSERT_TRUE(sender.write(1001));
  const SentFrame first = sender.send().value();
  EXPECT_TRUE(first.message_end);
  EXPECT_FALSE(sender.send()) << "one frame or nothing";
  sender.stream.drop_message();
  EXPECT_FALSE(sender.stream.has_waiting());
  sender.stream.lost(first);
  EXPECT_FALSE(sender.stream.has_waiting());
  sender.stream.drop_message();
  ASSERT_TRUE(sender.write(10));
  EXPECT_EQ(sender.send()->message, 2U);
  sender.stream.finish();
  const SentFrame end = sender.send().value();
  EXPECT_TRUE(end.fin);
  EXPECT_EQ(end.message, 3U);
  sender.stream.lost(end);
  EXPECT_TRUE(sender.stream.has_waiting()) << "the end is not given up";
  sender.stream.acked(sender.send().value());
  EXPECT_TRUE(sender.stream.is_over());
}

// SPEC stt.md#streams
TEST(SttSendStream, PartialMessagesAreGivenUpAtTheirDeadline) {
  Sender sender(StreamMode::partial);
  ASSERT_TRUE(sender.write(1500, kStart + 1s));
  ASSERT_TRUE(sender.write(100, kStart + 1s));
  ASSERT_TRUE(sender.write(100, kStart + 2s));
  EXPECT_EQ(sender.stream.next_deadline(), kStart + 1s);
  const SentFrame first = sender.send().value();
  sender.stream.lost(first);
  EXPECT_EQ(sender.stream.expire(kStart + 999ms), std::nullopt);
  EXPECT_EQ(sender.stream.expire(kStart + 1s), 2U);
  EXPECT_EQ(sender.stream.next_deadline(), kStart + 2s);
  const SentFrame third = sender.send().value();
  EXPECT_EQ(third.message, 2U) << "what was lost of the others is not sent again";
  sender.stream.lost(first);
  sender.stream.acked(first);
  EXPECT_FALSE(sender.stream.has_waiting());
  sender.stream.finish();
  const SentFrame end = sender.send().value();
  sender.stream.acked(end);
  EXPECT_FALSE(sender.stream.is_over());
  EXPECT_EQ(sender.stream.expire(kStart + 2s), 3U);
  EXPECT_TRUE(sender.stream.is_over()) << "nothing is waited for any more";
  EXPECT_EQ(sender.stream.next_deadline(), std::nullopt);
}

// SPEC stt.md#streams
TEST(SttSendStream, NoMessageRunsAheadOfTheOldestByMoreThanTheWindow) {
  Sender sender(StreamMode::unordered);
  std::vector<SentFrame> frames;
  for (std::uint64_t id = 0; id <= kMessageIdWindow; ++id) {
    ASSERT_TRUE(sender.write(0));
    if (const auto frame = sender.send()) frames.push_back(*frame);
  }
  ASSERT_EQ(frames.size(), kMessageIdWindow);
  sender.stream.acked(frames[1]);
  EXPECT_FALSE(sender.send());
  sender.stream.acked(frames[0]);
  EXPECT_EQ(sender.send()->message, kMessageIdWindow);
}

// SPEC stt.md#streams
TEST(SttSendStream, TakesWhatThereIsRoomForAndOneMessageAlways) {
  SendStream bytes(StreamMode::ordered, Retention::until_sent, 1000);
  EXPECT_EQ(bytes.write(bytes_of(1500), {}), 1000U);
  EXPECT_EQ(bytes.write(bytes_of(1), {}), 0U);
  EXPECT_EQ(bytes.writable_bytes(), 0U);
  bytes.sent(bytes.next(600, kEnough).value());
  EXPECT_EQ(bytes.writable_bytes(), 600U);

  SendStream messages(StreamMode::unordered, Retention::until_sent, 1000);
  EXPECT_EQ(messages.write(bytes_of(5000), {}), 5000U);
  EXPECT_EQ(messages.writable_bytes(), 0U);
  EXPECT_EQ(messages.write(bytes_of(1), {}), 0U);
  messages.sent(messages.next(9000, kEnough).value());
  EXPECT_EQ(messages.writable_bytes(), 1000U);
}

// SPEC stt.md#streams
TEST(SttSendStream, OverATransportThatLosesNothingItIsOverWithItsEnd) {
  for (const StreamMode mode : {StreamMode::ordered, StreamMode::unordered, StreamMode::partial}) {
    Sender sender(mode, Retention::until_sent);
    ASSERT_TRUE(sender.write(1500));
    sender.stream.finish();
    EXPECT_FALSE(sender.send_all().empty());
    EXPECT_TRUE(sender.stream.is_over());
  }
}

// SPEC stt.md#streams
TEST(SttSendStream, ResetDropsWhatWaits) {
  for (const StreamMode mode : {StreamMode::ordered, StreamMode::unordered}) {
    Sender sender(mode);
    ASSERT_TRUE(sender.write(1500));
    const SentFrame frame = sender.send().value();
    sender.stream.reset();
    EXPECT_TRUE(sender.stream.is_over());
    EXPECT_TRUE(sender.stream.is_finishing());
    sender.stream.lost(frame);
    EXPECT_FALSE(sender.stream.has_waiting());
    EXPECT_FALSE(sender.send());
    EXPECT_EQ(sender.stream.writable_bytes(), 65536U);
  }
}

}  // namespace
}  // namespace sealine::stt::detail
