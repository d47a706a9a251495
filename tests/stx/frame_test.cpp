#include "sealine/stx/frame.hpp"

#include "sealine/base/writer.hpp"
#include "support/engines.hpp"
#include "support/hex.hpp"
#include "support/no_alloc.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sealine::stx {
namespace {

using test::Bytes;

Result<FrameHead> judge(std::uint32_t sequence, std::uint32_t size, Side from) {
  ByteArray<kFrameHeadBytes> bytes{};
  Writer(bytes).be(sequence).be(size);
  return parse_frame_head(bytes, from);
}

// SPEC stx.md#frame: a larger size or an unknown type is known from the head alone.
TEST(FrameHead, of_data) {
  EXPECT_TRUE(judge(0, 1, Side::client));
  EXPECT_TRUE(judge(0xFFFFFEFF, 1 << 20, Side::client));
  EXPECT_FALSE(judge(0, 0, Side::client));
  EXPECT_FALSE(judge(0, (1 << 20) + 1, Side::client));
  EXPECT_FALSE(judge(0, 0xFFFFFFFF, Side::client));
  EXPECT_FALSE(judge(0, 1, Side::server));
  const auto head = judge(7, 100, Side::client);
  ASSERT_TRUE(head);
  EXPECT_FALSE(head->is_control());
  EXPECT_EQ(head->frame_bytes(), 128U);
}

TEST(FrameHead, of_control) {
  for (unsigned type = 0; type < 256; ++type) {
    const auto id = static_cast<std::uint8_t>(type);
    for (const Side side : {Side::client, Side::server}) {
      EXPECT_EQ(judge(0xFFFFFF00U | type, 4, side).has_value(), is_sent_by(id, side)) << type;
    }
  }
  EXPECT_TRUE(judge(0xFFFFFF0A, 0, Side::server));
  EXPECT_TRUE(judge(0xFFFFFF01, 1 << 20, Side::client));
  EXPECT_FALSE(judge(0xFFFFFF01, (1 << 20) + 1, Side::client));
}

class Frame : public test::EngineTest {
 protected:
  FrameKey key_{FixedView<32>(test::counting(32).data(), 32)};

  [[nodiscard]] Bytes sealed(std::uint64_t counter, FrameHead head, ItemId item) const {
    Bytes frame(head.frame_bytes());
    const Bytes plaintext = test::counting(head.size_bytes);
    std::ranges::copy(plaintext, frame.begin() + kFrameHeadBytes);
    seal_frame(engine(), key_, counter, head, item, frame);
    return frame;
  }
};

SEALINE_FOR_EACH_ENGINE(Frame);

TEST_P(Frame, opens_in_its_place_alone) {
  const FrameHead data{.sequence = 5, .size_bytes = 100};
  const Bytes frame = sealed(9, data, 3);
  EXPECT_TRUE(has_valid_crc(frame));
  Bytes copy = frame;
  const auto opened = open_frame(engine(), key_, 9, 3, copy);
  ASSERT_TRUE(opened);
  EXPECT_EQ(test::copy_of(*opened), test::counting(100));

  for (const auto& [counter, item] :
       {std::pair<std::uint64_t, ItemId>{8, 3}, {10, 3}, {9, 2}, {9, 0}, {9ULL << 32U, 3}}) {
    copy = frame;
    const auto moved = open_frame(engine(), key_, counter, item, copy);
    ASSERT_FALSE(moved) << counter << " " << item;
    EXPECT_EQ(moved.error().code, Errc::tag_mismatch);
  }
}

TEST_P(Frame, of_control_belongs_to_no_item) {
  const Bytes frame = sealed(0, {.sequence = 0xFFFFFF09, .size_bytes = 1}, 1);
  Bytes copy = frame;
  EXPECT_TRUE(open_frame(engine(), key_, 0, 77, copy));
}

// Each bit of the frame is under the CRC, and each but those of the CRC under the tag.
TEST_P(Frame, each_flipped_bit_is_seen) {
  const Bytes frame = sealed(1, {.sequence = 0, .size_bytes = 24}, 0);
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    Bytes damaged = frame;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(has_valid_crc(damaged)) << bit;
    if (bit >= 4 * 8 && bit < 8 * 8) continue;  // the size: it frames another run of bytes
    if (bit >= (frame.size() - 4) * 8) continue;
    const auto opened = open_frame(engine(), key_, 1, 0, damaged);
    ASSERT_FALSE(opened) << bit;
    EXPECT_EQ(opened.error().code, Errc::tag_mismatch);
  }
}

TEST_P(Frame, of_another_key_does_not_open) {
  Bytes frame = sealed(1, {.sequence = 0, .size_bytes = 24}, 0);
  const FrameKey other(FixedView<32>(test::counting(32, 1).data(), 32));
  EXPECT_FALSE(open_frame(engine(), other, 1, 0, frame));
}

TEST_P(Frame, short_runs_have_no_crc) {
  for (std::size_t length = 0; length < kFrameOverheadBytes; ++length) {
    EXPECT_FALSE(has_valid_crc(Bytes(length)));
  }
}

TEST_P(Frame, the_last_counter_and_the_largest_size) {
  const FrameHead head{.sequence = 0xFFFFFEFF, .size_bytes = kMaxFrameBytes};
  Bytes frame = sealed(kMaxFrames - 1, head, 0xFFFFFFFF);
  EXPECT_TRUE(open_frame(engine(), key_, kMaxFrames - 1, 0xFFFFFFFF, frame));
}

TEST_P(Frame, allocates_nothing) {
  const FrameHead head{.sequence = 1, .size_bytes = 4096};
  Bytes frame = sealed(0, head, 0);
  bool opened = false;
  bool whole = false;
  {
    const test::NoAlloc guard;
    seal_frame(engine(), key_, 1, head, 0, frame);
    whole = has_valid_crc(frame);
    opened = open_frame(engine(), key_, 1, 0, frame).has_value();
  }
  EXPECT_TRUE(whole && opened);
}

}  // namespace
}  // namespace sealine::stx
