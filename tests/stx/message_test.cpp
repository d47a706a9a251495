#include "sealine/stx/message.hpp"

#include "sealine/base/writer.hpp"
#include "support/fixed_rng.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace sealine::stx {
namespace {

using test::Bytes;

Entry file(std::string name, std::uint64_t size_bytes) {
  return {.kind = EntryKind::file,
          .mode = 0644,
          .mtime_ns = 1'700'000'000'000'000'000,
          .size_bytes = size_bytes,
          .name = std::move(name)};
}

Meta meta_of(std::vector<Entry> entries) {
  return {.item = 3, .block_log2 = 14, .entries = std::move(entries)};
}

Meta pack() {
  return meta_of({file("d/a", 5),
                  {.kind = EntryKind::symlink, .mode = 0777, .size_bytes = 3, .name = "d/l"},
                  {.kind = EntryKind::directory, .mode = 0755, .mtime_ns = -1, .name = "d"}});
}

/// One of each type.
std::vector<Message> one_of_each() {
  return {
      pack(),
      MetaOk{.item = 1, .code = Code::quota, .have = 9},
      Ack{.received = 10, .durable = 10},
      Nak{.frame = 77},
      Resume{.item = 1, .run_log2 = 3, .roots = {Hash{1}, Hash{2}}},
      ResumeOk{.item = 1, .start = 16},
      End{.item = 1, .blocks = 2, .size_bytes = 20000, .root = Hash{9}},
      Done{.item = 1,
           .code = Code::normal,
           .entries = {{.entry = 0, .code = Code::name}, {.entry = 4095, .code = Code::exists}}},
      Close{.code = Code::superseded},
      KeepAlive{},
      Select{.item = 0xFFFFFFFF},
      Drop{.item = 2, .code = Code::source_changed},
      Zero{.item = 2, .first = 1, .count = 5}};
}

Side sender_of(std::uint8_t type) {
  return is_sent_by(type, Side::client) ? Side::client : Side::server;
}

Result<Message> reparse(const Message& message) {
  return parse_message(type_of(message), encode(message), sender_of(type_of(message)));
}

void expect_refused(const Message& message) {
  const auto parsed = reparse(message);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, Errc::protocol_broken);
}

/// The message with one byte of its encoding set.
Result<Message> with_byte(const Message& message, std::size_t at, std::uint8_t value) {
  Bytes bytes = encode(message);
  bytes.at(at) = value;
  return parse_message(type_of(message), bytes, sender_of(type_of(message)));
}

// SPEC stx.md#messages
TEST(Message, comes_back_as_it_went) {
  std::uint8_t type = 0;
  for (const Message& message : one_of_each()) {
    EXPECT_EQ(type_of(message), ++type);
    const auto parsed = reparse(message);
    ASSERT_TRUE(parsed) << int{type};
    EXPECT_EQ(*parsed, message) << int{type};
    EXPECT_EQ(encoded_bytes(message), encode(message).size());
  }
  EXPECT_EQ(type, 13);
}

// SPEC stx.md#messages: a byte missing or left over is a fault.
TEST(Message, is_refused_one_byte_short_or_long) {
  for (const Message& message : one_of_each()) {
    const std::uint8_t type = type_of(message);
    Bytes bytes = encode(message);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      EXPECT_FALSE(parse_message(type, ByteView(bytes).first(length), sender_of(type)))
          << int{type} << " " << length;
    }
    bytes.push_back(0);
    EXPECT_FALSE(parse_message(type, bytes, sender_of(type))) << int{type};
  }
}

// SPEC stx.md#messages: so is a type from the wrong side.
TEST(Message, has_a_side_that_sends_it) {
  const std::string both = "client and server";
  const std::vector<std::string> senders{"client", "server", "server", "server", "client",
                                         "server", "client", "server", both,     both,
                                         "client", "client", "client"};
  for (const Message& message : one_of_each()) {
    const std::uint8_t type = type_of(message);
    const std::string& sender = senders[type - 1U];
    EXPECT_EQ(parse_message(type, encode(message), Side::client).has_value(), sender != "server");
    EXPECT_EQ(parse_message(type, encode(message), Side::server).has_value(), sender != "client");
  }
  for (const unsigned unknown : {0U, 14U, 0x80U, 0xFFU}) {
    for (const Side side : {Side::client, Side::server}) {
      EXPECT_FALSE(is_sent_by(static_cast<std::uint8_t>(unknown), side));
      EXPECT_FALSE(parse_message(static_cast<std::uint8_t>(unknown), {}, side));
    }
  }
}

TEST(Meta, block_size_is_in_range) {
  for (std::uint8_t log2 = 0; log2 < 40; ++log2) {
    EXPECT_EQ(with_byte(pack(), 4, log2).has_value(), log2 >= 14 && log2 <= 20) << int{log2};
  }
}

