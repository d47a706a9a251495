#include "support/no_alloc.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEALINE_UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SEALINE_UNDER_SANITIZER 1
#endif
#endif

namespace sealine::test {
namespace {

thread_local constinit std::size_t counter = 0;
thread_local constinit std::size_t bytes = 0;

void count(std::size_t size) {
  ++counter;
  bytes += size;
}

}  // namespace

std::size_t allocation_count() noexcept { return counter; }

std::size_t allocated_bytes() noexcept { return bytes; }

NoAlloc::~NoAlloc() {
  const std::size_t made = allocations();
  EXPECT_EQ(made, 0U) << "this code must not allocate";
}

}  // namespace sealine::test

#if defined(SEALINE_UNDER_SANITIZER)

// The sanitizers own malloc, and tell of each call.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*,
                                                                  std::size_t),
                                                         void (*)(const volatile void*));

namespace sealine::test {
namespace {

void count_one(const volatile void*, std::size_t size) { count(size); }

void ignore(const volatile void*) {}

[[maybe_unused]] const int installed = __sanitizer_install_malloc_and_free_hooks(count_one, ignore);

}  // namespace
}  // namespace sealine::test

#else

// Glibc's own functions under their inner names; the program's definitions go before those of
// shared libraries, so that these see what libcrypto does too. Only what is visible goes before
// theirs, and clang hides what -fvisibility=hidden tells it to even where <cstdlib> declared it.
#pragma GCC visibility push(default)
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) noexcept {
  sealine::test::count(size);
  return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) noexcept {
  sealine::test::count(count * size);
  return __libc_calloc(count, size);
}

void* realloc(void* old, std::size_t size) noexcept {
  sealine::test::count(size);
  return __libc_realloc(old, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  sealine::test::count(size);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** out, std::size_t alignment, std::size_t size) noexcept {
  sealine::test::count(size);
  void* memory = __libc_memalign(alignment, size);
  if (memory == nullptr) return ENOMEM;
  *out = memory;
  return 0;
}
}
#pragma GCC visibility pop

#endif
