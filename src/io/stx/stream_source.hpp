#pragma once

#include "io/detail/file.hpp"
#include "io/stx/send_item.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace sealine::io::stx {

/// Blocks of a stream that are kept until they are durable at the receiver.
inline constexpr std::size_t kStreamKeepBytes = std::size_t{128} << 20U;

/// Standard input as a source: a thread of its own reads it into blocks, as far as there is room.
/// So lost connections are survived, though nothing can be read twice.
class StreamSource final : public ItemContent {
 public:
  /// What there is to send so far.
  struct Supply {
    std::uint32_t blocks = 0;                 ///< whole ones, and the last when it has ended
    std::optional<std::uint64_t> size_bytes;  ///< once it has ended
    std::optional<Error> error;               ///< it cannot be read any more
  };

  /// `supplied` is called on the reader's thread whenever there is more.
  StreamSource(int descriptor, std::uint32_t block_bytes, std::function<void()> supplied);
  ~StreamSource() override;
  StreamSource(const StreamSource&) = delete;
  StreamSource& operator=(const StreamSource&) = delete;

  [[nodiscard]] Supply supply() const;
  /// Blocks before this one are not needed any more.
  void release(std::uint32_t first_block);
  [[nodiscard]] std::uint32_t first_kept() const;
  /// Ends the thread, before `supplied` must not be called any more.
  void stop();

  [[nodiscard]] Result<> read(std::uint64_t offset, MutableBytes out) override;

  [[nodiscard]] std::uint32_t zero_blocks(std::uint32_t /*block*/,
                                          std::uint32_t /*bytes*/) override {
    return 0;
  }

  [[nodiscard]] Result<> check_unchanged() override { return {}; }

  // --- leaves, for a resumption; the network's thread

  void keep_leaf(std::uint32_t block, const sealine::stx::Hash& leaf);

  [[nodiscard]] const std::vector<sealine::stx::Hash>& leaves() const noexcept { return leaves_; }

 private:
  void run();
  /// Fills a block; fewer bytes at the end.
  [[nodiscard]] Result<std::size_t> fill(MutableBytes block);

  int descriptor_;
  std::uint32_t block_bytes_;
  std::function<void()> supplied_;
  io::detail::FileDescriptor wake_;  ///< eventfd: readable when the thread is to end
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::deque<std::vector<std::uint8_t>> kept_;
  std::uint32_t first_ = 0;
  Supply supply_;
  std::uint64_t read_bytes_ = 0;
  bool stopping_ = false;
  std::vector<sealine::stx::Hash> leaves_;
  std::thread thread_;
};

}  // namespace sealine::io::stx