TEST(Meta, unknown_flags_are_refused) {
  for (unsigned flags = 0; flags < 256; ++flags) {
    EXPECT_EQ(with_byte(pack(), 5, static_cast<std::uint8_t>(flags)).has_value(), flags < 2)
        << flags;  // bit 1, size unknown, is not for a pack
  }
}

TEST(Meta, kinds_and_mode_bits) {
  constexpr std::size_t kKind = 8;
  constexpr std::size_t kMode = 9;
  for (unsigned kind = 0; kind < 256; ++kind) {
    // A file of 5 bytes may be a link of 5, and no directory.
    EXPECT_EQ(with_byte(pack(), kKind, static_cast<std::uint8_t>(kind)).has_value(),
              kind == 0 || kind == 2)
        << kind;
    EXPECT_EQ(with_byte(pack(), kMode, static_cast<std::uint8_t>(kind)).has_value(), kind < 2)
        << kind;
  }
}

TEST(Meta, has_entries_and_not_too_many) {
  expect_refused(meta_of({}));
  std::vector<Entry> entries(kMaxPackEntries, file("f", 0));
  EXPECT_TRUE(reparse(meta_of(entries)));
  entries.push_back(file("f", 0));
  expect_refused(meta_of(entries));
}

TEST(Meta, a_count_without_its_entries_allocates_nothing_for_them) {
  Bytes bytes(8);
  Writer(bytes)
      .be(std::uint32_t{0})
      .be(std::uint8_t{14})
      .be(std::uint8_t{0})
      .be(std::uint16_t{4096});
  const auto parsed = parse_message(1, bytes, Side::client);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, Errc::input_too_short);
}

TEST(Meta, sizes_of_directories_and_links) {
  Meta meta = pack();
  meta.entries[2].size_bytes = 1;
  expect_refused(meta);
  meta = pack();
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{4096}, ~std::uint64_t{0}}) {
    meta.entries[1].size_bytes = size;
    expect_refused(meta);
  }
  meta.entries[1].size_bytes = 4095;
  EXPECT_TRUE(reparse(meta));
}

// SPEC stx.md#items: a pack has at most 1 MiB together.
TEST(Meta, a_pack_is_small_and_a_file_is_not) {
  EXPECT_TRUE(reparse(meta_of({file("a", kMaxPackBytes - 1), file("b", 1)})));
  expect_refused(meta_of({file("a", kMaxPackBytes), file("b", 1)}));
  EXPECT_TRUE(reparse(meta_of({file("a", kMaxPackBytes + 1)})));
}

// SPEC stx.md#items: blocks < 2^32 - 256.
TEST(Meta, has_fewer_blocks_than_sequence_numbers) {
  const std::uint64_t most = std::uint64_t{kMaxBlocks} << 14U;
  EXPECT_EQ(kMaxBlocks, 4294967296ULL - 256 - 1);
  EXPECT_TRUE(reparse(meta_of({file("a", most)})));
  expect_refused(meta_of({file("a", most + 1)}));
  expect_refused(meta_of({file("a", ~std::uint64_t{0})}));
  Meta meta = meta_of({file("a", most + 1)});
  meta.block_log2 = 20;
  EXPECT_TRUE(reparse(meta));
}

TEST(Meta, sizes_do_not_wrap_around) {
  const std::uint64_t half = std::uint64_t{1} << 63U;
  expect_refused(meta_of({file("a", half), file("b", half)}));
  EXPECT_FALSE(total_bytes(meta_of({file("a", half), file("b", half)})));
  EXPECT_EQ(total_bytes(pack()), 8U);
}

// SPEC stx.md#items: size unknown is for one file entry of size 0, without zstd.
TEST(Meta, standard_input_is_one_file) {
  Meta meta = meta_of({file("stdin", 0)});
  meta.size_unknown = true;
  EXPECT_TRUE(reparse(meta));
  meta.compressible = true;
  expect_refused(meta);
  meta.compressible = false;
  meta.entries[0].size_bytes = 1;
  expect_refused(meta);
  meta.entries = {file("a", 0), file("b", 0)};
  expect_refused(meta);
  meta.entries = {{.kind = EntryKind::directory, .name = "d"}};
  expect_refused(meta);
}

TEST(Meta, names_are_bytes_and_the_receivers_to_judge) {
  const std::string odd("../\0\xff\n", 6);
  for (const std::string& name : {std::string(), odd, std::string(65535, 'x')}) {
    const auto parsed = reparse(meta_of({file(name, 1)}));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(std::get<Meta>(*parsed).entries[0].name, name);
  }
}

