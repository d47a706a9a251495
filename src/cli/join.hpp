#pragma once

#include "cli/asio.hpp"

#include <exception>
#include <utility>

namespace sealine::cli {

/// Runs two coroutines side by side and goes on when both have ended. An exception of either is
/// thrown again.
template <class First, class Second>
net::awaitable<void> both(First first, Second second) {
  const auto executor = co_await net::this_coro::executor;
  net::steady_timer ended(executor, net::steady_timer::time_point::max());
  int running = 2;
  std::exception_ptr thrown;
  const auto note = [&](const std::exception_ptr& exception) {
    if (exception && !thrown) thrown = exception;
    if (--running == 0) ended.cancel();
  };
  net::co_spawn(executor, std::move(first), note);
  net::co_spawn(executor, std::move(second), note);
  while (running > 0) {  // NOLINT(bugprone-infinite-loop): note() counts it down
    error_code ec;
    co_await ended.async_wait(net::redirect_error(net::use_awaitable, ec));
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace sealine::cli
