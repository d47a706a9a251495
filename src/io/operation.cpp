#include "sealine/io/operation.hpp"

#include <array>
#include <cstddef>
#include <new>

namespace sealine::io::detail {

namespace {

/// Most operations fit the smaller size, those of coroutines with room to spare.
constexpr std::array<std::size_t, 2> kBlockBytes{192, 512};
constexpr std::size_t kCachedBlocks = 16;

constexpr std::size_t class_of(std::size_t bytes) {
  std::size_t index = 0;
  while (index < kBlockBytes.size() && bytes > kBlockBytes[index]) ++index;
  return index;
}

/// Blocks of a thread, to be used again.
struct BlockCache {
  struct Stack {
    std::array<void*, kCachedBlocks> blocks{};
    std::size_t used = 0;
  };

  std::array<Stack, kBlockBytes.size()> stacks;

  ~BlockCache() {
    for (Stack& stack : stacks) {
      while (stack.used != 0) ::operator delete(stack.blocks[--stack.used]);
    }
    alive() = false;
  }

  /// Whether the calling thread still has its cache: operations may die after it.
  static bool& alive() {
    thread_local bool value = true;
    return value;
  }
};

BlockCache::Stack& stack_of(std::size_t index) {
  thread_local BlockCache instance;
  return instance.stacks[index];
}

}  // namespace

void* take_operation_memory(std::size_t bytes) {
  const std::size_t index = class_of(bytes);
  if (index == kBlockBytes.size()) return ::operator new(bytes);
  if (BlockCache::alive()) {
    if (auto& stack = stack_of(index); stack.used != 0) return stack.blocks[--stack.used];
  }
  return ::operator new(kBlockBytes[index]);
}

void give_operation_memory(void* memory, std::size_t bytes) noexcept {
  const std::size_t index = class_of(bytes);
  if (index != kBlockBytes.size() && BlockCache::alive()) {
    if (auto& stack = stack_of(index); stack.used != kCachedBlocks) {
      stack.blocks[stack.used++] = memory;
      return;
    }
  }
  ::operator delete(memory);
}

}  // namespace sealine::io::detail
