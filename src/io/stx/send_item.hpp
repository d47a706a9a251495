#pragma once

#include "io/stx/compression.hpp"
#include "io/stx/item_plan.hpp"
#include "io/stx/source_file.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/stx/message.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace sealine::io::stx {

/// What an item's blocks are read from. Any thread.
class ItemContent {
 public:
  virtual ~ItemContent() = default;
  ItemContent(const ItemContent&) = delete;
  ItemContent& operator=(const ItemContent&) = delete;

  /// Errors: source_changed, file_error.
  [[nodiscard]] virtual Result<> read(std::uint64_t offset, MutableBytes out) = 0;
  [[nodiscard]] virtual std::uint32_t zero_blocks(std::uint32_t block, std::uint32_t bytes) = 0;
  /// After its last block was read. Errors: source_changed.
  [[nodiscard]] virtual Result<> check_unchanged() = 0;

  /// The entry that the last error was about.
  [[nodiscard]] virtual std::size_t bad_entry() const { return 0; }

 protected:
  ItemContent() = default;
};

/// Files as the plan has them: opened, a pack read as a whole, when the first block is asked for.
class PlannedContent final : public ItemContent {
 public:
  PlannedContent(std::shared_ptr<const SourceRoots> roots, std::shared_ptr<const PlannedItem> plan)
      : roots_(std::move(roots)), plan_(std::move(plan)) {}

  [[nodiscard]] Result<> read(std::uint64_t offset, MutableBytes out) override;
  [[nodiscard]] std::uint32_t zero_blocks(std::uint32_t block, std::uint32_t bytes) override;
  [[nodiscard]] Result<> check_unchanged() override;
  [[nodiscard]] std::size_t bad_entry() const override;

 private:
  [[nodiscard]] Result<const SourceItem*> open();

  std::shared_ptr<const SourceRoots> roots_;
  std::shared_ptr<const PlannedItem> plan_;
  mutable std::mutex mutex_;
  std::optional<Result<SourceItem>> item_;
  std::size_t bad_entry_ = 0;
};

/// An item of a session, at its sender. The network's thread, but for `content`.
struct SendItem {
  std::shared_ptr<const PlannedItem> plan;  ///< null: standard input
  std::shared_ptr<ItemContent> content;
  std::uint64_t total_bytes = 0;
  std::uint32_t blocks = 0;
  std::uint32_t block_bytes = 0;
  std::uint32_t start = 0;       ///< blocks that were there, and proved
  std::uint64_t sent_bytes = 0;  ///< of blocks that the kernel has taken
  std::uint64_t durable_bytes = 0;
  unsigned tries = 0;  ///< how often it was DROPped, or differed, before
  bool compressible = false;
  bool is_dropped = false;
  CompressionSample sample;
};

}  // namespace sealine::io::stx
