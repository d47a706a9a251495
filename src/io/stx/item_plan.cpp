#include "io/stx/item_plan.hpp"

#include "io/stx/file_failure.hpp"
#include "io/stx/place.hpp"
#include "sealine/stx/limits.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <utility>

namespace sealine::io::stx {

using sealine::stx::EntryKind;

namespace {

constexpr std::size_t kMetaHeadBytes = 4 + 1 + 1 + 2;
constexpr std::size_t kEntryHeadBytes = 1 + 2 + 8 + 8 + 2;
/// One name in so many ends a pack that is half full.
constexpr std::uint64_t kCutEvery = 32;

/// FNV-1a: the same at every run and on every machine.
std::uint64_t hash_of(std::string_view name) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : name) {
    hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3U;
  }
  return hash ^ (hash >> 32U);
}

bool is_large(const WalkedEntry& walked) noexcept {
  return walked.entry.kind == EntryKind::file && walked.entry.size_bytes > kSmallFileBytes;
}

}  // namespace

bool PlannedItem::is_large_file() const noexcept {
  return entries.size() == 1 && is_large(entries.front());
}

sealine::stx::Meta PlannedItem::meta(std::uint8_t block_log2, bool compressible) const {
  sealine::stx::Meta meta;
  meta.block_log2 = block_log2;
  meta.compressible = compressible;
  meta.entries.reserve(entries.size());
  for (const WalkedEntry& walked : entries) meta.entries.push_back(walked.entry);
  return meta;
}

ItemPlan::ItemPlan(Source next) : source_(std::move(next)) {}

std::optional<PlannedItem> ItemPlan::next() {
  while (ready_.empty() && !ended_) {
    auto step = source_();
    if (!step) {
      ended_ = true;
      flush();
    } else if (auto* walked = std::get_if<WalkedEntry>(&*step)) {
      add(std::move(*walked));
    } else {
      skipped_.push_back(std::move(std::get<SkippedEntry>(*step)));
    }
  }
  if (ready_.empty()) return std::nullopt;
  PlannedItem item = std::move(ready_.front());
  ready_.pop_front();
  return item;
}

void ItemPlan::flush() {
  if (!pack_.entries.empty()) ready_.push_back(std::exchange(pack_, {}));
  pack_meta_bytes_ = kMetaHeadBytes;
}

void ItemPlan::add(WalkedEntry walked) {
  const std::uint64_t bytes = walked.entry.size_bytes;
  if (is_large(walked)) {
    // The pack that is open stays so: a folder in it still comes after all that is in the folder.
    PlannedItem& item = ready_.emplace_back();
    item.total_bytes = bytes;
    item.entries.push_back(std::move(walked));
    return;
  }
  const std::size_t meta_bytes = kEntryHeadBytes + walked.entry.name.size();
  const bool fits = pack_.entries.size() < sealine::stx::kMaxPackEntries &&
                    pack_.total_bytes + bytes <= sealine::stx::kMaxPackBytes &&
                    pack_meta_bytes_ + meta_bytes <= sealine::stx::kMaxFrameBytes;
  if (!fits) flush();
  const std::uint64_t hash = hash_of(walked.entry.name);
  pack_.total_bytes += bytes;
  pack_meta_bytes_ += meta_bytes;
  pack_.entries.push_back(std::move(walked));
  const bool is_half_full = pack_.entries.size() >= sealine::stx::kMaxPackEntries / 2 ||
                            pack_.total_bytes >= sealine::stx::kMaxPackBytes / 2 ||
                            pack_meta_bytes_ >= sealine::stx::kMaxFrameBytes / 2;
  if (is_half_full && hash % kCutEvery == 0) flush();
}

std::vector<SkippedEntry> ItemPlan::take_skipped() { return std::exchange(skipped_, {}); }

SourceItem::SourceItem(std::variant<SourceFile, Pack> content) noexcept
    : content_(std::move(content)) {}

