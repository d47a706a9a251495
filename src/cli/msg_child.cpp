#include "cli/msg_child.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace sealine::cli {
namespace {

constexpr int kNotStarted = 127;

std::unexpected<Error> system_failure() {
  return fail(Errc::system_error, static_cast<std::uint32_t>(errno));
}

Error file_failure(const error_code& ec) {
  return {Errc::file_error, static_cast<std::uint32_t>(ec.value())};
}

struct Pipes {
  std::array<int, 2> in{-1, -1};
  std::array<int, 2> out{-1, -1};

  void close_all() const noexcept {
    for (const int fd : {in[0], in[1], out[0], out[1]}) {
      if (fd >= 0) ::close(fd);
    }
  }
};

/// No signal meets a child that still has the handlers of its parent: they would write into the
/// parent's own pipe, which would take the signal for its own.
class SignalsHeld final {
 public:
  SignalsHeld() {
    ::sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }

  ~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  ::sigset_t before_{};
};

/// Between fork and exec, with all signals held: only what is safe there.
[[noreturn]] void become(const char* command, const Pipes& pipes, ::pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(kNotStarted);
  ::dup2(pipes.in[0], STDIN_FILENO);
  ::dup2(pipes.out[1], STDOUT_FILENO);
  // Sockets of other channels are nothing to it, and not all of them close themselves.
  if (::close_range(STDERR_FILENO + 1, ~0U, 0) != 0) {
    const long limit = ::sysconf(_SC_OPEN_MAX);
    for (int fd = STDERR_FILENO + 1; fd < limit; ++fd) ::close(fd);
  }
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  ::sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execl("/bin/sh", "sh", "-c", command, static_cast<char*>(nullptr));
  ::_exit(kNotStarted);
}

}  // namespace

Result<std::unique_ptr<Child>> Child::start(const net::any_io_executor& executor,
                                            const std::string& command) {
  Pipes pipes;
  if (::pipe2(pipes.in.data(), O_CLOEXEC) != 0 || ::pipe2(pipes.out.data(), O_CLOEXEC) != 0) {
    const auto failed = system_failure();
    pipes.close_all();
    return failed;
  }
  const SignalsHeld held;
  const ::pid_t parent = ::getpid();
  const ::pid_t pid = ::fork();
  if (pid == 0) become(command.c_str(), pipes, parent);
  if (pid < 0) {
    const auto failed = system_failure();
    pipes.close_all();
    return failed;
  }
  ::setpgid(pid, pid);  // as it does itself: whoever comes first
  ::close(pipes.in[0]);
  ::close(pipes.out[1]);
  return std::unique_ptr<Child>(new Child(executor, pid, pipes.in[1], pipes.out[0]));
}

Child::Child(const net::any_io_executor& executor, ::pid_t pid, int in, int out)
    : in_(executor, in), out_(executor, out), ended_(executor, SIGCHLD), pid_(pid) {
  error_code ec;
  static_cast<void>(in_.non_blocking(true, ec));
  static_cast<void>(out_.non_blocking(true, ec));
}

Child::~Child() {
  if (reap()) return;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool Child::reap() noexcept {
  if (status_) return true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

net::awaitable<Result<std::size_t>> Child::read(MutableBytes out) {
  if (is_cancelled_) co_return fail(Errc::cancelled);
  error_code ec;
  const std::size_t n = co_await out_.async_read_some(net::buffer(out.data(), out.size()),
                                                      net::redirect_error(net::use_awaitable, ec));
  if (is_cancelled_) co_return fail(Errc::cancelled);
  if (ec == net::error::eof) co_return 0;
  if (ec) co_return std::unexpected(file_failure(ec));
  co_return n;
}

net::awaitable<Result<>> Child::write(ByteView bytes) {
  if (is_cancelled_ || !in_.is_open()) co_return Result<>{};
  error_code ec;
  co_await net::async_write(in_, net::buffer(bytes.data(), bytes.size()),
                            net::redirect_error(net::use_awaitable, ec));
  if (is_cancelled_ || !ec) co_return Result<>{};
  close_output();
  if (ec == net::error::broken_pipe) co_return Result<>{};
  co_return std::unexpected(file_failure(ec));
}

void Child::close_output() {
  error_code ec;
  static_cast<void>(in_.close(ec));
}

void Child::cancel() {
  is_cancelled_ = true;
  error_code ec;
  static_cast<void>(in_.close(ec));
  static_cast<void>(out_.close(ec));
}

net::awaitable<int> Child::wait() {
  // A SIGCHLD that came since the set was made is kept in it.
  while (!reap()) {
    error_code ec;
    co_await ended_.async_wait(net::redirect_error(net::use_awaitable, ec));
  }
  co_return *status_;
}

void Child::terminate() noexcept {
  if (reap()) return;
  ::kill(-pid_, is_told_ ? SIGKILL : SIGTERM);
  is_told_ = true;
}

}  // namespace sealine::cli
