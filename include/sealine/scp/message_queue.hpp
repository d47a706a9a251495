#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/export.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sealine::scp {

/// A first-in-first-out of whole messages in one ring of memory, so that messages cost no
/// allocation each and are never moved but when the ring grows.
///
/// Each is kept as the plaintext of one DATA: the byte that says what it is, and its bytes. Thus a
/// message is sealed from here, and opened into here, without a copy between. Views are good until
/// the next change. An empty queue keeps what recent fillings needed, and gives back the rest.
class SEALINE_API MessageQueue {
 public:
  /// The first byte of the plaintext.                                    spec: scp.md#messages
  enum class Kind : std::uint8_t { message = 0, end = 4 };

  void push(ByteView message, Kind kind = Kind::message);

  /// Room for a plaintext behind all that is kept; lost with the next change but keep_open, by
  /// which what was written there becomes a message that is not whole yet.
  [[nodiscard]] MutableBytes reserve(std::size_t plaintext_bytes);
  void keep_open(std::size_t plaintext_bytes);

  /// Adds to that message; finish_open makes it a whole one.
  void append_open(ByteView part);
  void finish_open();
  void drop_open();
  void pop_front();
  void clear();
  /// Of an empty queue: all of its memory.
  void give_back();

  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size() - first_; }

  /// Bytes of the whole messages.
  [[nodiscard]] std::size_t bytes() const noexcept { return whole_bytes_; }

  [[nodiscard]] std::size_t open_bytes() const noexcept {
    return has_open_ ? open_.plaintext_bytes - 1 : 0;
  }

  [[nodiscard]] ByteView operator[](std::size_t index) const { return plaintext(index).subspan(1); }

  /// The message behind the byte of its kind.
  [[nodiscard]] ByteView plaintext(std::size_t index) const {
    const Entry& entry = entries_[first_ + index];
    return {data_.get() + entry.offset, entry.plaintext_bytes};
  }

  [[nodiscard]] Kind kind(std::size_t index) const {
    return static_cast<Kind>(plaintext(index)[0]);
  }

  /// Bytes of memory held.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  struct Entry {
    std::size_t offset = 0;
    std::size_t plaintext_bytes = 0;
  };

  /// Makes room for so many bytes in one piece, in one piece with the open message where there is
  /// one, and gives its offset.
  std::size_t place(std::size_t bytes);
  void grow(std::size_t bytes);
  void forget_old_entries();
  void rest();

  std::unique_ptr<std::uint8_t[]> data_;
  std::size_t capacity_ = 0;
  std::vector<Entry> entries_;
  std::size_t first_ = 0;    ///< entries before it are gone
  std::size_t tail_ = 0;     ///< where the next bytes go
  bool is_wrapped_ = false;  ///< tail_ stands before the oldest entry
  Entry open_;
  bool has_open_ = false;
  std::size_t whole_bytes_ = 0;
  std::size_t most_bytes_ = 0;      ///< kept at once since it was empty
  std::size_t small_fillings_ = 0;  ///< in a row
};

}  // namespace sealine::scp
