#include "stcp/detail/record.hpp"

#include "sealine/crypto/engine.hpp"
#include "stcp/detail/record_budget.hpp"
#include "stcp/detail/record_ratchet.hpp"
#include "support/hex.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <unordered_set>

namespace sealine::stcp::detail {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ByteArray<4> trailer(std::uint8_t type, std::uint32_t pad) {
  return {type, static_cast<std::uint8_t>(pad >> 16U), static_cast<std::uint8_t>(pad >> 8U),
          static_cast<std::uint8_t>(pad)};
}

// SPEC stcp.md#record
TEST(StcpTrailer, round_trip) {
  for (const std::size_t pad : {std::size_t{0}, std::size_t{1}, std::size_t{255},
                                std::size_t{65536}, std::size_t{0xFFFFFF}}) {
    ByteArray<4> bytes{};
    encode_trailer({RecordType::data, pad}, bytes);
    const auto parsed = parse_trailer(bytes, pad + 4);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->pad_bytes, pad);
    EXPECT_EQ(parsed->type, RecordType::data);
  }
}

// SPEC stcp.md#record
TEST(StcpTrailer, pad_may_not_exceed_what_is_there) {
  EXPECT_TRUE(parse_trailer(trailer(0, 10), 14));
  for (const std::uint32_t pad : {11U, 12U, 255U, 0x10000U, 0xFFFFFFU}) {
    const auto parsed = parse_trailer(trailer(0, pad), 14);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, Errc::bad_trailer);
  }
}

// SPEC stcp.md#close
TEST(StcpTrailer, each_type_has_its_sizes) {
  for (int type = 0; type < 256; ++type) {
    for (std::size_t data_bytes = 0; data_bytes < 70; ++data_bytes) {
      bool good = false;
      if (type == 0 || type == 5) good = true;  // DATA; FINISH is judged by its place
      if (type == 1) good = data_bytes == 1;
      if (type == 2) good = data_bytes == 0 || data_bytes == 32;
      if (type == 3) good = data_bytes == 0;
      if (type == 6) good = data_bytes == 32;
      EXPECT_EQ(
          parse_trailer(trailer(static_cast<std::uint8_t>(type), 7), data_bytes + 11).has_value(),
          good)
          << type << " " << data_bytes;
    }
  }
}

// SPEC stcp.md#limits
TEST(StcpRecordBudget, sixty_five_at_once_are_too_many) {
  RecordBudget budget;
  const TimePoint start(seconds(100));
  budget.start(start);
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(budget.take_empty(start)) << i;
  EXPECT_FALSE(budget.has_room(start));
  EXPECT_FALSE(budget.take_empty(start));
}

// SPEC stcp.md#limits
TEST(StcpRecordBudget, grows_by_whole_seconds_and_starts_anew_with_data) {
  RecordBudget budget;
  const TimePoint start(seconds(100));
  budget.start(start);
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(budget.take_empty(start));
  RecordBudget early = budget;
  EXPECT_FALSE(early.take_empty(start + milliseconds(999)));
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(budget.take_empty(start + seconds(1)));
  EXPECT_FALSE(budget.take_empty(start + seconds(1)));
  budget.brought_data(start + seconds(1));
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(budget.take_empty(start + seconds(1)));
  EXPECT_FALSE(budget.take_empty(start + milliseconds(1999)));
}

// SPEC stcp.md#rekey
TEST(StcpRekeyBudget, sixteen_and_one_a_second_and_one_a_mebibyte) {
  RekeyBudget none;
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(none.take({}, 0));
  EXPECT_FALSE(none.take(milliseconds(999), (1U << 20U) - 1));
  RekeyBudget by_time;
  for (int i = 0; i < 19; ++i) EXPECT_TRUE(by_time.take(seconds(3), 0));
  EXPECT_FALSE(by_time.take(seconds(3), 0));
  RekeyBudget by_bytes;
  for (int i = 0; i < 18; ++i) EXPECT_TRUE(by_bytes.take({}, 2U << 20U));
  EXPECT_FALSE(by_bytes.take({}, 2U << 20U));
}

