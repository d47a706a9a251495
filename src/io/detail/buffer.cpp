#include "io/detail/buffer.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <sys/mman.h>

namespace sealine::io::detail {

namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kCachedSmall = 64;
constexpr std::size_t kCachedLarge = 8;

constexpr std::size_t round_to_pages(std::size_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

constexpr std::size_t kLargeCapacity = round_to_pages(kLargeBufferBytes);

/// Mapped by itself, so that giving it back gives it back to the system.
std::uint8_t* map(std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::uint8_t*>(memory);
}

template <std::size_t N>
struct Stack {
  std::array<std::uint8_t*, N> items{};
  std::size_t used = 0;

  [[nodiscard]] std::uint8_t* pop() { return used == 0 ? nullptr : items[--used]; }

  [[nodiscard]] bool push(std::uint8_t* item) {
    if (used == N) return false;
    items[used++] = item;
    return true;
  }
};

struct Cache {
  Stack<kCachedSmall> small;
  Stack<kCachedLarge> large;

  ~Cache() {
    while (auto* item = small.pop()) delete[] item;
    while (auto* item = large.pop()) ::munmap(item, kLargeCapacity);
    alive() = false;
  }

  /// Whether the calling thread still has its cache: buffers may die after it.
  static bool& alive() {
    thread_local bool value = true;
    return value;
  }
};

Cache* cache() {
  if (!Cache::alive()) return nullptr;
  thread_local Cache instance;
  return &instance;
}

}  // namespace

Buffer::Buffer(std::size_t capacity_bytes) {
  Cache* cached = cache();
  if (capacity_bytes <= kSmallBufferBytes) {
    capacity_ = kSmallBufferBytes;
    data_ = cached == nullptr ? nullptr : cached->small.pop();
    if (data_ == nullptr) data_ = new std::uint8_t[kSmallBufferBytes];
    return;
  }
  capacity_ = std::max(kLargeCapacity, round_to_pages(capacity_bytes));
  if (capacity_ == kLargeCapacity && cached != nullptr) data_ = cached->large.pop();
  if (data_ == nullptr) data_ = map(capacity_);
}

void Buffer::reset() noexcept {
  if (data_ == nullptr) return;
  Cache* cached = cache();
  if (capacity_ == kSmallBufferBytes) {
    if (cached == nullptr || !cached->small.push(data_)) delete[] data_;
  } else if (capacity_ != kLargeCapacity || cached == nullptr || !cached->large.push(data_)) {
    ::munmap(data_, capacity_);
  }
  data_ = nullptr;
  capacity_ = 0;
}

}  // namespace sealine::io::detail
