#pragma once

#include "cli/asio.hpp"

#include <cstddef>

namespace sealine::cli {

/// Lets so many through at once; the others wait. One thread.
class Gate final {
 public:
  Gate(const net::any_io_executor& executor, std::size_t limit)
      : changed_(executor, net::steady_timer::time_point::max()), limit_(limit) {}

  /// Waits for a place and takes it; give it back with leave().
  [[nodiscard]] net::awaitable<void> enter() {
    while (inside_ >= limit_) {
      error_code ec;
      co_await changed_.async_wait(net::redirect_error(net::use_awaitable, ec));
    }
    ++inside_;
  }

  void leave() {
    --inside_;
    changed_.cancel();
  }

  [[nodiscard]] std::size_t inside() const noexcept { return inside_; }

 private:
  net::steady_timer changed_;
  std::size_t limit_;
  std::size_t inside_ = 0;
};

/// A place within a gate for as long as it lives.
class Pass final {
 public:
  explicit Pass(Gate& gate) : gate_(&gate) {}

  ~Pass() { gate_->leave(); }

  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

 private:
  Gate* gate_;
};

}  // namespace sealine::cli
