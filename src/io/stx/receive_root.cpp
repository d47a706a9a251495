#include "io/stx/receive_root.hpp"

#include "io/stx/file_failure.hpp"
#include "sealine/stx/name.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <system_error>
#include <utility>

namespace sealine::io::stx {

using detail::FileDescriptor;
using sealine::stx::leaf_of;
using sealine::stx::parent_of;

namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr int kRaceTries = 64;
constexpr std::size_t kCachedFolders = 16;

}  // namespace

Result<FileDescriptor> open_beneath(int folder, const std::string& name, int flags) {
  ::open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0;; ++tries) {
    const long fd = ::syscall(SYS_openat2, folder, name.c_str(), &how, sizeof how);
    if (fd >= 0) return FileDescriptor(static_cast<int>(fd));
    // EAGAIN: the kernel could not rule out that a rename elsewhere led out of the folder.
    if ((errno != EAGAIN && errno != EINTR) || tries == kRaceTries) return failed();
  }
}

ReceiveRoot::ReceiveRoot(FileDescriptor root, std::filesystem::path path) noexcept
    : root_(std::move(root)), path_(std::move(path)) {
  // For is_alone of others; on a file system without it, nobody is ever alone.
  (void)::flock(root_.value(), LOCK_SH);
  struct ::stat status{};
  if (::fstat(root_.value(), &status) == 0) device_ = status.st_dev;
}

bool ReceiveRoot::is_alone() const noexcept {
  const bool alone = ::flock(root_.value(), LOCK_EX | LOCK_NB) == 0;
  (void)::flock(root_.value(), LOCK_SH);
  return alone;
}

bool ReceiveRoot::Staging::insert(const std::string& part) {
  const std::scoped_lock lock(mutex_);
  return parts_.insert(part).second;
}

void ReceiveRoot::Staging::erase(const std::string& part) noexcept {
  const std::scoped_lock lock(mutex_);
  parts_.erase(part);
}

Result<ReceiveRoot> ReceiveRoot::open(const std::filesystem::path& folder) {
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  if (ec && !std::filesystem::is_directory(folder)) {
    return std::unexpected(file_error_of(ec.value()));
  }
  std::filesystem::path path = std::filesystem::canonical(folder, ec);
  if (ec) return std::unexpected(file_error_of(ec.value()));
  SEALINE_TRY(root, detail::open_file(path, kFolderFlags));
  // A kernel without openat2 says so here, and not at the first file.
  SEALINE_TRY(probe, open_beneath(root.value(), ".", kFolderFlags));
  return ReceiveRoot(std::move(root), std::move(path));
}

Result<ReceiveRoot> ReceiveRoot::below(std::string_view name) const {
  SEALINE_TRY(folder, open_folder(name, Missing::make_durable));
  return ReceiveRoot(std::move(folder), path_ / name);
}

Result<FileDescriptor> ReceiveRoot::open_folder(std::string_view name, Missing missing) const {
  auto folder = open_beneath(root_.value(), name.empty() ? std::string(".") : std::string(name),
                             kFolderFlags);
  if (folder || missing == Missing::fail || folder.error().detail != ENOENT) return folder;
  return make_folders(name, missing == Missing::make_durable);
}

Result<FileDescriptor> ReceiveRoot::make_folders(std::string_view name, bool durable) const {
  SEALINE_TRY(folder, open_beneath(root_.value(), ".", kFolderFlags));
  while (!name.empty()) {
    const std::size_t end = std::min(name.find('/'), name.size());
    const std::string component(name.substr(0, end));
    name.remove_prefix(std::min(end + 1, name.size()));
    const bool made = ::mkdirat(folder.value(), component.c_str(), 0777) == 0;
    if (!made && errno != EEXIST) return failed();
    if (made && durable && ::fsync(folder.value()) != 0) return failed();
    SEALINE_TRY(next, open_beneath(folder.value(), component, kFolderFlags));
    folder = std::move(next);
  }
  return folder;
}

Result<FileDescriptor> ReceiveRoot::open_file(std::string_view name, int flags) const {
  SEALINE_TRY(file,
              open_beneath(root_.value(), std::string(name), flags | O_NOFOLLOW | O_NONBLOCK));
  struct ::stat status{};
  if (::fstat(file.value(), &status) != 0) return failed();
  if (!S_ISREG(status.st_mode)) return std::unexpected(file_error_of(EINVAL));
  return file;
}

Result<struct ::stat> ReceiveRoot::status(std::string_view name) const {
  SEALINE_TRY(folder, open_folder(parent_of(name), Missing::fail));
  struct ::stat status{};
  const std::string leaf(leaf_of(name));
  if (::fstatat(folder.value(), leaf.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return failed();
  return status;
}

Result<> ReceiveRoot::sync() const {
  if (::syncfs(root_.value()) != 0) return failed();
  return {};
}

Result<std::uint64_t> ReceiveRoot::free_bytes() const {
  struct ::statvfs status{};
  if (::fstatvfs(root_.value(), &status) != 0) return failed();
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

Result<int> FolderCache::open(std::string_view name, ReceiveRoot::Missing missing) {
  const auto known = std::ranges::find(folders_, name, &Folder::name);
  if (known != folders_.end()) return known->descriptor.value();
  SEALINE_TRY(folder, root_->open_folder(name, missing));
  const int descriptor = folder.value();
  if (folders_.size() < kCachedFolders) {
    folders_.push_back({std::string(name), std::move(folder)});
  } else {
    folders_[next_] = {std::string(name), std::move(folder)};
    next_ = (next_ + 1) % kCachedFolders;
  }
  return descriptor;
}

}  // namespace sealine::io::stx
