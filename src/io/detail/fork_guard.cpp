#include "io/detail/fork_guard.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/crypto/rng.hpp"

#include <atomic>
#include <cstring>
#include <pthread.h>
#include <sys/mman.h>

namespace sealine::io::detail {

namespace {

constexpr std::size_t kMarkBytes = 4096;

/// One word on a page that the kernel wipes in a child.
std::atomic<std::uint64_t>* make_page() {
  void* page =
      ::mmap(nullptr, kMarkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  SEALINE_ASSERT(page != MAP_FAILED);
  auto* word = ::new (page) std::atomic<std::uint64_t>(0);
  if (::madvise(page, kMarkBytes, MADV_WIPEONFORK) != 0) {
    static std::atomic<std::uint64_t>* by_handler = word;
    ::pthread_atfork(nullptr, nullptr, [] { by_handler->store(0, std::memory_order_relaxed); });
  }
  return word;
}

std::uint64_t fresh_number() {
  ByteArray<8> random{};
  crypto::SystemRng().fill(random);
  std::uint64_t number = 1;
  std::memcpy(&number, random.data(), sizeof number);
  return number | 1U;
}

}  // namespace

std::uint64_t process_generation() {
  static std::atomic<std::uint64_t>* const word = make_page();
  std::uint64_t seen = word->load(std::memory_order_relaxed);
  if (seen == 0) [[unlikely]] {
    const std::uint64_t fresh = fresh_number();
    if (word->compare_exchange_strong(seen, fresh, std::memory_order_relaxed)) return fresh;
  }
  return seen;
}

}  // namespace sealine::io::detail
