#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/secret.hpp"

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string>
#include <sys/types.h>
#include <unistd.h>
#include <utility>

namespace sealine::io::detail {

/// An open descriptor, closed with the object.
class FileDescriptor {
 public:
  FileDescriptor() = default;

  explicit FileDescriptor(int fd) noexcept : fd_(fd) {}

  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }

  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  ~FileDescriptor() { reset(); }

  void reset() noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  [[nodiscard]] int value() const noexcept { return fd_; }

  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// file_error with the errno of the call that just failed.
[[nodiscard]] inline std::unexpected<Error> file_failure() {
  return fail(Errc::file_error, static_cast<std::uint32_t>(errno));
}

/// open(2) with O_CLOEXEC.
[[nodiscard]] Result<FileDescriptor> open_file(const std::filesystem::path& path, int flags,
                                               mode_t mode = 0600);

/// All that is left to read. Errors: file_error, value_too_large.
[[nodiscard]] Result<SecretBytes> read_to_end(int fd, std::size_t limit_bytes);

[[nodiscard]] Result<> write_fully(int fd, ByteView content);

/// Syncs the folder of `path`, so that a rename in it lasts. Best effort: some file systems refuse.
void sync_folder(const std::filesystem::path& path);

/// A temporary file beside `path`, synced and renamed to it. A link at `path` is followed. An
/// existing file keeps its mode.
[[nodiscard]] Result<> replace_file(const std::filesystem::path& path, ByteView content);

/// A lock that processes and threads share, on a file made for it; gone with the object.
/// Errors: file_locked after ten seconds, file_error.
[[nodiscard]] Result<FileDescriptor> lock_file(const std::filesystem::path& path);

}  // namespace sealine::io::detail
