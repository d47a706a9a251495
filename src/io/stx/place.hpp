#pragma once

#include "io/detail/file.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/stx/message.hpp"

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <sys/stat.h>

namespace sealine::io::stx {

/// Calls on one component below an open folder; none follows a symbolic link.

/// While it lives, a write over the limit of file sizes (RLIMIT_FSIZE) is EFBIG alone and no signal
/// that ends the process. Of the calling thread.
class FileSizeSignalGuard final {
 public:
  FileSizeSignalGuard() noexcept;
  ~FileSizeSignalGuard();
  FileSizeSignalGuard(const FileSizeSignalGuard&) = delete;
  FileSizeSignalGuard& operator=(const FileSizeSignalGuard&) = delete;
  FileSizeSignalGuard(FileSizeSignalGuard&&) = delete;
  FileSizeSignalGuard& operator=(FileSizeSignalGuard&&) = delete;

 private:
  ::sigset_t before_{};
};

[[nodiscard]] std::int64_t mtime_ns_of(const struct ::stat& status) noexcept;

/// futimens and utimensat: the time of access stays as it is. Nanoseconds since 1970, also before.
struct FileTimes {
  explicit FileTimes(std::int64_t mtime_ns) noexcept;
  ::timespec times[2];
};

/// The whole range, however many calls it takes; less only at the end of the file.
[[nodiscard]] Result<std::size_t> read_at(int file, std::uint64_t offset, MutableBytes out);
[[nodiscard]] Result<> write_at(int file, std::uint64_t offset, ByteView bytes);

/// mode & 0777 and mtime of an open file.
[[nodiscard]] Result<> set_attributes(int file, std::uint16_t mode, std::int64_t mtime_ns);

/// Gives what stands there, and is as `status` says, the mode and mtime of `entry`. A file with a
/// second hard link is left as it is: its other name may be outside of the root.
[[nodiscard]] Result<> adopt(int folder, const std::string& leaf, const struct ::stat& status,
                             const sealine::stx::Entry& entry);

/// Whether the file or link there has this content.
[[nodiscard]] Result<bool> has_content(int folder, const std::string& leaf,
                                       const struct ::stat& status, ByteView content);
/// Whether the file there has the content of an open one.
[[nodiscard]] Result<bool> has_content_of(int folder, const std::string& leaf,
                                          const struct ::stat& status, int file);

/// Renames `part` to `leaf`. Not `replace`: file_exists where something stands there.
[[nodiscard]] Result<> move_into_place(int folder, const std::string& part, const std::string& leaf,
                                       bool replace);

/// Deletes a file or link. Nothing there is no error.
[[nodiscard]] Result<> remove_at(int folder, const std::string& leaf);

}  // namespace sealine::io::stx
