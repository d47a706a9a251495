#include "io/stx/place.hpp"

#include "io/stx/file_failure.hpp"
#include "sealine/stx/limits.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <limits>
#include <memory>
#include <span>

namespace sealine::io::stx {

using detail::FileDescriptor;
using sealine::stx::Entry;
using sealine::stx::EntryKind;

namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::size_t kCompareBytes = std::size_t{256} << 10U;

/// Opens the file or folder that `status` describes. Another one, that was put in its place since:
/// file_error with EAGAIN.
Result<FileDescriptor> open_same(int folder, const std::string& leaf, const struct ::stat& status) {
  FileDescriptor file(
      ::openat(folder, leaf.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file.is_open()) return failed();
  struct ::stat opened{};
  if (::fstat(file.value(), &opened) != 0) return failed();
  if (opened.st_ino != status.st_ino || opened.st_dev != status.st_dev) {
    return std::unexpected(file_error_of(EAGAIN));
  }
  return file;
}

bool is_as(const struct ::stat& status, const Entry& entry) noexcept {
  return (status.st_mode & 07777U) == entry.mode && mtime_ns_of(status) == entry.mtime_ns;
}

/// Two ways to read, block by block, until they differ.
template <class Left, class Right>
Result<bool> equal(std::uint64_t size, Left left, Right right) {
  const auto memory = std::make_unique_for_overwrite<std::uint8_t[]>(2 * kCompareBytes);
  for (std::uint64_t offset = 0; offset < size; offset += kCompareBytes) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(kCompareBytes, size - offset));
    const MutableBytes a(memory.get(), n);
    const MutableBytes b(memory.get() + kCompareBytes, n);
    SEALINE_TRY(left_bytes, left(offset, a));
    SEALINE_TRY(right_bytes, right(offset, b));
    if (left_bytes != n || right_bytes != n || !std::ranges::equal(a, b)) return false;
  }
  return true;
}

}  // namespace

FileSizeSignalGuard::FileSizeSignalGuard() noexcept {
  ::sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGXFSZ);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before_);
}

FileSizeSignalGuard::~FileSizeSignalGuard() {
  const int kept_errno = errno;
  ::sigset_t pending;
  if (::sigpending(&pending) == 0 && ::sigismember(&pending, SIGXFSZ) == 1 &&
      ::sigismember(&before_, SIGXFSZ) == 0) {
    ::sigset_t one;
    ::sigemptyset(&one);
    ::sigaddset(&one, SIGXFSZ);
    const ::timespec at_once{};
    ::sigtimedwait(&one, nullptr, &at_once);
  }
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  errno = kept_errno;
}

std::int64_t mtime_ns_of(const struct ::stat& status) noexcept {
  // Seconds that no 64-bit count of nanoseconds holds (the years before 1678 and after 2262).
  constexpr std::int64_t kMaxSeconds = std::numeric_limits<std::int64_t>::max() / kNsPerSecond - 1;
  const std::int64_t seconds =
      std::clamp<std::int64_t>(status.st_mtim.tv_sec, -kMaxSeconds, kMaxSeconds);
  return seconds * kNsPerSecond + status.st_mtim.tv_nsec;
}

FileTimes::FileTimes(std::int64_t mtime_ns) noexcept : times{} {
  std::int64_t seconds = mtime_ns / kNsPerSecond;
  std::int64_t rest = mtime_ns % kNsPerSecond;
  if (rest < 0) {
    rest += kNsPerSecond;
    --seconds;
  }
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_sec = seconds;
  times[1].tv_nsec = rest;
}

Result<std::size_t> read_at(int file, std::uint64_t offset, MutableBytes out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n =
        ::pread(file, out.data() + done, out.size() - done, static_cast<::off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed();
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

Result<> write_at(int file, std::uint64_t offset, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(file, bytes.data(), bytes.size(), static_cast<::off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed();
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<> set_attributes(int file, std::uint16_t mode, std::int64_t mtime_ns) {
  if (::fchmod(file, mode & 0777U) != 0) return failed();
  if (::futimens(file, FileTimes(mtime_ns).times) != 0) return failed();
  return {};
}

Result<> adopt(int folder, const std::string& leaf, const struct ::stat& status,
               const Entry& entry) {
  if (S_ISLNK(status.st_mode)) {
    if (mtime_ns_of(status) == entry.mtime_ns) return {};
    const FileTimes times(entry.mtime_ns);
    if (::utimensat(folder, leaf.c_str(), times.times, AT_SYMLINK_NOFOLLOW) != 0) return failed();
    return {};
  }
  const bool is_shared = S_ISREG(status.st_mode) && status.st_nlink > 1;
  if (is_as(status, entry) || is_shared) return {};
  SEALINE_TRY(file, open_same(folder, leaf, status));
  return set_attributes(file.value(), entry.mode, entry.mtime_ns);
}

Result<bool> has_content(int folder, const std::string& leaf, const struct ::stat& status,
                         ByteView content) {
  if (S_ISLNK(status.st_mode)) {
    std::array<char, sealine::stx::kMaxTargetBytes + 1> target{};
    const ssize_t n = ::readlinkat(folder, leaf.c_str(), target.data(), target.size());
    if (n < 0) return failed();
    return std::ranges::equal(std::span(target).first(static_cast<std::size_t>(n)),
                              as_text(content));
  }
  if (static_cast<std::uint64_t>(status.st_size) != content.size()) return false;
  SEALINE_TRY(file, open_same(folder, leaf, status));
  return equal(
      content.size(),
      [&](std::uint64_t offset, MutableBytes out) { return read_at(file.value(), offset, out); },
      [&](std::uint64_t offset, MutableBytes out) -> Result<std::size_t> {
        std::ranges::copy(content.subspan(static_cast<std::size_t>(offset), out.size()),
                          out.begin());
        return out.size();
      });
}

Result<bool> has_content_of(int folder, const std::string& leaf, const struct ::stat& status,
                            int other) {
  struct ::stat theirs{};
  if (::fstat(other, &theirs) != 0) return failed();
  if (!S_ISREG(status.st_mode) || theirs.st_size != status.st_size) return false;
  SEALINE_TRY(file, open_same(folder, leaf, status));
  return equal(
      static_cast<std::uint64_t>(status.st_size),
      [&](std::uint64_t offset, MutableBytes out) { return read_at(file.value(), offset, out); },
      [&](std::uint64_t offset, MutableBytes out) { return read_at(other, offset, out); });
}

Result<> move_into_place(int folder, const std::string& part, const std::string& leaf,
                         bool replace) {
  const unsigned flags = replace ? 0 : RENAME_NOREPLACE;
  if (::renameat2(folder, part.c_str(), folder, leaf.c_str(), flags) == 0) return {};
  if (errno == EINVAL && !replace) {
    // A file system without NOREPLACE: a second name is refused where one stands, as well.
    if (::linkat(folder, part.c_str(), folder, leaf.c_str(), 0) == 0) {
      return remove_at(folder, part);
    }
  }
  if (errno == EEXIST) return fail(Errc::file_exists, EEXIST);
  return failed();
}

Result<> remove_at(int folder, const std::string& leaf) {
  if (::unlinkat(folder, leaf.c_str(), 0) != 0 && errno != ENOENT) return failed();
  return {};
}

}  // namespace sealine::io::stx
