#include "io/stx/folder_walk.hpp"

#include "io/stx/place.hpp"
#include "sealine/stx/name.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <memory>
#include <numeric>
#include <utility>

namespace sealine::io::stx {

using detail::FileDescriptor;
using sealine::stx::Entry;
using sealine::stx::EntryKind;
using sealine::stx::leaf_of;

namespace {

Entry make_entry(EntryKind kind, const struct ::stat& status, std::string name) {
  Entry entry;
  entry.kind = kind;
  entry.mode = static_cast<std::uint16_t>(status.st_mode & 0777U);
  entry.mtime_ns = mtime_ns_of(status);
  if (kind == EntryKind::file) entry.size_bytes = static_cast<std::uint64_t>(status.st_size);
  entry.name = std::move(name);
  return entry;
}

/// The names in a folder, one after another with a NUL behind each; false with errno.
bool read_names(int folder, std::string& names) {
  const int copy = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return false;

  struct Close {
    void operator()(::DIR* directory) const noexcept { ::closedir(directory); }
  };

  const std::unique_ptr<::DIR, Close> directory(::fdopendir(copy));
  if (!directory) {
    ::close(copy);
    return false;
  }
  for (;;) {
    errno = 0;
    const ::dirent* const found = ::readdir(directory.get());  // one thread has this stream
    if (found == nullptr) return errno == 0;
    const std::string_view name(found->d_name);
    if (name != "." && name != "..") names.append(name).push_back('\0');
  }
}

std::vector<std::uint32_t> in_order(const std::string& names) {
  std::vector<std::uint32_t> order;
  for (std::size_t at = 0; at < names.size(); at = names.find('\0', at) + 1) {
    order.push_back(static_cast<std::uint32_t>(at));
  }
  std::ranges::sort(order, {},
                    [&](std::uint32_t at) { return std::string_view(names.c_str() + at); });
  return order;
}

std::optional<SkipReason> special_kind(const struct ::stat& status) noexcept {
  if (S_ISFIFO(status.st_mode)) return SkipReason::fifo;
  if (S_ISSOCK(status.st_mode)) return SkipReason::socket;
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) return SkipReason::device;
  return std::nullopt;
}

bool glob_matches(const std::string& glob, std::string_view text) {
  // std::string: fnmatch wants a NUL.
  return ::fnmatch(glob.c_str(), std::string(text).c_str(), FNM_PATHNAME) == 0;
}

}  // namespace

std::string_view to_string(SkipReason reason) noexcept {
  switch (reason) {
    case SkipReason::device:
      return "a device";
    case SkipReason::socket:
      return "a socket";
    case SkipReason::fifo:
      return "a FIFO";
    case SkipReason::unreadable:
      return "not readable";
    case SkipReason::name_refused:
      return "a name that no receiver takes";
  }
  return "not readable";
}

Exclusion::Exclusion(std::string glob) : glob_(std::move(glob)) {
  while (glob_.size() > 1 && glob_.ends_with('/')) {
    glob_.pop_back();
    folders_only_ = true;
  }
  anchored_ = glob_.starts_with('/');
  if (anchored_) glob_.erase(0, 1);
  has_slash_ = glob_.find('/') != std::string::npos;
}

bool Exclusion::matches(std::string_view name, bool is_directory) const {
  if (folders_only_ && !is_directory) return false;
  if (anchored_) return glob_matches(glob_, name);
  if (!has_slash_) return glob_matches(glob_, leaf_of(name));
  for (;;) {
    if (glob_matches(glob_, name)) return true;
    const std::size_t slash = name.find('/');
    if (slash == std::string_view::npos) return false;
    name.remove_prefix(slash + 1);
  }
}

FolderWalk::FolderWalk(const SourceRoots& roots, std::vector<Exclusion> exclude)
    : roots_(&roots), exclude_(std::move(exclude)) {}

std::optional<FolderWalk::Step> FolderWalk::next() {
  for (;;) {
    std::optional<Step> step;
    if (levels_.empty()) {
      if (next_root_ == roots_->size()) return std::nullopt;
      root_ = next_root_++;
      step = visit(AT_FDCWD, roots_->path(root_).c_str(), roots_->name(root_));
    } else if (Level& level = levels_.back(); level.next < level.order.size()) {
      const char* const leaf = level.names.c_str() + level.order[level.next++];
      step = visit(level.folder.value(), leaf, level.name + "/" + leaf);
    } else {
      WalkedEntry walked;
      walked.entry = make_entry(EntryKind::directory, level.status, std::move(level.name));
      walked.root = root_;
      walked.identity = identity_of(level.status);
      levels_.pop_back();
      return walked;
    }
    // Nothing: it is left out, or a folder that we are in now.
    if (step) return step;
  }
}

std::optional<FolderWalk::Step> FolderWalk::visit(int folder, const char* leaf, std::string name) {
  const auto skip = [&](SkipReason reason, int error = 0) {
    return Step(SkippedEntry{std::move(name), reason, error});
  };
  struct ::stat status{};
  const bool is_there = ::fstatat(folder, leaf, &status, AT_SYMLINK_NOFOLLOW) == 0;
  const int error = errno;
  if (is_excluded(name, is_there && S_ISDIR(status.st_mode))) return std::nullopt;
  if (!is_there) return skip(SkipReason::unreadable, error);
  if (const auto special = special_kind(status)) return skip(*special);
  if (!sealine::stx::check_name(name)) return skip(SkipReason::name_refused);

  if (S_ISDIR(status.st_mode)) {
    FileDescriptor opened(::openat(folder, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!opened.is_open()) return skip(SkipReason::unreadable, errno);
    return enter(std::move(opened), std::move(name));
  }
  WalkedEntry walked;
  walked.root = root_;
  walked.identity = identity_of(status);
  if (S_ISREG(status.st_mode)) {
    // To know it now is better than to find it out in the midst of a pack.
    if (::faccessat(folder, leaf, R_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) != 0) {
      return skip(SkipReason::unreadable, errno);
    }
    walked.entry = make_entry(EntryKind::file, status, std::move(name));
    return walked;
  }
  std::array<char, sealine::stx::kMaxTargetBytes + 1> target{};
  const ssize_t n = ::readlinkat(folder, leaf, target.data(), target.size());
  if (n <= 0) return skip(SkipReason::unreadable, errno);
  if (static_cast<std::size_t>(n) > sealine::stx::kMaxTargetBytes) {
    return skip(SkipReason::name_refused);
  }
  walked.target.assign(target.data(), static_cast<std::size_t>(n));
  walked.entry = make_entry(EntryKind::symlink, status, std::move(name));
  walked.entry.size_bytes = walked.target.size();
  return walked;
}

std::optional<FolderWalk::Step> FolderWalk::enter(FileDescriptor folder, std::string name) {
  Level level;
  // Of the folder that was opened, whatever was there before.
  if (::fstat(folder.value(), &level.status) != 0 || !read_names(folder.value(), level.names)) {
    return SkippedEntry{std::move(name), SkipReason::unreadable, errno};
  }
  level.folder = std::move(folder);
  level.name = std::move(name);
  level.order = in_order(level.names);
  levels_.push_back(std::move(level));
  return std::nullopt;
}

bool FolderWalk::is_excluded(std::string_view name, bool is_directory) const {
  return std::ranges::any_of(exclude_,
                             [&](const Exclusion& one) { return one.matches(name, is_directory); });
}

}  // namespace sealine::io::stx