// SPEC stx.md#codes
TEST(Codes, beyond_the_last_are_refused) {
  EXPECT_EQ(kLastCode, 14);
  for (unsigned value = 0; value < 256; ++value) {
    const auto code = static_cast<Code>(value);
    const bool known = value <= 14;
    EXPECT_EQ(reparse(MetaOk{.code = code}).has_value(), known);
    EXPECT_EQ(reparse(Done{.code = code, .entries = {}}).has_value(), known);
    EXPECT_EQ(reparse(Done{.entries = {{.entry = 1, .code = code}}}).has_value(), known);
    EXPECT_EQ(reparse(Close{.code = code}).has_value(), known);
    EXPECT_EQ(reparse(Drop{.code = code}).has_value(), known);
  }
}

// SPEC stx.md#codes: again after 6, 7, 8; after 13 once; never after the others.
TEST(Codes, say_whether_to_try_again) {
  for (std::uint8_t value = 0; value <= kLastCode; ++value) {
    const Retry expected = value >= 6 && value <= 8 ? Retry::always
                           : value == 13            ? Retry::once
                                                    : Retry::never;
    EXPECT_EQ(retry_after(static_cast<Code>(value)), expected) << int{value};
    EXPECT_FALSE(to_string(static_cast<Code>(value)).empty());
    EXPECT_FALSE(to_string(errc_of(static_cast<Code>(value))).empty());
  }
}

// SPEC stx.md#acknowledgement: durable <= received.
TEST(Ack, says_nothing_impossible) {
  expect_refused(Ack{.received = 5, .durable = 6});
  EXPECT_TRUE(reparse(Ack{.received = kMaxFrames, .durable = 0}));
  expect_refused(Ack{.received = kMaxFrames + 1, .durable = 0});
  EXPECT_TRUE(reparse(Nak{.frame = kMaxFrames - 1}));
  expect_refused(Nak{.frame = kMaxFrames});
}

TEST(Resume, has_roots_within_its_limits) {
  expect_refused(Resume{.item = 0, .run_log2 = 0, .roots = {}});
  EXPECT_TRUE(reparse(Resume{.run_log2 = 18, .roots = std::vector<Hash>(16384)}));
  expect_refused(Resume{.run_log2 = 19, .roots = std::vector<Hash>(1)});
  expect_refused(Resume{.run_log2 = 0, .roots = std::vector<Hash>(16385)});
}

TEST(Counts, of_blocks_are_below_the_most) {
  EXPECT_TRUE(reparse(MetaOk{.have = kMaxBlocks}));
  expect_refused(MetaOk{.have = kMaxBlocks + 1});
  EXPECT_TRUE(reparse(ResumeOk{.start = kMaxBlocks}));
  expect_refused(ResumeOk{.start = kMaxBlocks + 1});
  EXPECT_TRUE(reparse(End{.blocks = kMaxBlocks}));
  expect_refused(End{.blocks = kMaxBlocks + 1});
  EXPECT_TRUE(reparse(Zero{.first = kMaxBlocks - 1, .count = 1}));
  expect_refused(Zero{.first = kMaxBlocks, .count = 1});
  expect_refused(Zero{.first = 0xFFFFFFFF, .count = 0xFFFFFFFF});
  expect_refused(Zero{.first = 1, .count = 0});
}

TEST(Done, names_entries_that_a_pack_can_have) {
  expect_refused(Done{.entries = {{.entry = 4096, .code = Code::exists}}});
  EXPECT_TRUE(reparse(Done{.entries = std::vector<EntryCode>(4096)}));
  expect_refused(Done{.entries = std::vector<EntryCode>(4097)});
}

TEST(BlockCount, rounds_up) {
  EXPECT_EQ(block_count(0, 14), 0U);
  EXPECT_EQ(block_count(1, 14), 1U);
  EXPECT_EQ(block_count(16384, 14), 1U);
  EXPECT_EQ(block_count(16385, 14), 2U);
  EXPECT_FALSE(block_count(~std::uint64_t{0}, 20));
}

// What was parsed from any bytes encodes to those bytes: there is one form of each message.
TEST(Message, has_one_encoding) {
  test::SeededRng rng(20);
  std::size_t parsed_count = 0;
  const std::vector<Message> seeds = one_of_each();
  for (int round = 0; round < 20000; ++round) {
    const Message& seed = seeds[rng.below(seeds.size())];
    Bytes bytes = encode(seed);
    for (std::uint64_t edits = rng.below(4); edits > 0 && !bytes.empty(); --edits) {
      bytes[rng.below(bytes.size())] = static_cast<std::uint8_t>(rng.below(256));
    }
    const std::uint8_t type = type_of(seed);
    const auto parsed = parse_message(type, bytes, sender_of(type));
    if (!parsed) continue;
    ++parsed_count;
    ASSERT_EQ(encode(*parsed), bytes);
  }
  EXPECT_GT(parsed_count, 1000U);
}

}  // namespace
}  // namespace sealine::stx
