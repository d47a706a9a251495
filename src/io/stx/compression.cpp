#include "io/stx/compression.hpp"

#include "sealine/base/reader.hpp"

#include <algorithm>
#include <zstd.h>

namespace sealine::io::stx {

namespace {

constexpr int kLevel = 1;
constexpr int kWindowLog = 20;
constexpr std::uint64_t kMaxWindowBytes = std::uint64_t{1} << 20U;

/// A block that shrinks by less than an eighth is not worth the work at the other end.
constexpr std::size_t kWorthDivisor = 8;
constexpr std::uint32_t kFirstPause = 4;
constexpr std::uint32_t kLongestPause = 256;

/// Little-endian number of so many bytes.
Result<std::uint64_t> read_little(Reader& reader, std::size_t size) {
  SEALINE_TRY(bytes, reader.bytes(size));
  std::uint64_t value = 0;
  for (std::size_t i = size; i > 0; --i) value = (value << 8U) | bytes[i - 1];
  return value;
}

/// The window that a frame asks for. RFC 8878 section 3.1.1.1.
Result<std::uint64_t> window_bytes(ByteView frame) {
  Reader reader(frame);
  SEALINE_TRY(magic, read_little(reader, 4));
  if (magic != ZSTD_MAGICNUMBER) return fail(Errc::bad_compression);  // or a skippable frame
  SEALINE_TRY(descriptor, reader.be<std::uint8_t>());
  const bool single_segment = (descriptor & 0x20U) != 0;
  const unsigned dictionary_flag = descriptor & 3U;
  if (dictionary_flag != 0) return fail(Errc::bad_compression);
  if (single_segment) {
    // The content is the window; its size has 1, 2, 4 or 8 bytes.
    const unsigned size_flag = descriptor >> 6U;
    SEALINE_TRY(size, read_little(reader, std::size_t{1} << size_flag));
    return size_flag == 1 ? size + 256 : size;
  }
  SEALINE_TRY(window, reader.be<std::uint8_t>());
  const std::uint64_t base = std::uint64_t{1} << (10U + (window >> 3U));
  return base + (base / 8) * (window & 7U);
}

}  // namespace

struct BlockCompressor::Context {
  struct Free {
    void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  };

  std::unique_ptr<ZSTD_CCtx, Free> zstd;
};

BlockCompressor::BlockCompressor() : context_(std::make_unique<Context>()) {}

BlockCompressor::BlockCompressor(BlockCompressor&&) noexcept = default;
BlockCompressor& BlockCompressor::operator=(BlockCompressor&&) noexcept = default;
BlockCompressor::~BlockCompressor() = default;

std::optional<std::size_t> BlockCompressor::compress(ByteView block, MutableBytes out) {
  if (block.empty()) return std::nullopt;
  if (!context_->zstd) {
    context_->zstd.reset(ZSTD_createCCtx());
    if (!context_->zstd) return std::nullopt;
    ZSTD_CCtx_setParameter(context_->zstd.get(), ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(context_->zstd.get(), ZSTD_c_windowLog, kWindowLog);
  }
  // What does not fit is an error of zstd's, long before the end of a block that does not shrink.
  const std::size_t room = std::min(out.size(), block.size() - 1);
  const std::size_t size =
      ZSTD_compress2(context_->zstd.get(), out.data(), room, block.data(), block.size());
  if (ZSTD_isError(size) != 0) return std::nullopt;
  return size;
}

struct BlockDecompressor::Context {
  struct Free {
    void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
  };

  std::unique_ptr<ZSTD_DCtx, Free> zstd;
};

BlockDecompressor::BlockDecompressor() : context_(std::make_unique<Context>()) {}

BlockDecompressor::BlockDecompressor(BlockDecompressor&&) noexcept = default;
BlockDecompressor& BlockDecompressor::operator=(BlockDecompressor&&) noexcept = default;
BlockDecompressor::~BlockDecompressor() = default;

Result<> BlockDecompressor::decompress(ByteView frame, MutableBytes block) {
  const auto window = window_bytes(frame);
  if (!window || *window > kMaxWindowBytes) return fail(Errc::bad_compression);
  // One frame and nothing behind it.
  if (ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size()) {
    return fail(Errc::bad_compression);
  }
  if (!context_->zstd) context_->zstd.reset(ZSTD_createDCtx());
  if (!context_->zstd) return fail(Errc::system_error);
  const std::size_t size = ZSTD_decompressDCtx(context_->zstd.get(), block.data(), block.size(),
                                               frame.data(), frame.size());
  if (ZSTD_isError(size) != 0 || size != block.size()) return fail(Errc::bad_compression);
  return {};
}

bool CompressionSample::wants_block() noexcept {
  if (skip_ == 0) return true;
  --skip_;
  return false;
}

void CompressionSample::tell(std::size_t block_bytes, std::size_t compressed_bytes) noexcept {
  const bool pays = compressed_bytes < block_bytes - block_bytes / kWorthDivisor;
  pause_ = pays ? 0 : std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  skip_ = pause_;
}

}  // namespace sealine::io::stx
