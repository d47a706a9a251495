#include "io/stx/staged_entry.hpp"

#include "io/stx/file_failure.hpp"
#include "io/stx/part_file.hpp"
#include "io/stx/place.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/stx/name.hpp"

#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <optional>
#include <utility>

namespace sealine::io::stx {

using detail::FileDescriptor;
using sealine::stx::Entry;
using sealine::stx::EntryKind;
using sealine::stx::kReservedPrefix;
using sealine::stx::leaf_of;
using sealine::stx::parent_of;

namespace {

using Missing = ReceiveRoot::Missing;

/// A part of another process is younger: from writing to renaming it is a matter of seconds.
constexpr std::int64_t kLeftoverSeconds = 600;
constexpr int kPartTries = 8;
constexpr int kSettleTries = 8;

Result<std::optional<struct ::stat>> look(int folder, const std::string& leaf) {
  struct ::stat status{};
  if (::fstatat(folder, leaf.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return status;
  if (errno != ENOENT) return failed();
  return std::nullopt;
}

std::string beside(std::string_view name, std::string_view leaf) {
  const std::string_view parent = parent_of(name);
  if (parent.empty()) return std::string(leaf);
  return std::string(parent).append("/").append(leaf);
}

std::string random_leaf() {
  ByteArray<8> random{};
  system_rng().fill(random);
  std::string leaf(kReservedPrefix);
  for (const std::uint8_t byte : random) {
    leaf += "0123456789abcdef"[byte >> 4U];
    leaf += "0123456789abcdef"[byte & 15U];
  }
  return leaf;
}

bool is_of_kind(const Entry& entry, const struct ::stat& status) noexcept {
  return entry.kind == EntryKind::symlink ? S_ISLNK(status.st_mode) : S_ISREG(status.st_mode);
}

/// Under the policy `rename`: the next name that is free, or has the content already.
Result<std::string> settle_elsewhere(int folder, const std::string& part, const Entry& entry,
                                     const HasContent& has_content) {
  for (unsigned n = 1; n <= kMaxOtherNames; ++n) {
    std::string leaf = other_leaf(leaf_of(entry.name), n);
    const auto moved = move_into_place(folder, part, leaf, false);
    if (moved) return leaf;
    if (moved.error().code != Errc::file_exists) return std::unexpected(moved.error());
    SEALINE_TRY(found, look(folder, leaf));
    if (!found || !is_of_kind(entry, *found)) continue;
    SEALINE_TRY(same, has_content(folder, leaf, *found));
    if (!same) continue;
    SEALINE_TRY(adopt(folder, leaf, *found, entry));
    SEALINE_TRY(remove_at(folder, part));
    return leaf;
  }
  return fail(Errc::file_exists);
}

}  // namespace

Result<std::string> settle(int folder, const std::string& part, const Entry& entry,
                           OnConflict policy, const HasContent& has_content) {
  std::string leaf(leaf_of(entry.name));
  for (int tries = 0; tries < kSettleTries; ++tries) {
    // Mostly nothing stands there: one call, and no race.
    const auto moved = move_into_place(folder, part, leaf, false);
    if (moved) return leaf;
    if (moved.error().code != Errc::file_exists) return std::unexpected(moved.error());
    SEALINE_TRY(found, look(folder, leaf));
    PlaceVerdict verdict = judge_place(entry, found, policy);
    if (verdict == PlaceVerdict::compare) {
      SEALINE_TRY(same, has_content(folder, leaf, *found));
      if (same) {
        SEALINE_TRY(adopt(folder, leaf, *found, entry));
        SEALINE_TRY(remove_at(folder, part));
        return leaf;
      }
      verdict = judge_difference(entry, *found, policy);
    }
    if (verdict == PlaceVerdict::write) continue;  // it has gone meanwhile
    if (verdict == PlaceVerdict::rename) {
      return settle_elsewhere(folder, part, entry, has_content);
    }
    if (verdict != PlaceVerdict::replace) return fail(Errc::file_exists);
    SEALINE_TRY(move_into_place(folder, part, leaf, true));
    return leaf;
  }
  return fail(Errc::file_exists);
}

StagedEntry::StagedEntry(StagedEntry&& other) noexcept
    : root_(other.root_),
      part_(std::exchange(other.part_, {})),
      path_(std::move(other.path_)),
      cause_(other.cause_),
      state_(other.state_) {}

StagedEntry::~StagedEntry() {
  if (part_.empty()) return;
  if (const auto folder = root_->open_folder(parent_of(part_), Missing::fail)) {
    (void)remove_at(folder->value(), std::string(leaf_of(part_)));
  }
  release_part();
}

void StagedEntry::release_part() noexcept {
  if (part_.empty()) return;
  root_->staging().erase(part_);
  part_.clear();
}

StagedEntry StagedEntry::refused(const Error& cause) {
  StagedEntry entry;
  entry.cause_ = cause;
  return entry;
}

StagedEntry StagedEntry::stage(FolderCache& folders, const ReceiveRoot& root,
                               const ByteArray<16>& peer, const ReceivePolicy& policy,
                               const Entry& entry, ByteView content) {
  StagedEntry staged;
  staged.root_ = &root;
  if (const auto done = staged.try_stage(folders, peer, policy, entry, content); !done) {
    staged.cause_ = done.error();
    staged.state_ = State::kept_out;
  }
  return staged;
}

Result<> StagedEntry::try_stage(FolderCache& folders, const ByteArray<16>& peer,
                                const ReceivePolicy& policy, const Entry& entry, ByteView content) {
  SEALINE_TRY(sealine::stx::check_name(entry.name));
  if (entry.kind == EntryKind::symlink && !policy.any_links) {
    SEALINE_TRY(sealine::stx::check_link_target(entry.name, as_text(content)));
  }
  if (entry.kind == EntryKind::directory) {
    SEALINE_TRY(folders.open(entry.name, Missing::make));
    path_ = entry.name;
    state_ = State::in_place;
    return {};
  }
  const std::string leaf(leaf_of(entry.name));
  SEALINE_TRY(folder, folders.open(parent_of(entry.name), Missing::make));
  SEALINE_TRY(found, look(folder, leaf));
  PlaceVerdict verdict = judge_place(entry, found, policy.on_conflict);
  if (verdict == PlaceVerdict::compare) {
    SEALINE_TRY(same, has_content(folder, leaf, *found, content));
    if (same) {
      SEALINE_TRY(adopt(folder, leaf, *found, entry));
      path_ = entry.name;
      state_ = State::in_place;
      return {};
    }
    verdict = judge_difference(entry, *found, policy.on_conflict);
  }
  if (verdict == PlaceVerdict::refuse) return fail(Errc::file_exists);
  SEALINE_TRY(write(folder, peer, entry, content));
  state_ = State::written;
  return {};
}

Result<> StagedEntry::claim_part(int folder, const ByteArray<16>& peer, const Entry& entry,
                                 const std::function<bool(const std::string& leaf)>& make) {
  std::string leaf = pack_part_leaf(entry.name, peer);
  for (int tries = 0; tries < kPartTries; ++tries) {
    std::string part = beside(entry.name, leaf);
    if (root_->staging().insert(part)) {
      part_ = std::move(part);
      if (make(leaf)) return {};
      const int error = errno;
      const std::string taken = part_;
      release_part();
      if (error != EEXIST) return std::unexpected(file_error_of(error));
      SEALINE_TRY(found, look(folder, leaf));
      const bool is_old =
          found &&
          static_cast<std::int64_t>(std::time(nullptr)) - found->st_ctim.tv_sec > kLeftoverSeconds;
      if (is_old || root_->is_alone()) {
        // Left behind by a process that was killed.
        SEALINE_TRY(remove_at(folder, leaf));
        continue;
      }
    }
    leaf = random_leaf();
  }
  return fail(Errc::item_busy);
}

Result<> StagedEntry::write(int folder, const ByteArray<16>& peer, const Entry& entry,
                            ByteView content) {
  if (entry.kind == EntryKind::symlink) {
    const std::string target(as_text(content));
    SEALINE_TRY(claim_part(folder, peer, entry, [&](const std::string& leaf) {
      return ::symlinkat(target.c_str(), folder, leaf.c_str()) == 0;
    }));
    const FileTimes times(entry.mtime_ns);
    const std::string leaf(leaf_of(part_));
    if (::utimensat(folder, leaf.c_str(), times.times, AT_SYMLINK_NOFOLLOW) != 0) return failed();
    return {};
  }
  FileDescriptor file;
  SEALINE_TRY(claim_part(folder, peer, entry, [&](const std::string& leaf) {
    file = FileDescriptor(
        ::openat(folder, leaf.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    return file.is_open();
  }));
  SEALINE_TRY(write_at(file.value(), 0, content));
  SEALINE_TRY(set_attributes(file.value(), entry.mode, entry.mtime_ns));
  struct ::stat status{};
  if (::fstat(file.value(), &status) != 0) return failed();
  // The root's file system is synced for all of a commit together.
  if (status.st_dev != root_->device() && ::fsync(file.value()) != 0) return failed();
  return {};
}

void StagedEntry::put_in_place(FolderCache& folders, const ReceivePolicy& policy,
                               const Entry& entry, ByteView content) {
  const auto put = [&]() -> Result<> {
    SEALINE_TRY(folder, folders.open(parent_of(part_), Missing::fail));
    SEALINE_TRY(leaf,
                settle(folder, std::string(leaf_of(part_)), entry, policy.on_conflict,
                       [content](int where, const std::string& name, const struct ::stat& status) {
                         return has_content(where, name, status, content);
                       }));
    release_part();
    path_ = beside(entry.name, leaf);
    state_ = State::in_place;
    return {};
  };
  if (const auto done = put(); !done) {
    cause_ = done.error();
    state_ = State::kept_out;
  }
}

}  // namespace sealine::io::stx
