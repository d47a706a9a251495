#include "sealine/wire/tlv.hpp"

#include "sealine/wire/utf8.hpp"
#include "sealine/wire/varint.hpp"
#include "support/hex.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <bit>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sealine::wire {
namespace {

using nlohmann::json;
using test::Bytes;
using test::from_hex;
using test::to_hex;

TEST(Varint, GoldenValuesBothWays) {
  const json vectors = test::load_vectors("stt.json")["varint"];
  for (const json& good : vectors["good"]) {
    const std::uint64_t value = std::stoull(good["value"].get<std::string>());
    const Bytes bytes = from_hex(good["hex"].get<std::string>());
    std::array<std::uint8_t, kMaxVarintBytes> out{};
    Writer writer(out);
    put_varint(writer, value);
    EXPECT_EQ(to_hex(*writer.finish()), good["hex"].get<std::string>()) << value;
    EXPECT_EQ(varint_bytes(value), bytes.size()) << value;
    Reader reader(bytes);
    EXPECT_EQ(read_varint(reader), value);
    EXPECT_EQ(reader.remaining(), 0U);
  }
  for (const json& bad : vectors["bad"]) {
    const Bytes bytes = from_hex(bad["hex"].get<std::string>());
    Reader reader(bytes);
    const auto read = read_varint(reader);
    ASSERT_FALSE(read) << bad;
    const bool truncated = bad["reason"] == "varint truncated";
    EXPECT_EQ(read.error().code, truncated ? Errc::input_too_short : Errc::bad_encoding) << bad;
    EXPECT_EQ(reader.offset(), 0U);
  }
}

TEST(Utf8, WhatRfc3629Allows) {
  const auto valid = [](std::string_view hex) { return is_utf8(from_hex(std::string(hex))); };
  for (const std::string_view hex :
       {"", "61", "c280", "dfbf", "e0a080", "ed9fbf", "ee8080", "efbfbf", "f0908080", "f48fbfbf"}) {
    EXPECT_TRUE(valid(hex)) << hex;
  }
  for (const std::string_view hex :
       {"80",       "bf",     "c0af",   "c1bf",     "c2",       "c2c2",     "e08080",
        "e09fbf",   "eda080", "edbfbf", "e28228",   "f08080af", "f08fbfbf", "f4908080",
        "f5808080", "ff",     "fe",     "f0908028", "e0a0",     "6180"}) {
    EXPECT_FALSE(valid(hex)) << hex;
  }
}

TEST(Utf8, AnySplitAndFailsAtTheFirstBadByte) {
  const Bytes good = from_hex("61c3a9e282acf09f988062636465666768696a6b6ce282ac");
  for (std::size_t split = 0; split <= good.size(); ++split) {
    Utf8 text;
    EXPECT_TRUE(text.feed(ByteView(good).first(split)));
    EXPECT_TRUE(text.feed(ByteView(good).subspan(split)));
    EXPECT_TRUE(text.is_whole());
  }
  Utf8 text;
  EXPECT_TRUE(text.feed(from_hex("6162f4")));
  EXPECT_FALSE(text.is_whole());
  EXPECT_FALSE(text.feed(from_hex("90")));  // beyond U+10FFFF, known before the character ends
  EXPECT_FALSE(text.feed(from_hex("61")));
  EXPECT_FALSE(text.is_whole());
}

// The notation of the vectors, made into a value.
Value made(const json& v) {
  const std::string t = v["t"];
  const json& x = v.contains("v") ? v["v"] : v["bits"];
  if (t == "null") return {};
  if (t == "bool") return Value::boolean(x.get<bool>());
  if (t == "int") {
    const std::string text = x;
    return text.starts_with('-') ? Value::integer(static_cast<std::int64_t>(std::stoll(text)))
                                 : Value::integer(static_cast<std::uint64_t>(std::stoull(text)));
  }
  if (t == "u8") return Value::u8(static_cast<std::uint8_t>(std::stoul(x.get<std::string>())));
  if (t == "u16") return Value::u16(static_cast<std::uint16_t>(std::stoul(x.get<std::string>())));
  if (t == "u32") return Value::u32(static_cast<std::uint32_t>(std::stoul(x.get<std::string>())));
  if (t == "u64") return Value::u64(std::stoull(x.get<std::string>()));
  if (t == "f64") {
    return Value::number(
        std::bit_cast<double>(std::uint64_t{std::stoull(x.get<std::string>(), nullptr, 16)}));
  }
  if (t == "bytes") return Value::bytes(from_hex(x.get<std::string>()));
  if (t == "str") return Value::text(x.get<std::string>());
  if (t == "list") {
    std::vector<Value> items;
    for (const json& item : x) items.push_back(made(item));
    return Value::list(std::move(items));
  }
  std::vector<Value::Member> members;
  for (const json& member : x) members.push_back({member[0], made(member[1])});
  return Value::dict(std::move(members));
}

TEST(Tlv, GoldenValuesEncodeAndDecode) {
  const json vectors = test::load_vectors("stt.json")["tlv"];
  for (const json& good : vectors["good"]) {
    const Bytes bytes = from_hex(good["hex"].get<std::string>());
    const auto decoded = Value::decode(bytes);
    ASSERT_TRUE(decoded) << good;
    EXPECT_EQ(to_hex(decoded->encode()), good["hex"].get<std::string>());
    const std::string tag = good["value"]["t"];
    if (tag == "f32" || tag == "i64") continue;  // tags that no plain value of ours makes
    EXPECT_EQ(to_hex(made(good["value"]).encode()), good["hex"].get<std::string>())
        << good["value"];
    EXPECT_EQ(*decoded, made(good["value"])) << good["value"];
  }
}

TEST(Tlv, GoldenFaultsAtTheirOffset) {
  const json vectors = test::load_vectors("stt.json")["tlv"];
  for (const json& bad : vectors["bad"]) {
    const Bytes bytes = from_hex(bad["hex"].get<std::string>());
    const auto decoded = Value::decode(bytes);
    ASSERT_FALSE(decoded) << bad["reason"];
    EXPECT_EQ(decoded.error().detail, bad["offset"].get<std::uint32_t>()) << bad["reason"];
    const std::string reason = bad["reason"];
    const Errc expected = reason == "truncated"        ? Errc::input_too_short
                          : reason == "trailing bytes" ? Errc::trailing_bytes
                                                       : Errc::bad_encoding;
    EXPECT_EQ(decoded.error().code, expected) << reason;

    Cursor cursor(bytes);
    const auto skipped = cursor.skip();
    EXPECT_FALSE(skipped && cursor.finish()) << "skip must be as strict: " << reason;
  }
}

TEST(Tlv, ACountAllocatesNothingThatIsNotThere) {
  // 2^32 - 1 values announced in five bytes; a nest of lists as deep as is allowed, and one deeper.
  EXPECT_FALSE(Value::decode(from_hex("40ffffffff")));
  std::string nest;
  for (std::size_t i = 0; i < kMaxDepth; ++i) nest += "4000000001";
  EXPECT_TRUE(Value::decode(from_hex(nest + "00")));
  EXPECT_FALSE(Value::decode(from_hex(nest + "4000000000")));
}

// A random value of every kind, of at most `budget` values.
Value random_value(std::mt19937_64& rng, int depth) {
  const auto below = [&rng](std::uint64_t n) { return rng() % n; };
  switch (below(depth > 0 ? 9 : 7)) {
    case 0:
      return {};
    case 1:
      return Value::boolean(below(2) != 0);
    case 2:
      return Value::integer(static_cast<std::int64_t>(rng() >> below(64)));
    case 3:
      return Value::integer(-static_cast<std::int64_t>(rng() >> (1 + below(63))));
    case 4:
      return Value::number(std::bit_cast<double>(rng()));
    case 5: {
      Bytes bytes(below(20));
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(rng());
      return Value::bytes(bytes);
    }
    case 6:
      return Value::text(std::string(below(9), static_cast<char>('a' + below(26))) + "\u20ac");
    case 7: {
      std::vector<Value> items(below(5));
      for (auto& item : items) item = random_value(rng, depth - 1);
      return Value::list(std::move(items));
    }
    default: {
      std::vector<Value::Member> members;
      for (std::uint64_t i = below(5); i-- > 0;) {
        members.push_back(
            {std::to_string(i) + std::string(below(3), 'k'), random_value(rng, depth - 1)});
      }
      return Value::dict(std::move(members));
    }
  }
}

TEST(Tlv, EveryValueHasOneEncoding) {
  std::mt19937_64 rng(20261121);
  for (int i = 0; i < 20000; ++i) {
    const Value value = random_value(rng, 4);
    const auto bytes = value.encode();
    const auto decoded = Value::decode(bytes);
    ASSERT_TRUE(decoded);
    ASSERT_EQ(*decoded, value);
    ASSERT_EQ(decoded->encode(), bytes);
    // Any byte changed gives a fault or another value, never the same one.
    auto changed = bytes;
    changed[rng() % changed.size()] ^= static_cast<std::uint8_t>(1U << (rng() % 8));
    const auto other = Value::decode(changed);
    ASSERT_FALSE(other && other->encode() == bytes);
    if (other) {
      ASSERT_EQ(other->encode(), changed);
    }
  }
}

TEST(Tlv, WriterAndCursorAgreeWithValues) {
  std::array<std::uint8_t, 128> out{};
  Writer writer(out);
  const Bytes run = from_hex("00ff");
  TlvWriter(writer).list(7).u8(1).u16(2).u32(3).u64(4).bytes(run).text("a").null();
  const auto bytes = *writer.finish();
  const auto value = Value::decode(bytes);
  ASSERT_TRUE(value);
  EXPECT_EQ(*value, Value::list({Value::u8(1), Value::u16(2), Value::u32(3), Value::u64(4),
                                 Value::bytes(run), Value::text("a"), Value()}));
  Cursor cursor(bytes);
  EXPECT_EQ(cursor.list(), 7U);
  EXPECT_EQ(cursor.number<std::uint8_t>(), 1U);
  EXPECT_FALSE(cursor.number<std::uint32_t>()) << "another tag, though the number fits";
  EXPECT_EQ(cursor.number<std::uint16_t>(), 2U);
  EXPECT_EQ(cursor.number<std::uint32_t>(), 3U);
  EXPECT_EQ(cursor.number<std::uint64_t>(), 4U);
  EXPECT_EQ(to_hex(*cursor.bytes()), "00ff");
  EXPECT_FALSE(cursor.take_null());
  EXPECT_EQ(cursor.text(), "a");
  EXPECT_FALSE(cursor.finish());
  EXPECT_TRUE(cursor.take_null());
  EXPECT_TRUE(cursor.finish());
}

// SPEC stt.md#tlv
TEST(Tlv, HoldsAtMost65536ValuesAndKeysCount) {
  const auto head_of = [](Tag tag, std::size_t count) {
    Bytes bytes(5);
    Writer(bytes).be(static_cast<std::uint8_t>(tag)).be(static_cast<std::uint32_t>(count));
    return bytes;
  };
  const auto list_of = [&](std::size_t count) {
    Bytes bytes = head_of(Tag::list, count);
    bytes.resize(bytes.size() + count);  // nulls
    return bytes;
  };
  const auto dict_of = [&](std::size_t count) {
    Bytes bytes = head_of(Tag::dict, count);
    for (std::size_t i = 0; i < count; ++i) {  // keys of three digits to the base of 64
      bytes.insert(bytes.end(), {0x31, 0, 0, 0, 3, static_cast<std::uint8_t>(' ' + i / 4096),
                                 static_cast<std::uint8_t>(' ' + i / 64 % 64),
                                 static_cast<std::uint8_t>(' ' + i % 64), 0});
    }
    return bytes;
  };
  for (const auto& [bytes, fits] :
       std::vector<std::pair<Bytes, bool>>{{list_of(kMaxValues - 1), true},
                                           {list_of(kMaxValues), false},
                                           {dict_of(kMaxValues / 2 - 1), true},
                                           {dict_of(kMaxValues / 2), false}}) {
    EXPECT_EQ(Value::decode(bytes).has_value(), fits);
    Cursor skipping(bytes);
    EXPECT_EQ(skipping.skip().has_value(), fits);
  }
  // One by one they count as well, and so do those that were skipped.
  const Bytes bytes = list_of(kMaxValues);
  Cursor cursor(bytes);
  EXPECT_EQ(cursor.list(), kMaxValues);
  for (std::size_t i = 0; i + 2 < kMaxValues; ++i) ASSERT_TRUE(cursor.take_null());
  EXPECT_TRUE(cursor.skip());
  EXPECT_FALSE(cursor.take_null());
}

// SPEC stt.md#tlv
TEST(Tlv, ACursorTakesWhatItIsAskedForAndNothingElse) {
  const auto is_refused = [](std::string_view hex, auto ask) {
    const Bytes bytes = from_hex(std::string(hex));
    Cursor cursor(bytes);
    return !ask(cursor);
  };
  const auto text = [](Cursor& cursor) { return cursor.text().has_value(); };
  const auto list = [](Cursor& cursor) { return cursor.list().has_value(); };
  const auto number = [](Cursor& cursor) { return cursor.number<std::uint16_t>().has_value(); };
  EXPECT_TRUE(is_refused("", text));
  EXPECT_TRUE(is_refused("3100000002c3", text)) << "cut";
  EXPECT_TRUE(is_refused("3100000002c328", text)) << "no UTF-8";
  EXPECT_FALSE(is_refused("3100000002c3a9", text));
  EXPECT_TRUE(is_refused("310000", text));
  EXPECT_TRUE(is_refused("400000", list));
  EXPECT_TRUE(is_refused("4000000002000000", number));
  EXPECT_TRUE(is_refused("400000000200", list)) << "two values in one byte";
  EXPECT_FALSE(is_refused("40000000020000", list));
  EXPECT_TRUE(is_refused("1501", number));
  EXPECT_TRUE(is_refused("99", list)) << "an unknown tag";
  EXPECT_TRUE(is_refused("99", [](Cursor& cursor) { return cursor.peek().has_value(); }));
  EXPECT_TRUE(is_refused("", [](Cursor& cursor) { return cursor.take_null(); }));
}

// SPEC stt.md#tlv
TEST(Tlv, ADictIsWrittenAsItsPairs) {
  std::array<std::uint8_t, 64> out{};
  Writer writer(out);
  TlvWriter(writer).dict(2).text("a").u8(1).text("b").null();
  EXPECT_EQ(*Value::decode(*writer.finish()), Value::dict({{"b", Value()}, {"a", Value::u8(1)}}));
}

}  // namespace
}  // namespace sealine::wire