class StcpRatchet : public testing::Test {
 protected:
  static ChainKey counting_key() {
    const test::Bytes bytes = test::counting(32);
    return ChainKey(FixedView<32>(ByteView(bytes).first<32>()));
  }

  std::unique_ptr<crypto::Engine> engine_ = std::move(*crypto::make_engine());
};

// SPEC stcp.md#ratchet
TEST_F(StcpRatchet, vector_of_the_document) {
  // CK = 000102..1f, epoch 0, seq 1
  ByteArray<80> out{};
  const ByteArray<12> input{'S', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const ChainKey ck = counting_key();
  engine_->kbkdf_cmac(ck.expose(), input, out);
  EXPECT_EQ(test::to_hex(out),
            "5f6d3d62233fae1703247204e32401956b9e00ab6901368c103fc16995359737"
            "820930354411d7804a0fd7fad4933e2e99764eb95ff90f76c3c0e2227beee714"
            "8ecdef86e9a6646066ec11a4a04fa662");
}

TEST_F(StcpRatchet, preparing_twice_changes_nothing) {
  RecordRatchet one;
  RecordRatchet two;
  one.start(counting_key());
  two.start(counting_key());
  for (int i = 0; i < 5; ++i) {
    one.prepare(*engine_);
    two.prepare(*engine_);
    two.prepare(*engine_);
    EXPECT_EQ(test::to_hex(one.key()), test::to_hex(two.key()));
    EXPECT_EQ(test::to_hex(one.iv()), test::to_hex(two.iv()));
    one.advance();
    two.advance();
  }
}

TEST_F(StcpRatchet, a_used_key_is_gone) {
  RecordRatchet ratchet;
  ratchet.start(counting_key());
  ratchet.prepare(*engine_);
  ratchet.advance();
  EXPECT_EQ(test::to_hex(ratchet.key()), test::to_hex(ByteArray<32>{}));
  ratchet.prepare(*engine_);
  ratchet.wipe();
  EXPECT_EQ(test::to_hex(ratchet.key()), test::to_hex(ByteArray<32>{}));
  EXPECT_EQ(test::to_hex(ratchet.iv()), test::to_hex(ByteArray<16>{}));
}

TEST_F(StcpRatchet, epoch_separates_and_sequence_goes_on) {
  RecordRatchet ratchet;
  ratchet.start(counting_key());
  RecordRatchet other;
  other.start(counting_key());
  for (auto* each : {&ratchet, &other}) {
    each->prepare(*engine_);
    each->advance();
  }
  const SharedX x;
  ratchet.mix(*engine_, x, ByteArray<32>{});
  EXPECT_EQ(ratchet.epoch(), 1);
  EXPECT_EQ(ratchet.sequence(), 1U);
  ratchet.prepare(*engine_);
  other.prepare(*engine_);
  EXPECT_NE(test::to_hex(ratchet.key()), test::to_hex(other.key()));
}

// SPEC stcp.md#ratchet
TEST_F(StcpRatchet, every_record_has_a_key_of_its_own) {
  std::unordered_set<std::string> keys;
  std::unordered_set<std::string> ivs;
  constexpr int kRecords = 50'000;
  for (const std::uint8_t first : {std::uint8_t{0}, std::uint8_t{1}}) {  // two directions
    const test::Bytes bytes = test::counting(32, first);
    RecordRatchet ratchet;
    ratchet.start(ChainKey(FixedView<32>(ByteView(bytes).first<32>())));
    for (int i = 0; i < kRecords; ++i) {
      ratchet.prepare(*engine_);
      keys.emplace(as_text(ratchet.key()));
      ivs.emplace(as_text(ratchet.iv()));
      ratchet.advance();
    }
  }
  EXPECT_EQ(keys.size(), 2U * kRecords);
  EXPECT_EQ(ivs.size(), 2U * kRecords);
}

}  // namespace
}  // namespace sealine::stcp::detail
