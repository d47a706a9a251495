#include "cli/recv_hook.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace sealine::cli {
namespace {

constexpr std::size_t kMaxUnrun = 65536;
constexpr int kNotStarted = 127;

/// Our environment without what the command must not see or is told anew.
std::vector<std::string> environment_with(const std::string& path) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (text.starts_with("STX_KEY=") || text.starts_with("SEALINE_FILE=")) continue;
    out.emplace_back(text);
  }
  out.push_back("SEALINE_FILE=" + path);
  return out;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::optional<::pid_t> spawn(const std::string& command, const std::string& path) {
  ::posix_spawn_file_actions_t files;
  ::posix_spawnattr_t attributes;
  if (::posix_spawn_file_actions_init(&files) != 0) return std::nullopt;
  if (::posix_spawnattr_init(&attributes) != 0) {
    ::posix_spawn_file_actions_destroy(&files);
    return std::nullopt;
  }
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
  // A process group of its own, so that our ^C is not one for it, and a broken pipe kills as usual.
  ::sigset_t defaults;
  ::sigemptyset(&defaults);
  ::sigaddset(&defaults, SIGPIPE);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);

  std::vector<std::string> words{"sh", "-c", command};
  std::vector<std::string> environment = environment_with(path);
  ::pid_t pid = 0;
  const int failed = ::posix_spawn(&pid, "/bin/sh", &files, &attributes, pointers_to(words).data(),
                                   pointers_to(environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  if (failed != 0) return std::nullopt;
  return pid;
}

int shell_status(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Hooks::Hooks(const net::any_io_executor& executor, std::string command,
             std::function<void(const std::string&, int)> on_failure)
    : command_(std::move(command)),
      on_failure_(std::move(on_failure)),
      ended_(executor, SIGCHLD),
      idle_(executor, net::steady_timer::time_point::max()) {
  wait();
}

Hooks::~Hooks() {
  if (!pid_) return;
  ::kill(-*pid_, SIGTERM);
  int status = 0;
  while (::waitpid(*pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

void Hooks::wait() {
  ended_.async_wait([this](const error_code& ec, int /*number*/) {
    if (ec) return;
    static_cast<void>(reap());
    wait();
  });
}

void Hooks::add(std::string path) {
  if (waiting_.size() >= kMaxUnrun) {
    ++failed_;
    on_failure_(path, kNotStarted);
    return;
  }
  waiting_.push_back(std::move(path));
  if (!pid_) start_next();
}

void Hooks::start_next() {
  while (!waiting_.empty()) {
    current_ = std::move(waiting_.front());
    waiting_.pop_front();
    pid_ = spawn(command_, current_);
    if (pid_) return;
    over(kNotStarted);
  }
  idle_.cancel();
}

bool Hooks::reap() {
  if (!pid_) return false;
  int status = 0;
  if (::waitpid(*pid_, &status, WNOHANG) != *pid_) return false;
  pid_.reset();
  over(shell_status(status));
  start_next();
  return true;
}

void Hooks::over(int status) {
  if (status == 0) return;
  ++failed_;
  on_failure_(current_, status);
}

net::awaitable<void> Hooks::finish() {
  while (pid_) {
    error_code ec;
    co_await idle_.async_wait(net::redirect_error(net::use_awaitable, ec));
  }
  static_cast<void>(ended_.cancel());
}

}  // namespace sealine::cli
