#pragma once

#include "sealine/base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sealine::sim {

/// Bytes that came and wait for a machine to take them.
class Inbox {
 public:
  void put(ByteView bytes) {
    if (at_ == bytes_.size()) clear();
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }

  /// What waits; good until the next call.
  [[nodiscard]] MutableBytes rest() { return MutableBytes(bytes_).subspan(at_); }

  [[nodiscard]] ByteView rest() const { return ByteView(bytes_).subspan(at_); }

  [[nodiscard]] std::size_t size() const { return bytes_.size() - at_; }

  void take(std::size_t count) { at_ += count; }

  void clear() {
    bytes_.clear();
    at_ = 0;
  }

 private:
  std::vector<std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

}  // namespace sealine::sim
