#include "cli/signals.hpp"

#include "cli/exit_code.hpp"

#include <csignal>

namespace sealine::cli {

Signals::Signals(net::io_context& context, bool takes_hangup, std::function<void(int)> on_signal)
    : set_(context, SIGINT, SIGTERM, SIGUSR1), on_signal_(std::move(on_signal)) {
  if (takes_hangup) set_.add(SIGHUP);
  wait();
}

void Signals::wait() {
  set_.async_wait([this](const error_code& ec, int number) {
    if (ec) return;
    on_signal_(number);
    wait();
  });
}

void Signals::stop() {
  error_code ec;
  static_cast<void>(set_.cancel(ec));
  static_cast<void>(set_.clear(ec));
}

int exit_code_of_signal(int number) noexcept {
  return number == SIGINT ? kExitInterrupted : kExitTerminated;
}

}  // namespace sealine::cli
