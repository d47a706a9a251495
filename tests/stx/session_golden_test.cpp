#include "sealine/stx/frame.hpp"
#include "sealine/stx/receiver.hpp"
#include "sealine/stx/sender.hpp"
#include "support/engines.hpp"
#include "support/hex.hpp"
#include "support/stx_pair.hpp"
#include "support/vectors.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

// The sessions of tests/vectors/sealine/stx.json, each machine against the other side's frames:
// every frame of it must come out, sealed, in its order, byte for byte.

namespace sealine::stx {
namespace {

using nlohmann::json;
using test::Bytes;

std::string text_of(const json& value) { return value.get<std::string>(); }

/// A frame of the vectors.
struct Row {
  std::string name;
  std::uint64_t counter = 0;
  Bytes bytes;  ///< the whole frame, or empty: then only its head, tag and CRC are known
  Bytes head, tag, crc;
  bool damaged = false;

  [[nodiscard]] FrameHead frame_head(Side from) const {
    const Bytes& from_bytes = bytes.empty() ? head : bytes;
    return *parse_frame_head(FixedView<kFrameHeadBytes>(from_bytes.data(), kFrameHeadBytes), from);
  }
};

std::vector<Row> rows_of(const json& side) {
  std::vector<Row> rows;
  for (const json& frame : side) {
    if (!frame.contains("ctr")) continue;  // the handshake
    Row row;
    row.name = text_of(frame["name"]);
    row.counter = frame["ctr"].get<std::uint64_t>();
    if (frame.contains("bytes")) row.bytes = test::from_hex(text_of(frame["bytes"]));
    if (frame.contains("head")) {
      row.head = test::from_hex(text_of(frame["head"]));
      row.tag = test::from_hex(text_of(frame["tag"]));
      row.crc = test::from_hex(text_of(frame["crc"]));
    }
    row.damaged = frame.contains("note");
    rows.push_back(std::move(row));
  }
  return rows;
}

/// No holes.
class Solid final : public ZeroRuns {
 public:
  Solid() = default;

  std::uint32_t zero_blocks(ItemId, std::uint32_t) override { return 0; }
};

class StxGoldenSession : public test::EngineTest {
 protected:
  /// What the notes of the vectors say of the content.
  Bytes content(const json& session, bool of_client) {
    const std::string name = text_of(session["name"]);
    if (name == "empty") return {};
    if (name == "pack") {
      Bytes all;
      for (const Row& row : rows_of(session["client"])) {
        if (row.name.starts_with("BLOCK")) {
          Bytes frame = row.bytes;
          const auto plain = open_frame(engine(), key(session, "K_c"), row.counter, 0, frame);
          all.insert(all.end(), plain->begin(), plain->end());
        }
      }
      return all;
    }
    Bytes bytes(name == "whole" ? 32868 : 81920);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<std::uint8_t>(7 * i + 3 * (i >> 8U) + (name == "whole" ? 0U : 1U));
    }
    if (name == "resume changed" && of_client) bytes[32768] ^= 1U;
    return bytes;
  }

  static FrameKey key(const json& session, const char* name) {
    return FrameKey(test::hex_array<32>(text_of(session["keys"][name])));
  }

  Message message_of(const json& session, const Row& row, Side from) {
    Bytes frame = row.bytes;
    const auto plain = open_frame(engine(), key(session, from == Side::client ? "K_c" : "K_s"),
                                  row.counter, 0, frame);
    return *parse_message(row.frame_head(from).type(), *plain, from);
  }

  /// Seals what a machine gave and compares.
  void expect_row(const json& session, const char* key_name, const Row& row, FrameHead head,
                  std::uint64_t counter, ByteView plaintext) {
    SCOPED_TRACE(text_of(session["name"]) + " " + row.name);
    EXPECT_EQ(counter, row.counter);
    Bytes frame(head.frame_bytes());
    std::ranges::copy(plaintext, frame.begin() + kFrameHeadBytes);
    seal_frame(engine(), key(session, key_name), counter, head, 0, frame);
    if (row.bytes.empty()) {
      EXPECT_EQ(Bytes(frame.begin(), frame.begin() + kFrameHeadBytes), row.head);
      EXPECT_EQ(Bytes(frame.end() - kFrameTrailerBytes, frame.end() - 4), row.tag);
      EXPECT_EQ(Bytes(frame.end() - 4, frame.end()), row.crc);
      return;
    }
    if (row.damaged) frame.back() ^= 1U;
    EXPECT_TRUE(frame == row.bytes);
  }

