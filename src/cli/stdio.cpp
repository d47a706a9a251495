#include "cli/stdio.hpp"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sealine::cli {
namespace {

constexpr int kPipeBytes = 1 << 20;

Error file_error(int number) { return {Errc::file_error, static_cast<std::uint32_t>(number)}; }

/// The same pipe, terminal or device with a mode of its own; -1 where that cannot be.
int reopened(int fd, int flags) {
  struct stat status{};
  if (::fstat(fd, &status) != 0 || !(S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)))
    return -1;
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return ::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

void enlarge_pipe(int fd) { static_cast<void>(::fcntl(fd, F_SETPIPE_SZ, kPipeBytes)); }

bool is_socket(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

}  // namespace

Result<std::size_t> read_descriptor(int descriptor, MutableBytes out) {
  for (;;) {
    const ::ssize_t n = ::read(descriptor, out.data(), out.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) return std::unexpected(file_error(errno));
  }
}

Result<> write_descriptor(int descriptor, ByteView bytes) {
  while (!bytes.empty()) {
    const ::ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(file_error(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

bool is_closed_output(const Error& error) noexcept {
  return error.code == Errc::file_error && error.detail == EPIPE;
}

StandardInput::StandardInput(const net::any_io_executor& executor)
    : descriptor_(executor), fd_(reopened(STDIN_FILENO, O_RDONLY)) {
  is_terminal_ = ::isatty(STDIN_FILENO) == 1;
  is_nonblocking_ = fd_ >= 0;
  if (fd_ < 0) fd_ = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
  enlarge_pipe(STDIN_FILENO);
  error_code ec;
  if (fd_ >= 0) static_cast<void>(descriptor_.assign(fd_, ec));
  can_wait_ = fd_ >= 0 && !ec;
}

StandardInput::~StandardInput() {
  if (!descriptor_.is_open() && fd_ >= 0) ::close(fd_);
}

net::awaitable<Result<std::size_t>> StandardInput::read(MutableBytes out) {
  if (fd_ < 0) co_return 0;  // closed standard input has nothing to say
  for (;;) {
    if (is_cancelled_) co_return fail(Errc::cancelled);
    if (is_nonblocking_ || !can_wait_) {
      const auto n = read_descriptor(fd_, out);
      const bool must_wait = !n && (n.error().detail == EAGAIN || n.error().detail == EWOULDBLOCK);
      if (!must_wait) co_return n;
    }
    error_code ec;
    co_await descriptor_.async_wait(net::posix::stream_descriptor::wait_read,
                                    net::redirect_error(net::use_awaitable, ec));
    if (is_cancelled_) co_return fail(Errc::cancelled);
    if (ec == net::error::operation_not_supported) {
      can_wait_ = false;  // a file, or a device that is always ready
      continue;
    }
    if (ec) co_return std::unexpected(file_error(ec.value()));
    if (!is_nonblocking_) co_return read_descriptor(fd_, out);
  }
}

void StandardInput::cancel() {
  is_cancelled_ = true;
  error_code ec;
  if (descriptor_.is_open()) static_cast<void>(descriptor_.cancel(ec));
}

StandardOutput::StandardOutput(const net::any_io_executor& executor)
    : descriptor_(executor), fd_(reopened(STDOUT_FILENO, O_WRONLY)) {
  is_socket_ = is_socket(STDOUT_FILENO);
  if (fd_ < 0) fd_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  enlarge_pipe(STDOUT_FILENO);
  error_code ec;
  if (fd_ >= 0) static_cast<void>(descriptor_.assign(fd_, ec));
}

StandardOutput::~StandardOutput() {
  if (!descriptor_.is_open() && fd_ >= 0) ::close(fd_);
}

::ssize_t StandardOutput::write_some(ByteView bytes) const noexcept {
  if (is_socket_) return ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return ::write(fd_, bytes.data(), bytes.size());
}

net::awaitable<Result<>> StandardOutput::write(ByteView bytes) {
  while (!bytes.empty()) {
    if (is_cancelled_) co_return fail(Errc::cancelled);
    if (fd_ < 0) co_return std::unexpected(file_error(EBADF));
    const ::ssize_t n = write_some(bytes);
    if (n >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) co_return std::unexpected(file_error(errno));
    error_code ec;
    co_await descriptor_.async_wait(net::posix::stream_descriptor::wait_write,
                                    net::redirect_error(net::use_awaitable, ec));
    if (ec && !is_cancelled_) co_return std::unexpected(file_error(ec.value()));
  }
  co_return Result<>{};
}

void StandardOutput::cancel() {
  is_cancelled_ = true;
  error_code ec;
  if (descriptor_.is_open()) static_cast<void>(descriptor_.cancel(ec));
}

void StandardOutput::close() noexcept {
  error_code ec;
  if (descriptor_.is_open()) {
    static_cast<void>(descriptor_.close(ec));
  } else if (fd_ >= 0) {
    ::close(fd_);
  }
  fd_ = -1;
  if (is_socket_) {
    ::shutdown(STDOUT_FILENO, SHUT_WR);
  } else {
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0) {
      ::dup2(nowhere, STDOUT_FILENO);
      ::close(nowhere);
    }
  }
}

}  // namespace sealine::cli
