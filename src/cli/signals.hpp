#pragma once

#include "cli/asio.hpp"

#include <functional>
#include <utility>

namespace sealine::cli {

/// Gives SIGINT, SIGTERM, SIGHUP and SIGUSR1 to a function, on the context's thread, until stop().
class Signals final {
 public:
  /// Without `takes_hangup` SIGHUP keeps its meaning: the terminal is gone, and so are we.
  Signals(net::io_context& context, bool takes_hangup, std::function<void(int)> on_signal);

  void stop();

 private:
  void wait();

  net::signal_set set_;
  std::function<void(int)> on_signal_;
};

/// 130 for SIGINT, 143 for SIGTERM.
[[nodiscard]] int exit_code_of_signal(int number) noexcept;

}  // namespace sealine::cli
