#pragma once

#include "cli/asio.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>

namespace sealine::cli {

/// `sh -c COMMAND` for one finished file after another, its path in $SEALINE_FILE. What the command
/// prints goes to standard error; it reads nothing, and it is not told STX_KEY. One thread.
class Hooks final {
 public:
  /// `on_failure` hears of a path whose command did not end with 0, and of the status as a shell
  /// has it.
  Hooks(const net::any_io_executor& executor, std::string command,
        std::function<void(const std::string& path, int status)> on_failure);
  /// Ends what still runs.
  ~Hooks();
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  void add(std::string path);

  /// Comes back when all have ended.
  [[nodiscard]] net::awaitable<void> finish();

  [[nodiscard]] std::uint64_t failed() const noexcept { return failed_; }

 private:
  void start_next();
  void wait();
  [[nodiscard]] bool reap();
  void over(int status);

  std::string command_;
  std::function<void(const std::string&, int)> on_failure_;
  net::signal_set ended_;
  net::steady_timer idle_;
  std::deque<std::string> waiting_;
  std::string current_;
  std::optional<::pid_t> pid_;
  std::uint64_t failed_ = 0;
};

}  // namespace sealine::cli
