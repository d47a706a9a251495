#include "stt/detail/ring_pool.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sealine::stt::detail {
namespace {

constexpr std::size_t kMaxKeptBytes = std::size_t{1} << 20U;
constexpr std::size_t kMaxKeptRings = 16;
/// Below it malloc is as quick, and gives the memory to whoever wants it.
constexpr std::size_t kSmallestKept = 4096;
constexpr std::chrono::seconds kQuiet{1};

}  // namespace

Ring RingPool::take(std::size_t bytes) {
  auto best = kept_.end();
  for (auto ring = kept_.begin(); ring != kept_.end(); ++ring) {
    if (ring->size >= bytes && (best == kept_.end() || ring->size < best->size)) best = ring;
  }
  // A much larger one waits for a stream that needs it.
  if (best == kept_.end() || best->size / 16 > bytes) {
    return {.bytes = std::make_unique_for_overwrite<std::uint8_t[]>(bytes), .size = bytes};
  }
  was_used_ = true;
  Ring ring = std::move(*best);
  kept_.erase(best);
  kept_bytes_ -= ring.size;
  return ring;
}

void RingPool::give_back(Ring ring) {
  if (ring.size < kSmallestKept || kept_.size() >= kMaxKeptRings ||
      kept_bytes_ + ring.size > kMaxKeptBytes) {
    return;
  }
  was_used_ = true;
  kept_bytes_ += ring.size;
  kept_.push_back(std::move(ring));
}

void RingPool::watch(TimePoint now) {
  if (!due_ && !kept_.empty()) due_ = now + kQuiet;
}

void RingPool::handle_timeout(TimePoint now) {
  if (!due_ || now < *due_) return;
  due_.reset();
  if (std::exchange(was_used_, false)) return watch(now);
  std::vector<Ring>().swap(kept_);
  kept_bytes_ = 0;
}

}  // namespace sealine::stt::detail
