#include "io/stx/compression.hpp"
#include "io/stx/conflict.hpp"
#include "io/stx_files_fixture.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>
#include <zstd.h>

namespace sealine::io::stx::test {

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes lines(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += "line number " + std::to_string(i) + "\n";
  text.resize(size);
  return {text.begin(), text.end()};
}

Bytes compressed(const Bytes& block) {
  BlockCompressor compressor;
  Bytes out(block.size());
  const auto size = compressor.compress(block, out);
  EXPECT_TRUE(size);
  out.resize(size.value_or(0));
  return out;
}

Error open_error(ByteView frame, std::size_t size) {
  BlockDecompressor decompressor;
  Bytes block(size);
  const auto opened = decompressor.decompress(frame, block);
  return opened ? Error{} : opened.error();
}

constexpr Error kBad{Errc::bad_compression, 0};

TEST(BlockCompression, gives_the_block_back) {
  BlockCompressor compressor;
  BlockDecompressor decompressor;
  for (const std::size_t size : {std::size_t{100}, std::size_t{1} << 14U,
                                 (std::size_t{1} << 18U) - 1, std::size_t{1} << 20U}) {
    const Bytes block = lines(size);
    Bytes frame(size);
    const auto used = compressor.compress(block, frame);
    ASSERT_TRUE(used) << size;
    EXPECT_LT(*used, size);
    Bytes opened(size);
    ASSERT_TRUE(decompressor.decompress(ByteView(frame).first(*used), opened)) << size;
    EXPECT_EQ(opened, block);
  }
}

TEST(BlockCompression, is_not_for_what_does_not_shrink) {
  BlockCompressor compressor;
  const Bytes noise = pattern(std::size_t{1} << 16U);
  Bytes out(noise.size() * 2);
  EXPECT_FALSE(compressor.compress(noise, out));
  EXPECT_FALSE(compressor.compress({}, out));
  EXPECT_FALSE(compressor.compress(pattern(1), out));
  const Bytes block = lines(std::size_t{1} << 16U);
  EXPECT_FALSE(compressor.compress(block, MutableBytes(out).first(100))) << "no room";
}

// SPEC stx.md#items
TEST(BlockDecompression, takes_one_frame_of_exactly_the_blocks_length) {
  const Bytes block = lines(10'000);
  const Bytes frame = compressed(block);
  EXPECT_EQ(open_error(frame, 10'000), Error{});
  EXPECT_EQ(open_error(frame, 9'999), kBad);
  EXPECT_EQ(open_error(frame, 10'001), kBad);
  Bytes twice = frame;
  twice.insert(twice.end(), frame.begin(), frame.end());
  EXPECT_EQ(open_error(twice, 20'000), kBad);
  Bytes more = frame;
  more.push_back(0);
  EXPECT_EQ(open_error(more, 10'000), kBad);
  // A skippable frame in front, or alone.
  Bytes skippable{0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4};
  EXPECT_EQ(open_error(skippable, 0), kBad);
  skippable.insert(skippable.end(), frame.begin(), frame.end());
  EXPECT_EQ(open_error(skippable, 10'000), kBad);
}

TEST(BlockDecompression, refuses_every_truncation_and_survives_every_flip) {
  const Bytes block = lines(3'000);
  const Bytes frame = compressed(block);
  for (std::size_t n = 0; n < frame.size(); ++n) {
    ASSERT_EQ(open_error(ByteView(frame).first(n), block.size()), kBad) << n;
  }
  for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
    Bytes flipped = frame;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const Error error = open_error(flipped, block.size());
    ASSERT_TRUE(error == Error{} || error == kBad) << bit;
  }
}

// SPEC stx.md#items
TEST(BlockDecompression, refuses_a_window_over_1_mib) {
  const Bytes block = lines(std::size_t{1} << 20U);
  for (const int window_log : {20, 21}) {
    ZSTD_CCtx* const context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    // By the streaming call: the window is then as asked for, and not as the content needs it.
    Bytes out(ZSTD_compressBound(block.size()));
    ZSTD_inBuffer in{block.data(), block.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    ASSERT_EQ(ZSTD_compressStream2(context, &to, &in, ZSTD_e_continue) != 0 || to.pos <= out.size(),
              true);
    ASSERT_EQ(ZSTD_compressStream2(context, &to, &in, ZSTD_e_end), 0U);
    ZSTD_freeCCtx(context);
    EXPECT_EQ(open_error(ByteView(out).first(to.pos), block.size()),
              window_log == 20 ? Error{} : kBad)
        << window_log;
  }
}

TEST(CompressionSample, tries_less_and_less_where_it_does_not_pay) {
  CompressionSample sample;
  int tried = 0;
  for (int block = 0; block < 2000; ++block) {
    if (!sample.wants_block()) continue;
    ++tried;
    sample.tell(1000, 990);
  }
  EXPECT_GT(tried, 5);
  EXPECT_LT(tried, 25);
  // One that pays: all of the following, until one does not.
  while (!sample.wants_block()) {
  }
  sample.tell(1000, 500);
  for (int block = 0; block < 100; ++block) {
    ASSERT_TRUE(sample.wants_block());
    sample.tell(1000, 500);
  }
}

TEST(OtherLeaf, keeps_the_extension_and_the_limit) {
  EXPECT_EQ(other_leaf("a.txt", 1), "a (1).txt");
  EXPECT_EQ(other_leaf("a.tar.gz", 12), "a.tar (12).gz");
  EXPECT_EQ(other_leaf("README", 2), "README (2)");
  EXPECT_EQ(other_leaf(".profile", 1), ".profile (1)");
  EXPECT_EQ(other_leaf("a.", 1), "a. (1)");
  EXPECT_EQ(other_leaf(std::string(255, 'n'), 1), std::string(251, 'n') + " (1)");
  EXPECT_EQ(other_leaf(std::string(251, 'n') + ".txt", 1), std::string(247, 'n') + " (1).txt");
  EXPECT_EQ(other_leaf("n." + std::string(253, 'x'), 1).size(), 255U);
}

}  // namespace

}  // namespace sealine::io::stx::test
