#pragma once

#include "sealine/base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace sealine::io::detail {

/// What a connection that only waits may keep.
inline constexpr std::size_t kSmallBufferBytes = 1024;

/// Four full records of 64 KiB, so that a read of whole records ends on one.
inline constexpr std::size_t kLargeBufferBytes = std::size_t{4} * (65536 + 44) + 64;

/// Memory for bytes on their way, lent by a cache of the calling thread and given back when nothing
/// is pending. Never wiped: it holds ciphertext, and plaintext that the application has as well.
class Buffer {
 public:
  Buffer() = default;

  /// At least `capacity_bytes`.
  explicit Buffer(std::size_t capacity_bytes);

  Buffer(Buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}

  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      reset();
      data_ = std::exchange(other.data_, nullptr);
      capacity_ = std::exchange(other.capacity_, 0);
    }
    return *this;
  }

  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  ~Buffer() { reset(); }

  void reset() noexcept;

  [[nodiscard]] bool empty() const noexcept { return data_ == nullptr; }

  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  [[nodiscard]] MutableBytes bytes() const noexcept { return {data_, capacity_}; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace sealine::io::detail
