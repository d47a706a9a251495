#include "sealine/stt/control.hpp"

#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

namespace sealine::stt {
namespace {

using test::Bytes;
using test::to_hex;
using wire::Value;

struct Row {
  const char* name;
  FrameType type;
  std::vector<Value> values;  // the code, and what follows it
};

const Bytes k16(16, 6);
const Bytes k32(32, 7);
const Bytes kOneRange{1};
const Bytes kCounts{1, 2, 3};

// Every message of the specification's table, by the tags that it prints.
std::vector<Row> table() {
  constexpr auto kSession = FrameType::control;
  constexpr auto kStream = FrameType::stream_control;
  const auto u64 = [] { return Value::u64(77); };
  return {
      {"PING", kSession, {Value::u8(1), u64()}},
      {"PONG", kSession, {Value::u8(2), u64()}},
      {"ACK", kSession, {Value::u8(3), u64(), Value::u32(9), Value::bytes(kOneRange), Value()}},
      {"ACK with marks",
       kSession,
       {Value::u8(3), u64(), Value::u32(9), Value::bytes(kOneRange), Value::bytes(kCounts)}},
      {"SESSION_CREDIT", kSession, {Value::u8(4), u64()}},
      {"ROTATE", kSession, {Value::u8(5), Value::u32(1), Value::bytes(k32), Value::bytes(k32)}},
      {"ROTATE without key", kSession, {Value::u8(5), Value::u32(1), Value::bytes(k32), Value()}},
      {"CLOSE", kSession, {Value::u8(6), Value::u16(300), Value::text("why")}},
      {"PATH_CHALLENGE", kSession, {Value::u8(7), Value::bytes(k16)}},
      {"PATH_RESPONSE", kSession, {Value::u8(8), Value::bytes(k16)}},
      {"ACK_FREQ", kSession, {Value::u8(12), Value::u16(10), Value::u32(25000)}},
      {"ROTATED", kSession, {Value::u8(14), Value::u32(1), Value::bytes(k32)}},
      {"ROTATED without key", kSession, {Value::u8(14), Value::u32(1), Value()}},
      {"CREDIT", kStream, {Value::u8(2), u64()}},
      {"BLOCKED", kStream, {Value::u8(3), u64()}},
      {"RESET", kStream, {Value::u8(4), Value::u16(5), u64()}},
      {"STOP", kStream, {Value::u8(5), Value::u16(5)}},
      {"ABANDON", kStream, {Value::u8(6), u64()}},
  };
}

Bytes body_of(std::vector<std::vector<Value>> messages) {
  std::vector<Value> items;
  for (auto& values : messages) items.push_back(Value::list(std::move(values)));
  return Value::list(std::move(items)).encode();
}

// How many messages a frame holds that are known; nothing for a fault.
std::optional<std::size_t> count_known(FrameType type, ByteView body) {
  ControlReader reader(type, body);
  for (std::size_t count = 0;; ++count) {
    const auto message = reader.next();
    if (!message) {
      EXPECT_EQ(message.error(), Error{Errc::protocol_broken});
      return std::nullopt;
    }
    if (!*message) return count;
  }
}

// SPEC stt.md#control
TEST(SttControl, EveryMessageIsWrittenAsItWasRead) {
  for (const Row& row : table()) {
    const Bytes body = body_of({row.values});
    ControlReader reader(row.type, body);
    const auto message = reader.next();
    ASSERT_TRUE(message && *message) << row.name;
    Bytes out(512);
    ControlWriter writer(out);
    ASSERT_TRUE(writer.put(**message)) << row.name;
    EXPECT_EQ(to_hex(writer.finish()), to_hex(body)) << row.name;
    const auto end = reader.next();
    EXPECT_TRUE(end && !*end) << row.name;
  }
}

// SPEC stt.md#control
TEST(SttControl, WrongArgumentsOfAKnownMessageAreAFault) {
  // A value of each kind that stands somewhere in the table, and some that stand nowhere.
  const std::vector<Value> others{Value(),
                                  Value::boolean(true),
                                  Value::integer(std::int64_t{1}),
                                  Value::u8(1),
                                  Value::u16(1),
                                  Value::u32(1),
                                  Value::u64(1),
                                  Value::text("text"),
                                  Value::bytes(Bytes(15, 1)),
                                  Value::bytes(Bytes(17, 1)),
                                  Value::bytes(Bytes(31, 1)),
                                  Value::bytes(Bytes(33, 1)),
                                  Value::list({})};
  for (const Row& row : table()) {
    const bool is_ack = row.values.front() == Value::u8(3) && row.type == FrameType::control;
    for (std::size_t place = 1; place < row.values.size(); ++place) {
      if (is_ack && place == 3) continue;  // bytes of any length, which have a test of their own
      for (const Value& other : others) {
        // NULL and BYTES stand side by side in these places alone.
        const bool may_be_null = std::string_view(row.name).starts_with("ROTATE")
                                     ? place + 1 == row.values.size()
                                     : is_ack && place == 4;
        if (other.tag() == row.values[place].tag() && other.tag() != wire::Tag::bytes) continue;
        if (may_be_null && other.tag() == wire::Tag::null) continue;
        std::vector<Value> values = row.values;
        values[place] = other;
        EXPECT_FALSE(count_known(row.type, body_of({values})))
            << row.name << " " << place << " " << static_cast<int>(other.tag());
      }
    }
    std::vector<Value> more = row.values;
    more.emplace_back();
    EXPECT_FALSE(count_known(row.type, body_of({more}))) << row.name;
    std::vector<Value> fewer = row.values;
    fewer.pop_back();
    EXPECT_FALSE(count_known(row.type, body_of({fewer}))) << row.name;
  }
}

// SPEC stt.md#control
TEST(SttControl, MessagesCutAnywhereAreAFault) {
  for (const Row& row : table()) {
    const Bytes body = body_of({row.values, row.values});
    EXPECT_EQ(count_known(row.type, body), 2U) << row.name;
    for (std::size_t size = 0; size < body.size(); ++size) {
      EXPECT_FALSE(count_known(row.type, ByteView(body).first(size))) << row.name << " " << size;
    }
  }
}

// SPEC stt.md#control
TEST(SttControl, UnknownMessagesAreReadOverWhateverIsInThemButAsStrictly) {
  const std::vector<Value> ping{Value::u8(1), Value::u64(77)};
  for (const int code : {0, 9, 10, 11, 13, 15, 200, 255}) {
    const std::vector<Value> unknown{Value::u8(static_cast<std::uint8_t>(code)),
                                     Value::list({Value::text("any"), Value()}), Value::u64(1)};
    EXPECT_EQ(count_known(FrameType::control, body_of({unknown, ping})), 1U) << code;
    Bytes broken = body_of({unknown, ping});
    const auto text = std::ranges::find(broken, static_cast<std::uint8_t>('a'));
    *text = 0xFF;  // no UTF-8
    EXPECT_FALSE(count_known(FrameType::control, broken)) << code;
  }
  EXPECT_FALSE(count_known(FrameType::control, body_of({{}}))) << "a message without a code";
  EXPECT_FALSE(count_known(FrameType::control, body_of({{Value::u16(1), Value::u64(1)}})));
}

// SPEC stt.md#control
TEST(SttControl, MarksAreThreeNumbersAndNothingBehindThem) {
  const auto with_marks = [](const Bytes& marks) {
    return count_known(FrameType::control,
                       body_of({{Value::u8(3), Value::u64(9), Value::u32(0),
                                 Value::bytes(kOneRange), Value::bytes(marks)}}));
  };
  EXPECT_EQ(with_marks({0, 0, 0}), 1U);
  EXPECT_FALSE(with_marks({}));
  EXPECT_FALSE(with_marks({1, 2}));
  EXPECT_FALSE(with_marks({1, 2, 3, 4}));
  EXPECT_FALSE(with_marks({1, 2, 0x80}));
}

std::optional<std::size_t> count_ranges(PacketNumber largest, const Bytes& bytes) {
  Ack ack;
  const auto parsed = parse_ack_ranges(largest, bytes, ack);
  if (!parsed) return std::nullopt;
  return ack.range_count;
}

// SPEC stt.md#control
TEST(SttControl, RangesStayAboveZeroAndAtMostThirtyTwo) {
  EXPECT_EQ(count_ranges(0, {1}), 1U);
  EXPECT_FALSE(count_ranges(0, {2}));
  EXPECT_FALSE(count_ranges(9, {0}));
  EXPECT_FALSE(count_ranges(9, {}));
  EXPECT_EQ(count_ranges(9, {1, 1, 8}), 2U);
  EXPECT_FALSE(count_ranges(9, {1, 1, 9}));
  EXPECT_FALSE(count_ranges(9, {1, 0, 8})) << "a gap of none";
  EXPECT_FALSE(count_ranges(9, {1, 9, 1})) << "a gap down to zero, and nothing below it";
  EXPECT_EQ(count_ranges(9, {1, 8, 1}), 2U);
  EXPECT_FALSE(count_ranges(9, {10, 1, 1})) << "a run below zero itself";
  EXPECT_FALSE(count_ranges(9, {1, 1, 0})) << "a run of none";
  EXPECT_FALSE(count_ranges(9, {1, 1})) << "a gap and no run";
  EXPECT_FALSE(count_ranges(9, {1, 0x80})) << "half a number";
  Bytes most(1 + 31 * 2, 1);
  EXPECT_EQ(count_ranges(1000, most), 32U);
  most.insert(most.end(), {1, 1});
  EXPECT_FALSE(count_ranges(1000, most));
}

// SPEC stt.md#control
TEST(SttControl, WhatDoesNotFitIsLeftForTheNextFrame) {
  Bytes out(5 + 16);
  ControlWriter writer(out);
  EXPECT_TRUE(writer.finish().empty());
  EXPECT_FALSE(writer.put(CloseMessage{.code = 1, .reason = "a long reason"}));
  EXPECT_TRUE(writer.put(Ping{1}));
  EXPECT_FALSE(writer.put(Ping{2}));
  EXPECT_EQ(writer.count(), 1U);
  EXPECT_EQ(count_known(FrameType::control, writer.finish()), 1U);
}

}  // namespace
}  // namespace sealine::stt
