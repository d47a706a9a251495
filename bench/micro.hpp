#pragma once

// What the benchmark programs share: allocations are counted, and tools/bench can fix the number of
// iterations to count instructions. Include it in the one source file of the program: it replaces
// the global operator new.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace sealine::bench {

inline std::atomic<std::uint64_t> allocation_count{0};

/// Reports the allocations per iteration between its making and its end, as the counter
/// "allocations".
class AllocationCounter {
 public:
  explicit AllocationCounter(benchmark::State& state) : state_(state) {}

  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;

  ~AllocationCounter() {
    // Whole allocations per iteration: the library's own two or three a run do not count.
    const std::uint64_t count = allocation_count.load() - before_;
    const auto iterations =
        static_cast<std::uint64_t>(std::max<std::int64_t>(state_.iterations(), 1));
    state_.counters["allocations"] = static_cast<double>(count / iterations);
  }

 private:
  benchmark::State& state_;
  std::uint64_t before_ = allocation_count.load();
};

/// Runs a benchmark as often as SEALINE_BENCH_ITERATIONS says, where it is set: ->Apply(it).
inline void iterations_from_environment(benchmark::internal::Benchmark* benchmark) {
  if (const char* count = std::getenv("SEALINE_BENCH_ITERATIONS")) {
    benchmark->Iterations(std::atoll(count));
  }
}

}  // namespace sealine::bench

[[gnu::noinline]] void* operator new(std::size_t size) {
  sealine::bench::allocation_count.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size != 0 ? size : 1)) {
    return memory;
  }
  throw std::bad_alloc();
}

[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }

[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
