#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sealine::scp {

/// A first-in-first-out of whole messages in one run of memory, so that small messages cost no
/// allocation each. Views are good until the next change. Memory is given back when it is empty.
class SEALINE_API MessageQueue {
 public:
  enum class Kind : std::uint8_t { message, end };

  void push(ByteView message, Kind kind = Kind::message);
  /// Adds to a message that is not whole yet; finish_open makes it one.
  void append_open(ByteView part);
  void finish_open();
  void drop_open();
  void pop_front();
  void clear();

  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size() - first_; }

  /// Bytes of the whole messages.
  [[nodiscard]] std::size_t bytes() const noexcept { return whole_bytes_; }

  [[nodiscard]] std::size_t open_bytes() const noexcept { return open_bytes_; }

  [[nodiscard]] ByteView operator[](std::size_t index) const;
  [[nodiscard]] Kind kind(std::size_t index) const;

 private:
  struct Entry {
    std::size_t offset;
    std::size_t length;
    Kind kind;
  };

  void compact();

  std::vector<std::uint8_t> data_;
  std::vector<Entry> entries_;
  std::size_t first_ = 0;  ///< entries before it are gone
  std::size_t used_ = 0;   ///< bytes of data_ before it are gone
  std::size_t whole_bytes_ = 0;
  std::size_t open_bytes_ = 0;  ///< at the end of data_
};

}  // namespace sealine::scp