  void play_sender(const json& session);
  void play_receiver(const json& session);
};

SEALINE_FOR_EACH_ENGINE(StxGoldenSession);

void StxGoldenSession::play_sender(const json& session) {
  const auto ours = rows_of(session["client"]);
  const auto theirs = rows_of(session["server"]);
  const test::StxSource source{.meta = std::get<Meta>(message_of(session, ours[0], Side::client)),
                               .content = content(session, true)};
  Solid solid;
  Sender sender({}, solid, engine(), TimePoint{});
  sender.offer(source.meta, TimePoint{});
  sender.finish();

  std::size_t sent = 0;
  for (std::size_t heard = 0;; ++heard) {
    while (sent < ours.size()) {
      const auto order = sender.poll_frame(0, TimePoint{});
      if (!order) break;
      if (const auto* control = std::get_if<ControlFrame>(&*order)) {
        expect_row(session, "K_c", ours[sent++], control->head, control->counter,
                   control->plaintext);
        continue;
      }
      const auto& block = std::get<BlockFrame>(*order);
      const ByteView bytes = source.block(block.block);
      sender.handle_leaf(0, block.block, test::stx_leaf(engine(), bytes));
      expect_row(session, "K_c", ours[sent++], {block.block, block.block_bytes}, block.counter,
                 bytes);
    }
    if (heard == theirs.size()) break;
    sender.handle_message(0, message_of(session, theirs[heard], Side::server), TimePoint{});
    while (const auto event = sender.poll_event()) {
      const auto* wanted = std::get_if<LeavesWanted>(&*event);
      for (std::uint32_t i = 0; wanted != nullptr && i < wanted->count; ++i) {
        const Hash leaf = test::stx_leaf(engine(), source.block(i));
        sender.handle_leaves(0, std::span(&leaf, 1));
      }
    }
  }
  EXPECT_EQ(sent, ours.size());
  const bool is_cut = !session["end"].empty();
  EXPECT_EQ(sender.state(), is_cut ? Sender::State::running : Sender::State::closed);
}

void StxGoldenSession::play_receiver(const json& session) {
  const auto ours = rows_of(session["server"]);
  const auto meta_ok = std::get<MetaOk>(message_of(session, ours[0], Side::server));
  test::StxSource part{.meta = {}, .content = content(session, false)};
  Receiver receiver({}, kMaxBlockLog2, true, engine(), TimePoint{});

  std::size_t sent = 0;
  const auto drain = [&] {
    for (bool more = true; more;) {
      more = false;
      while (const auto event = receiver.poll_event()) {
        more = true;
        if (const auto* offered = std::get_if<Offered>(&*event)) {
          part.meta = offered->meta;
          receiver.answer(0, {.have = meta_ok.have});
        } else if (const auto* wanted = std::get_if<LeavesWanted>(&*event)) {
          for (std::uint32_t i = 0; i < wanted->count; ++i) {
            const Hash leaf = test::stx_leaf(engine(), part.block(i));
            receiver.handle_leaves(0, std::span(&leaf, 1), false);
          }
        } else if (std::holds_alternative<ItemComplete>(*event)) {
          receiver.finish(0, Code::normal, {});
        }
      }
      while (const auto frame = receiver.poll_frame(0, TimePoint{})) {
        more = true;
        ASSERT_LT(sent, ours.size()) << text_of(session["name"]);
        expect_row(session, "K_s", ours[sent++], frame->head, frame->counter, frame->plaintext);
      }
    }
  };

  for (const Row& row : rows_of(session["client"])) {
    const auto slot = receiver.expect_frame(0, row.frame_head(Side::client), TimePoint{});
    ASSERT_TRUE(slot.has_value());
    EXPECT_EQ(slot->counter, row.counter);
    if (row.damaged) {
      receiver.handle_damaged(0, *slot, TimePoint{});
    } else if (slot->head.is_control()) {
      receiver.handle_message(0, *slot, message_of(session, row, Side::client), TimePoint{});
    } else {
      test::StxSource source{.meta = part.meta, .content = content(session, true)};
      receiver.handle_block(0, *slot, test::stx_leaf(engine(), source.block(slot->head.sequence)),
                            slot->block_bytes, TimePoint{});
    }
    drain();
    // A commit, once all blocks are there; what a pack holds is durable with DONE.
    const auto blocks = part.meta.entries.empty()
                            ? 0U
                            : *block_count(*total_bytes(part.meta), part.meta.block_log2);
    if (!slot->head.is_control() && receiver.leading_blocks(0) == blocks &&
        part.meta.entries.size() == 1) {
      receiver.handle_durable(0, blocks);
      drain();
    }
  }
  EXPECT_EQ(sent, ours.size()) << text_of(session["name"]);
  const bool is_cut = !session["end"].empty();
  EXPECT_EQ(receiver.state(), is_cut ? Sender::State::running : Sender::State::closed);
}

// SPEC stx.md#course
TEST_P(StxGoldenSession, every_frame_of_the_sender) {
  const json all = test::load_vectors("stx.json");
  for (const json& session : all["sessions"]) play_sender(session);
}

// SPEC stx.md#course
TEST_P(StxGoldenSession, every_frame_of_the_receiver) {
  const json all = test::load_vectors("stx.json");
  for (const json& session : all["sessions"]) play_receiver(session);
}

}  // namespace
}  // namespace sealine::stx
