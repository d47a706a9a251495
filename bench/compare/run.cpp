// Runs a command as one end of a contestant that is a program of its own, and measures it with all
// the processes that it starts: `run report=FILE -- COMMAND...`. FILE gets one JSON object
// when the last of them has ended; SIGTERM goes to the command. Exit code: the command's.
#include "support/options.hpp"
#include "support/process.hpp"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace sealine::bench {
namespace {

// Written before the handler is set, read by it.
volatile sig_atomic_t command_pid =
    0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

void pass_on(int signal) { ::kill(static_cast<pid_t>(command_pid), signal); }

double to_seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

int run(const Options& options, char** command) {
  const std::string report = options.text("report", "");
  options.finish();
  die_with_parent();
  // Processes that a server leaves behind are still its work.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const double start_s = now_s();
  const pid_t pid = ::fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid == 0) {
    die_with_parent();
    ::execvp(command[0], command);
    std::cerr << command[0] << ": " << std::strerror(errno) << std::endl;
    ::_exit(127);
  }
  command_pid = pid;
  (void)std::signal(SIGTERM, pass_on);
  double seconds = 0;
  int code = 1;
  for (;;) {
    int status = 0;
    const pid_t ended = ::wait(&status);
    if (ended < 0 && errno == EINTR) continue;
    if (ended < 0) break;
    if (ended != pid) continue;
    seconds = now_s() - start_s;
    code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  nlohmann::json out;
  out["seconds"] = seconds;
  out["cpu_s"] = to_seconds(usage.ru_utime) + to_seconds(usage.ru_stime);
  out["memory_bytes"] = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;  // of the largest
  std::ofstream(report) << out.dump() << std::endl;
  return code;
}

}  // namespace
}  // namespace sealine::bench

int main(int argc, char** argv) {
  try {
    int end = 1;
    while (end < argc && std::strcmp(argv[end], "--") != 0) ++end;
    if (end + 1 >= argc) throw std::invalid_argument("no command");
    const sealine::bench::Options options(end, argv);
    return sealine::bench::run(options, argv + end + 1);
  } catch (const std::exception& failure) {
    std::cerr << failure.what() << std::endl;
    return 1;
  }
}