Result<SourceItem> SourceItem::open(const SourceRoots& roots, const PlannedItem& plan,
                                    std::size_t* bad_entry) {
  std::size_t number = 0;
  if (bad_entry == nullptr) bad_entry = &number;
  *bad_entry = 0;
  if (plan.is_large_file()) {
    const WalkedEntry& walked = plan.entries.front();
    SEALINE_TRY(file, SourceFile::open(roots, walked.root, walked.entry.name, walked.identity));
    return SourceItem(std::move(file));
  }
  Pack pack(static_cast<std::size_t>(plan.total_bytes));
  MutableBytes rest(pack);
  for (const WalkedEntry& walked : plan.entries) {
    const MutableBytes out = rest.first(static_cast<std::size_t>(walked.entry.size_bytes));
    if (walked.entry.kind == EntryKind::symlink) {
      std::ranges::copy(as_bytes(walked.target), out.begin());
    } else if (walked.entry.kind == EntryKind::file) {
      // Empty ones too: it may have grown.
      SEALINE_TRY(file, SourceFile::open(roots, walked.root, walked.entry.name, walked.identity));
      SEALINE_TRY(file.read(0, out));
      SEALINE_TRY(file.check_unchanged());
    }
    rest = rest.subspan(out.size());
    ++*bad_entry;
  }
  return SourceItem(std::move(pack));
}

Result<> SourceItem::read(std::uint64_t offset, MutableBytes out) const {
  if (const auto* file = std::get_if<SourceFile>(&content_)) return file->read(offset, out);
  const Pack& pack = std::get<Pack>(content_);
  if (offset > pack.size() || out.size() > pack.size() - offset) {
    return fail(Errc::source_changed);
  }
  std::ranges::copy(ByteView(pack).subspan(static_cast<std::size_t>(offset), out.size()),
                    out.begin());
  return {};
}

std::uint32_t SourceItem::zero_blocks(std::uint32_t block, std::uint32_t block_bytes) const {
  const auto* file = std::get_if<SourceFile>(&content_);
  return file == nullptr ? 0 : file->zero_blocks(block, block_bytes);
}

Result<> SourceItem::check_unchanged() const {
  const auto* file = std::get_if<SourceFile>(&content_);
  return file == nullptr ? Result<>() : file->check_unchanged();
}

std::uint64_t SourceItem::size_bytes() const noexcept {
  if (const auto* file = std::get_if<SourceFile>(&content_)) return file->size_bytes();
  return std::get<Pack>(content_).size();
}

std::optional<WalkedEntry> walk_again(const SourceRoots& roots, const WalkedEntry& entry) {
  const auto file = roots.open(entry.root, entry.entry.name, O_PATH);
  struct ::stat status{};
  if (!file || ::fstat(file->value(), &status) != 0) return std::nullopt;
  WalkedEntry now = entry;
  now.entry.mode = static_cast<std::uint16_t>(status.st_mode & 0777U);
  now.entry.mtime_ns = mtime_ns_of(status);
  now.identity = identity_of(status);
  switch (entry.entry.kind) {
    case EntryKind::file:
      if (!S_ISREG(status.st_mode)) return std::nullopt;
      now.entry.size_bytes = static_cast<std::uint64_t>(status.st_size);
      return now;
    case EntryKind::directory:
      if (!S_ISDIR(status.st_mode)) return std::nullopt;
      return now;
    case EntryKind::symlink:
      break;
  }
  if (!S_ISLNK(status.st_mode)) return std::nullopt;
  std::array<char, sealine::stx::kMaxTargetBytes + 1> target{};
  const ssize_t n = ::readlinkat(file->value(), "", target.data(), target.size());
  if (n <= 0 || static_cast<std::size_t>(n) > sealine::stx::kMaxTargetBytes) return std::nullopt;
  now.target.assign(target.data(), static_cast<std::size_t>(n));
  now.entry.size_bytes = now.target.size();
  return now;
}

}  // namespace sealine::io::stx
