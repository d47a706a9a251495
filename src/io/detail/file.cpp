#include "io/detail/file.hpp"

#include "sealine/crypto/rng.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>

namespace sealine::io::detail {

namespace {

constexpr long kLockPauseNs = 2'000'000;
constexpr int kLockTries = 5000;  // ten seconds

std::string random_suffix() {
  ByteArray<8> random{};
  crypto::SystemRng().fill(random);
  std::string text = ".tmp-";
  for (const std::uint8_t byte : random) {
    text += "0123456789abcdef"[byte >> 4U];
    text += "0123456789abcdef"[byte & 15U];
  }
  return text;
}

}  // namespace

Result<FileDescriptor> open_file(const std::filesystem::path& path, int flags, mode_t mode) {
  FileDescriptor file(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!file.is_open()) return file_failure();
  return file;
}

Result<SecretBytes> read_to_end(int fd, std::size_t limit_bytes) {
  struct ::stat status{};
  std::size_t capacity = 4096;
  if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
    capacity = std::max<std::size_t>(64, static_cast<std::size_t>(status.st_size) + 1);
  }
  capacity = std::min(capacity, limit_bytes + 1);
  SecretBytes content(capacity);
  std::size_t used = 0;
  for (;;) {
    if (used == content.size()) {
      if (used > limit_bytes) return fail(Errc::value_too_large);
      SecretBytes larger(std::min(used * 2, limit_bytes + 1));
      std::ranges::copy(content.expose(), larger.writable().begin());
      content = std::move(larger);
    }
    const MutableBytes room = content.writable().subspan(used);
    const ssize_t n = ::read(fd, room.data(), room.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return file_failure();
    if (n == 0) break;
    used += static_cast<std::size_t>(n);
  }
  return SecretBytes(content.expose().first(used));
}

Result<> write_fully(int fd, ByteView content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return file_failure();
    content = content.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

void sync_folder(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (const auto opened = open_file(folder, O_RDONLY | O_DIRECTORY)) ::fsync(opened->value());
}

Result<> replace_file(const std::filesystem::path& path, ByteView content) {
  std::error_code ec;
  std::filesystem::path target = std::filesystem::canonical(path, ec);
  if (ec) target = path;
  struct ::stat status{};
  const mode_t mode = ::stat(target.c_str(), &status) == 0 ? status.st_mode & 0777U : 0600U;

  std::filesystem::path temporary = target;
  temporary += random_suffix();
  SEALINE_TRY(file, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
  auto written = [&]() -> Result<> {
    SEALINE_TRY(write_fully(file.value(), content));
    if (::fchmod(file.value(), mode) != 0) return file_failure();
    if (::fsync(file.value()) != 0) return file_failure();
    if (::rename(temporary.c_str(), target.c_str()) != 0) return file_failure();
    return {};
  }();
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  sync_folder(target);
  return {};
}

Result<FileDescriptor> lock_file(const std::filesystem::path& path) {
  SEALINE_TRY(file, open_file(path, O_RDWR | O_CREAT, 0600));
  for (int tries = 0; ::flock(file.value(), LOCK_EX | LOCK_NB) != 0; ++tries) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return file_failure();
    if (tries >= kLockTries) return fail(Errc::file_locked);
    const ::timespec pause{0, kLockPauseNs};
    ::nanosleep(&pause, nullptr);
  }
  return file;
}

}  // namespace sealine::io::detail
