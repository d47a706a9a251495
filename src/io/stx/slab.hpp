#pragma once

#include "sealine/base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace sealine::io::stx {

/// Sixteen blocks of the usual size with their heads and tags, and room for control frames: as many
/// as a fast engine hashes side by side.
inline constexpr std::size_t kSlabBytes = (std::size_t{4} << 20U) + (std::size_t{64} << 10U);

/// Memory that frames are built or received in. Not wiped: it holds ciphertext, and plaintext that
/// is in a file as well.
class Slab final {
 public:
  Slab() = default;

  explicit Slab(std::size_t capacity)
      : bytes_(std::make_unique_for_overwrite<std::uint8_t[]>(capacity)), capacity_(capacity) {}

  Slab(Slab&& other) noexcept
      : bytes_(std::move(other.bytes_)), capacity_(std::exchange(other.capacity_, 0)) {}

  Slab& operator=(Slab&& other) noexcept {
    bytes_ = std::move(other.bytes_);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() = default;

  [[nodiscard]] std::uint8_t* data() const noexcept { return bytes_.get(); }

  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  [[nodiscard]] MutableBytes bytes() const noexcept { return {bytes_.get(), capacity_}; }

  [[nodiscard]] bool empty() const noexcept { return capacity_ == 0; }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t capacity_ = 0;
};

/// Full slabs that are used again: fresh memory would cost a fault a page. Any thread.
class SlabShelf final {
 public:
  [[nodiscard]] Slab take(std::size_t least = kSlabBytes);
  void give(Slab slab);

 private:
  std::mutex mutex_;
  std::vector<Slab> slabs_;
};

}  // namespace sealine::io::stx
