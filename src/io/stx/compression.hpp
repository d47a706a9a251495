#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace sealine::io::stx {

/// Blocks as zstd frames (RFC 8878).   spec: stx.md#items
///
/// One thread at a time; each worker has one of its own. Memory: some MiB, made at the first use.
class BlockCompressor final {
 public:
  BlockCompressor();
  BlockCompressor(BlockCompressor&&) noexcept;
  BlockCompressor& operator=(BlockCompressor&&) noexcept;
  ~BlockCompressor();

  /// The block as one frame in `out`: its length; nothing where it does not become shorter than
  /// min(out.size(), block.size()).
  [[nodiscard]] std::optional<std::size_t> compress(ByteView block, MutableBytes out);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// Opens them. One thread at a time.
class BlockDecompressor final {
 public:
  BlockDecompressor();
  BlockDecompressor(BlockDecompressor&&) noexcept;
  BlockDecompressor& operator=(BlockDecompressor&&) noexcept;
  ~BlockDecompressor();

  /// One frame that yields exactly block.size() bytes. Errors: bad_compression (anything else: no
  /// frame or several, a window over 2^20, a dictionary, another length).
  [[nodiscard]] Result<> decompress(ByteView frame, MutableBytes block);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// Whether compression pays, for the blocks of one item in the order in which they are read. Asks
/// for a sample now and then, and believes it until the next one. One thread at a time.
class CompressionSample final {
 public:
  /// Whether to try the next block.
  [[nodiscard]] bool wants_block() noexcept;
  /// How a block that was tried came out: `compressed_bytes` = block_bytes where it did not shrink.
  void tell(std::size_t block_bytes, std::size_t compressed_bytes) noexcept;

 private:
  std::uint32_t skip_ = 0;   ///< blocks until the next try
  std::uint32_t pause_ = 0;  ///< how long the last pause was
};

}  // namespace sealine::io::stx
