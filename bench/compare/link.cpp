// The latency of a cache line between two cores: prints nanoseconds one way.
// A machine's cores may lie near or far from one minute to the next; a figure taken with two of
// them is comparable only to one taken under the same latency.
#include "support/options.hpp"
#include "support/process.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iostream>
#include <thread>
#include <vector>

namespace sealine::bench {
namespace {

constexpr std::size_t kCacheLineBytes = 64;

double measure_link_ns(std::size_t near_core, std::size_t far_core, double time_s) {
  alignas(kCacheLineBytes) std::atomic<std::uint64_t> turn{
      0};  // even: ours, odd: the other thread's
  alignas(kCacheLineBytes) std::atomic<bool> stop{false};
  std::jthread other([&] {
    pin_to_core(far_core);
    while (!stop.load(std::memory_order_relaxed)) {
      const std::uint64_t seen = turn.load(std::memory_order_acquire);
      if (seen % 2 == 1) {
        turn.store(seen + 1, std::memory_order_release);
      }
    }
  });
  pin_to_core(near_core);
  constexpr std::uint64_t kBatch = 256;
  const double start_s = now_s();
  std::uint64_t value = 0;
  std::vector<double> batches_s;
  double batch_start_s = start_s;
  while (batch_start_s - start_s < time_s) {
    for (std::uint64_t index = 0; index < kBatch; ++index) {
      turn.store(value + 1, std::memory_order_release);
      while ((value = turn.load(std::memory_order_acquire)) % 2 == 1) {
      }
    }
    const double batch_end_s = now_s();
    batches_s.push_back(batch_end_s - batch_start_s);
    batch_start_s = batch_end_s;
  }
  stop = true;
  // The median, since a batch in which a thread was put aside says nothing about the link.
  const auto middle = batches_s.begin() + static_cast<std::ptrdiff_t>(batches_s.size() / 2);
  std::ranges::nth_element(batches_s, middle);
  return *middle / kBatch / 2 * 1e9;
}

}  // namespace
}  // namespace sealine::bench

int main(int argc, char** argv) {
  try {
    const sealine::bench::Options options(argc, argv);
    const double link_ns = sealine::bench::measure_link_ns(
        options.number("near", 0), options.number("far", 1), options.seconds("seconds", 0.05));
    options.finish();
    std::cout << std::round(link_ns) << std::endl;
    return 0;
  } catch (const std::exception& failure) {
    std::cerr << failure.what() << std::endl;
    return 1;
  }
}
