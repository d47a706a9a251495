#pragma once

#include "io/stx/folder_walk.hpp"
#include "io/stx/source_file.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/stx/message.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <variant>
#include <vector>

namespace sealine::io::stx {

/// One item to be: entries and how many bytes they have together.
struct PlannedItem {
  std::vector<WalkedEntry> entries;
  std::uint64_t total_bytes = 0;

  /// One file alone, that is not small.
  [[nodiscard]] bool is_large_file() const noexcept;
  /// What META says of it, but for the item's number.
  [[nodiscard]] sealine::stx::Meta meta(std::uint8_t block_log2, bool compressible) const;
};

/// Turns a walk into items, alike at every run over the same tree.   spec: stx.md#items
///
/// A pack ends where it is full (4096 entries, 1 MiB of content, its META one frame), and, once it
/// is half full, behind the next name whose hash says so: a file more or less in a folder changes
/// the packs around it and not all that follow, which a receiver may have already. One thread.
class ItemPlan final {
 public:
  using Source = std::function<std::optional<FolderWalk::Step>()>;

  /// `next` gives the steps of a walk.
  explicit ItemPlan(Source next);

  /// The next item; nothing at the end.
  [[nodiscard]] std::optional<PlannedItem> next();

  /// What has been skipped since the last call.
  [[nodiscard]] std::vector<SkippedEntry> take_skipped();

 private:
  void add(WalkedEntry walked);
  void flush();

  Source source_;
  PlannedItem pack_;
  std::size_t pack_meta_bytes_ = 0;
  std::deque<PlannedItem> ready_;  ///< at most two
  std::vector<SkippedEntry> skipped_;
  bool ended_ = false;
};

/// The bytes of an item at the end that sends: a file as it is read, a pack in memory.
///
/// read() and zero_blocks() from any thread.
class SourceItem final {
 public:
  /// Opens the file, or reads the whole pack. Errors: source_changed (not what the plan says, or
  /// gone), file_error; `bad_entry` says which. It is to be planned again without that entry, or
  /// with what it is now.
  static Result<SourceItem> open(const SourceRoots& roots, const PlannedItem& plan,
                                 std::size_t* bad_entry = nullptr);

  /// Fills `out`, within the item. Errors: source_changed, file_error.
  [[nodiscard]] Result<> read(std::uint64_t offset, MutableBytes out) const;
  /// As SourceFile's; 0 for a pack.
  [[nodiscard]] std::uint32_t zero_blocks(std::uint32_t block, std::uint32_t block_bytes) const;
  /// To be called before END. Errors: source_changed. (A pack was read at once when it was opened.)
  [[nodiscard]] Result<> check_unchanged() const;

  [[nodiscard]] std::uint64_t size_bytes() const noexcept;

 private:
  using Pack = std::vector<std::uint8_t>;
  explicit SourceItem(std::variant<SourceFile, Pack> content) noexcept;

  std::variant<SourceFile, Pack> content_;
};

/// Looks at an entry again after it changed; nothing where it is gone or no longer of its kind.
[[nodiscard]] std::optional<WalkedEntry> walk_again(const SourceRoots& roots,
                                                    const WalkedEntry& entry);

}  // namespace sealine::io::stx
