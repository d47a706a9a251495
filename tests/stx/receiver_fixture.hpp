#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stx/receiver.hpp"
#include "support/stx_pair.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::stx {

constexpr std::uint32_t kBlock = 1U << kMinBlockLog2;

/// A receiver against a sender that says what the test wants.
class StxReceiver : public ::testing::Test {
 protected:
  /// A control frame that opened.
  void say(const Message& message, LaneId lane = 0) {
    const auto slot =
        receiver.expect_frame(lane,
                              {.sequence = kControlSequence | type_of(message),
                               .size_bytes = static_cast<std::uint32_t>(encoded_bytes(message))},
                              now);
    ASSERT_TRUE(slot.has_value());
    receiver.handle_message(lane, *slot, message, now);
  }

  Result<FrameSlot> head(std::uint32_t block, LaneId lane = 0, std::uint32_t size = kBlock) {
    return receiver.expect_frame(lane, {.sequence = block, .size_bytes = size}, now);
  }

  void block(std::uint32_t number, LaneId lane = 0, std::uint32_t size = kBlock) {
    const auto slot = head(number, lane, size);
    ASSERT_TRUE(slot.has_value());
    write(*slot, lane, size);
  }

  void write(const FrameSlot& slot, LaneId lane = 0, std::uint32_t size = kBlock) {
    receiver.handle_block(lane, slot, leaf(slot.head.sequence), size, now);
  }

  static Hash leaf(std::uint32_t block) {
    Hash leaf{};
    leaf[0] = static_cast<std::uint8_t>(block);
    leaf[1] = static_cast<std::uint8_t>(block >> 8U);
    leaf[2] = static_cast<std::uint8_t>(block >> 16U);
    return leaf;
  }

  Hash root(std::uint32_t blocks) {
    Tree tree(*engine);
    for (std::uint32_t i = 0; i < blocks; ++i) tree.add(leaf(i));
    return tree.root();
  }

  /// META of a file of so many full blocks, and the answer.
  void offer(std::uint32_t blocks, const MetaAnswer& answer = {}) {
    Meta meta = test::stx_file("f" + std::to_string(offered), std::uint64_t{blocks} * kBlock);
    meta.item = offered++;
    say(meta);
    receiver.answer(meta.item, answer);
  }

  void offer_unknown() {
    Meta meta = test::stx_file("-", 0);
    meta.item = offered++;
    meta.size_unknown = true;
    say(meta);
    receiver.answer(meta.item, {});
  }

  End end(std::uint32_t blocks) {
    return {.item = 0,
            .blocks = blocks,
            .size_bytes = std::uint64_t{blocks} * kBlock,
            .root = root(blocks)};
  }

  /// What the receiver sends on a lane.
  std::vector<Message> heard(LaneId lane = 0) {
    std::vector<Message> messages;
    while (const auto frame = receiver.poll_frame(lane, now)) {
      messages.push_back(*parse_message(frame->head.type(), frame->plaintext, Side::server));
    }
    return messages;
  }

  template <class M>
  std::optional<M> heard_one(LaneId lane = 0) {
    std::optional<M> found;
    for (const Message& message : heard(lane)) {
      if (const auto* m = std::get_if<M>(&message)) found = *m;
    }
    return found;
  }

  template <class E>
  std::optional<E> event() {
    while (auto next = receiver.poll_event()) {
      if (auto* e = std::get_if<E>(&*next)) return std::move(*e);
    }
    return std::nullopt;
  }

  /// CLOSE{1}, the last frame.
  void expect_fault() {
    const auto over = event<SessionOver>();
    ASSERT_TRUE(over.has_value());
    EXPECT_EQ(over->code, Code::protocol);
    EXPECT_FALSE(over->by_peer);
    EXPECT_EQ(over->fault.code, Errc::protocol_broken);
    EXPECT_EQ(heard(), std::vector<Message>{Close{Code::protocol}});
    EXPECT_EQ(receiver.state(), Sender::State::closed);
    EXPECT_TRUE(heard().empty());
  }

  std::unique_ptr<crypto::Engine> engine = std::move(*crypto::make_engine());
  TimePoint now{};
  Limits limits;
  Receiver receiver{limits, kMaxBlockLog2, false, *engine, now};
  ItemId offered = 0;
};

}  // namespace sealine::stx
