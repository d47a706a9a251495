#pragma once

#include "io/detail/file.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <vector>

namespace sealine::io::stx {

/// The PATHs of `sealine send`, each with the name under which it arrives: its last component.
///
/// Files below them are opened from there, beneath it and without following a link. Any thread.
class SourceRoots final {
 public:
  /// Sorted by name, as bytes. Errors, `bad_path` says of which: usage (`/`, a name twice),
  /// file_name_refused (no receiver takes it), file_error (it is not there).
  static Result<SourceRoots> create(std::span<const std::filesystem::path> paths,
                                    std::uint32_t* bad_path = nullptr);

  [[nodiscard]] std::size_t size() const noexcept { return roots_.size(); }

  [[nodiscard]] const std::string& name(std::size_t root) const { return roots_[root].name; }

  [[nodiscard]] const std::filesystem::path& path(std::size_t root) const {
    return roots_[root].path;
  }

  /// Opens `name` (that begins with the root's own name); O_CLOEXEC, O_NOFOLLOW and O_NONBLOCK are
  /// added. Errors: file_error.
  [[nodiscard]] Result<detail::FileDescriptor> open(std::size_t root, std::string_view name,
                                                    int flags) const;

 private:
  struct Root {
    std::filesystem::path path;
    std::string name;
    bool follow = false;            ///< `link/`: the folder behind it
    detail::FileDescriptor folder;  ///< of the first few folders, so that a file is one call
  };

  std::vector<Root> roots_;
};

/// Files over this travel alone; others, folders and links in packs.
inline constexpr std::uint64_t kSmallFileBytes = std::uint64_t{256} << 10U;

/// By what a file is known to be the one that was looked at before.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

[[nodiscard]] FileIdentity identity_of(const struct ::stat& status) noexcept;

/// A regular file that is read in blocks. Any thread.
class SourceFile final {
 public:
  /// Errors: source_changed (it is not the file that `expected` describes), file_error.
  static Result<SourceFile> open(const SourceRoots& roots, std::size_t root, std::string_view name,
                                 const FileIdentity& expected);

  /// Fills `out` from `offset` on. Errors: source_changed (the file has become shorter),
  /// file_error.
  [[nodiscard]] Result<> read(std::uint64_t offset, MutableBytes out) const;

  /// How many whole blocks of `block_bytes` from `block` on lie in a hole (the last may be short);
  /// 0: there is data, the file system does not say, or the file is a small one.
  [[nodiscard]] std::uint32_t zero_blocks(std::uint32_t block, std::uint32_t block_bytes) const;

  /// Errors: source_changed (size or mtime are other than at the beginning), file_error.
  [[nodiscard]] Result<> check_unchanged() const;

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return identity_.size_bytes; }

 private:
  SourceFile(detail::FileDescriptor file, const FileIdentity& identity, bool has_holes);

  /// The run of data around the last block that was asked for.
  struct Extent {
    std::mutex mutex;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  detail::FileDescriptor file_;
  FileIdentity identity_;
  bool has_holes_ = false;
  std::unique_ptr<Extent> data_;
};

}  // namespace sealine::io::stx
