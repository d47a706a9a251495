#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sealine::io::stx {

/// Threads for what blocks or takes long: disk, hashes, sealing. Jobs begin in the order in which
/// they were posted. Any thread may post.
class WorkerPool final {
 public:
  using Job = std::move_only_function<void()>;

  explicit WorkerPool(std::size_t threads);
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool();

  /// After close() the job is dropped unrun.
  void post(Job job);

  /// Drops what waits, and comes back when what runs is over. Not from a job.
  void close();

  [[nodiscard]] std::size_t size() const noexcept { return threads_.size(); }

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

/// How the work of a transfer is spread over the machine.
struct WorkPlan {
  std::size_t threads = 1;  ///< of the pool
  /// Blocks are sealed and opened on the network's thread: with two cores, one for each end, a
  /// second thread only adds wake-ups.
  bool blocks_inline = false;
};

/// `threads`: as the user wants it; 0: by the machine.
[[nodiscard]] WorkPlan plan_work(std::size_t threads);

}  // namespace sealine::io::stx
