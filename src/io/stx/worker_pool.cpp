#include "io/stx/worker_pool.hpp"

#include <algorithm>
#include <utility>

namespace sealine::io::stx {
namespace {

/// More threads than this outrun any disk and any link.
constexpr std::size_t kMaxThreads = 8;
/// Up to so many cores the two threads of the ends are all that pays.
constexpr unsigned kFewCores = 2;

}  // namespace

WorkerPool::WorkerPool(std::size_t threads) {
  threads_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

WorkerPool::~WorkerPool() { close(); }

void WorkerPool::post(Job job) {
  {
    const std::scoped_lock lock(mutex_);
    if (closed_) return;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void WorkerPool::close() {
  std::deque<Job> dropped;
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    dropped.swap(jobs_);
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return closed_ || !jobs_.empty(); });
    if (closed_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it holds is let go without the lock
    lock.lock();
  }
}

WorkPlan plan_work(std::size_t threads) {
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  if (threads != 0) return {.threads = std::min<std::size_t>(threads, 64), .blocks_inline = false};
  if (cores <= kFewCores) return {.threads = 1, .blocks_inline = true};
  return {.threads = std::min<std::size_t>(cores - 1, kMaxThreads), .blocks_inline = false};
}

}  // namespace sealine::io::stx
