#include "cli/event_queue.hpp"

#include <utility>

namespace sealine::cli {
namespace {

/// More waits for the reader. Small: a message on its way out is held here and by its channel.
constexpr std::size_t kQueueBytes = std::size_t{256} << 10U;

net::awaitable<void> until_cancelled(net::steady_timer& timer) {
  timer.expires_at(net::steady_timer::time_point::max());
  error_code ec;
  co_await timer.async_wait(net::redirect_error(net::use_awaitable, ec));
}

}  // namespace

EventQueue::EventQueue(const net::any_io_executor& executor, StandardOutput& target, Output& output)
    : target_(&target), output_(&output), filled_(executor), emptied_(executor) {
  output_->set_event_sink([this](std::string_view line) { push(line); });
}

EventQueue::~EventQueue() { output_->set_event_sink({}); }

void EventQueue::push(std::string_view line) {
  if (error_) return;
  queue_.append(line);
  filled_.cancel();
}

net::awaitable<void> EventQueue::run() {
  std::string part;
  for (;;) {
    while (queue_.empty() && !is_finishing_) co_await until_cancelled(filled_);
    if (queue_.empty()) break;
    part.clear();
    std::swap(part, queue_);
    is_writing_ = true;
    const auto written = co_await target_->write(as_bytes(part));
    is_writing_ = false;
    if (!written) {
      error_ = written.error();
      queue_.clear();
    }
    emptied_.cancel();
  }
  emptied_.cancel();
}

net::awaitable<Result<>> EventQueue::room() {
  while (!error_ && queue_.size() > kQueueBytes) co_await until_cancelled(emptied_);
  if (error_) co_return std::unexpected(*error_);
  co_return Result<>{};
}

net::awaitable<void> EventQueue::finish() {
  is_finishing_ = true;
  filled_.cancel();
  while (is_writing_ || !queue_.empty()) co_await until_cancelled(emptied_);
}

}  // namespace sealine::cli
