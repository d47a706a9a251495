#pragma once

#include "cli/asio.hpp"
#include "cli/msg_lines.hpp"
#include "sealine/base/error.hpp"

#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>

namespace sealine::cli {

/// `sh -c COMMAND`, once for a channel: its standard input and output are the lines. Standard error
/// is ours. It runs in a process group of its own, so that a signal for us is not one for it, and
/// it is told to end (SIGTERM) when we are gone. One thread.
class Child final : public LineEnds {
 public:
  /// Errors: system_error (detail = errno).
  [[nodiscard]] static Result<std::unique_ptr<Child>> start(const net::any_io_executor& executor,
                                                            const std::string& command);
  /// Kills what still runs.
  ~Child() override;

  net::awaitable<Result<std::size_t>> read(MutableBytes out) override;
  /// What a command that has closed its input does not want is thrown away.
  net::awaitable<Result<>> write(ByteView bytes) override;
  void close_output() override;
  void cancel() override;

  /// Waits until it has ended; its status as a shell has it: 0..255, or 128 and the signal.
  [[nodiscard]] net::awaitable<int> wait();

  /// SIGTERM to all of it; a second time SIGKILL.
  void terminate() noexcept;

 private:
  Child(const net::any_io_executor& executor, ::pid_t pid, int in, int out);
  [[nodiscard]] bool reap() noexcept;

  net::posix::stream_descriptor in_;   ///< its standard input
  net::posix::stream_descriptor out_;  ///< its standard output
  net::signal_set ended_;
  ::pid_t pid_;
  std::optional<int> status_;
  bool is_cancelled_ = false;
  bool is_told_ = false;
};

}  // namespace sealine::cli
