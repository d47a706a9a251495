#include "sealine/stcp/legacy_stream.hpp"

#include "tests/support/fixed_rng.hpp"
#include "tests/support/hex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace sealine::stcp {
namespace {

using test::Bytes;
using test::copy_of;

constexpr std::size_t kSizes[] = {16, 24, 32};

Bytes framed(ByteView packet, std::size_t iv_size) {
  const auto head = encode_legacy_frame_head(packet.size(), iv_size);
  Bytes out(head.begin(), head.end());
  out.insert(out.end(), packet.begin(), packet.end());
  return out;
}

// SPEC stcp.md#legacy
TEST(LegacyStream, length_counts_what_follows_the_iv) {
  EXPECT_EQ(test::to_hex(encode_legacy_frame_head(16 + 32, 16)), "0000000000000020");
  EXPECT_EQ(test::to_hex(encode_legacy_frame_head(32 + 32 + 5, 32)), "0000000000000025");
  EXPECT_EQ(test::to_hex(encode_legacy_frame_head(24 + kMaxLegacySealedBytes, 24)),
            "0000000001000020");
  for (const std::size_t iv_size : kSizes) {
    for (const std::size_t sealed : {std::size_t{32}, std::size_t{33}, kMaxLegacySealedBytes}) {
      const auto head = encode_legacy_frame_head(iv_size + sealed, iv_size);
      EXPECT_EQ(parse_legacy_frame_head(head, iv_size), iv_size + sealed);
    }
  }
}

TEST(LegacyStream, refuses_lengths_out_of_bounds) {
  for (const char* bad : {"0000000000000000", "000000000000001f", "0000000001000021",
                          "0000000100000020", "8000000000000020", "ffffffffffffffff"}) {
    const auto head = test::hex_array<8>(bad);
    EXPECT_EQ(parse_legacy_frame_head(head, 16).error(), Error{Errc::bad_length}) << bad;
    LegacyStreamReader reader(16);
    reader.append(head);
    EXPECT_EQ(reader.next_packet().error(), Error{Errc::bad_length}) << bad;
    reader.append(Bytes(100));
    EXPECT_EQ(reader.next_packet().error(), Error{Errc::bad_length}) << bad;
  }
}

TEST(LegacyStream, gives_the_same_packets_for_any_split) {
  test::SeededRng rng(4);
  for (const std::size_t iv_size : kSizes) {
    std::vector<Bytes> packets;
    Bytes stream;
    for (const std::size_t data : {0U, 1U, 100U, 0U, 700U}) {
      Bytes packet(iv_size + 32 + data);
      rng.fill(packet);
      const Bytes frame = framed(packet, iv_size);
      stream.insert(stream.end(), frame.begin(), frame.end());
      packets.push_back(packet);
    }
    for (std::size_t step = 1; step <= stream.size(); step += step < 50 ? 1 : 37) {
      LegacyStreamReader reader(iv_size);
      std::vector<Bytes> got;
      for (std::size_t at = 0; at < stream.size(); at += step) {
        reader.append(ByteView(stream).subspan(at, std::min(step, stream.size() - at)));
        for (;;) {
          const auto next = reader.next_packet();
          ASSERT_TRUE(next);
          if (!*next) break;
          got.push_back(copy_of(**next));
        }
      }
      EXPECT_TRUE(reader.finish());
      EXPECT_EQ(got, packets);
    }
  }
}

TEST(LegacyStream, an_end_inside_of_a_frame_is_truncation) {
  const Bytes stream = framed(test::counting(48), 16);
  for (std::size_t size = 0; size <= stream.size(); ++size) {
    LegacyStreamReader reader(16);
    reader.append(ByteView(stream).first(size));
    const auto next = reader.next_packet();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->has_value(), size == stream.size());
    if (size == 0 || size == stream.size()) {
      EXPECT_TRUE(reader.finish());
    } else {
      EXPECT_EQ(reader.finish().error(), Error{Errc::truncated});
    }
  }
}

}  // namespace
}  // namespace sealine::stcp
