#include "io/stx/source_file.hpp"

#include "io/stx/file_failure.hpp"
#include "io/stx/place.hpp"
#include "io/stx/receive_root.hpp"
#include "sealine/stx/name.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <utility>

namespace sealine::io::stx {

using detail::FileDescriptor;

namespace {

constexpr std::size_t kMaxOpenRoots = 64;

/// The path without slashes at its end.
std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace

Result<SourceRoots> SourceRoots::create(std::span<const std::filesystem::path> paths,
                                        std::uint32_t* bad_path) {
  SourceRoots roots;
  std::uint32_t number = 0;
  if (bad_path == nullptr) bad_path = &number;
  std::vector<std::pair<std::string, std::uint32_t>> names;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    *bad_path = static_cast<std::uint32_t>(i);
    Root root;
    const std::string text = without_slashes(paths[i].string());
    root.name = sealine::stx::leaf_of(text);
    const bool is_dots = root.name == "." || root.name == "..";
    root.follow = is_dots || text != paths[i].string();
    root.path = root.follow ? std::filesystem::path(text) / "." : std::filesystem::path(text);
    struct ::stat status{};
    if (::fstatat(AT_FDCWD, root.path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return failed();
    if (is_dots) {
      std::error_code ec;
      root.name = std::filesystem::canonical(text, ec).filename().string();
    }
    if (root.name.empty()) return fail(Errc::usage);
    SEALINE_TRY(sealine::stx::check_name(root.name));
    if (S_ISDIR(status.st_mode) && i < kMaxOpenRoots) {
      root.folder =
          FileDescriptor(::open(root.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    }
    names.emplace_back(root.name, *bad_path);
    roots.roots_.push_back(std::move(root));
  }
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(
      names, [](const auto& a, const auto& b) { return a.first == b.first; });
  if (twice != names.end()) {
    *bad_path = std::next(twice)->second;
    return fail(Errc::usage);
  }
  std::ranges::sort(roots.roots_, {}, &Root::name);
  return roots;
}

Result<FileDescriptor> SourceRoots::open(std::size_t root, std::string_view name, int flags) const {
  const Root& from = roots_[root];
  // openat2 takes nothing beside O_PATH.
  if ((flags & O_PATH) == 0) flags |= O_NONBLOCK;
  flags |= O_NOFOLLOW | O_CLOEXEC;
  if (name.size() <= from.name.size() + 1) {
    FileDescriptor file(::open(from.path.c_str(), flags));
    if (!file.is_open()) return failed();
    return file;
  }
  const std::string rest(name.substr(from.name.size() + 1));
  if (from.folder.is_open()) return open_beneath(from.folder.value(), rest, flags);
  const FileDescriptor folder(
      ::open(from.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!folder.is_open()) return failed();
  return open_beneath(folder.value(), rest, flags);
}

FileIdentity identity_of(const struct ::stat& status) noexcept {
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          mtime_ns_of(status)};
}

SourceFile::SourceFile(FileDescriptor file, const FileIdentity& identity, bool has_holes)
    : file_(std::move(file)),
      identity_(identity),
      has_holes_(has_holes),
      data_(std::make_unique<Extent>()) {}

Result<SourceFile> SourceFile::open(const SourceRoots& roots, std::size_t root,
                                    std::string_view name, const FileIdentity& expected) {
  auto file = roots.open(root, name, O_RDONLY);
  if (!file) {
    const bool is_gone = file.error().detail == ENOENT || file.error().detail == ELOOP;
    if (is_gone) return fail(Errc::source_changed, file.error().detail);
    return std::unexpected(file.error());
  }
  struct ::stat status{};
  if (::fstat(file->value(), &status) != 0) return failed();
  if (!S_ISREG(status.st_mode) || !(identity_of(status) == expected)) {
    return fail(Errc::source_changed);
  }
  // A small one is read at once, holes and all.
  if (expected.size_bytes <= kSmallFileBytes) return SourceFile(std::move(*file), expected, false);
  (void)::posix_fadvise(file->value(), 0, 0, POSIX_FADV_SEQUENTIAL);
  const ::off_t hole = ::lseek(file->value(), 0, SEEK_HOLE);
  const bool has_holes = hole >= 0 && hole < status.st_size;
  return SourceFile(std::move(*file), expected, has_holes);
}

Result<> SourceFile::read(std::uint64_t offset, MutableBytes out) const {
  SEALINE_TRY(n, read_at(file_.value(), offset, out));
  if (n != out.size()) return fail(Errc::source_changed);
  return {};
}

std::uint32_t SourceFile::zero_blocks(std::uint32_t block, std::uint32_t block_bytes) const {
  if (!has_holes_) return 0;
  const std::uint64_t offset = std::uint64_t{block} * block_bytes;
  if (offset >= identity_.size_bytes) return 0;
  const std::scoped_lock lock(data_->mutex);
  if (offset >= data_->begin && offset < data_->end) return 0;
  const ::off_t data = ::lseek(file_.value(), static_cast<::off_t>(offset), SEEK_DATA);
  if (data < 0 && errno != ENXIO) return 0;
  if (data < 0 || static_cast<std::uint64_t>(data) >= identity_.size_bytes) {
    const std::uint64_t rest = identity_.size_bytes - offset;
    return static_cast<std::uint32_t>((rest + block_bytes - 1) / block_bytes);
  }
  const auto begin = static_cast<std::uint64_t>(data);
  const ::off_t hole = ::lseek(file_.value(), data, SEEK_HOLE);
  data_->begin = begin;
  data_->end = hole < 0 ? identity_.size_bytes : static_cast<std::uint64_t>(hole);
  return static_cast<std::uint32_t>((begin - offset) / block_bytes);
}

Result<> SourceFile::check_unchanged() const {
  struct ::stat status{};
  if (::fstat(file_.value(), &status) != 0) return failed();
  if (!(identity_of(status) == identity_)) return fail(Errc::source_changed);
  return {};
}

}  // namespace sealine::io::stx
