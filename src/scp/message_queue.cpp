#include "sealine/scp/message_queue.hpp"

#include "sealine/base/assert.hpp"

#include <algorithm>
#include <bit>

namespace sealine::scp {
namespace {

constexpr std::size_t kSmallestRing = 1024;
constexpr std::size_t kKeepBytes = std::size_t{64} * 1024;  // kept without asking
constexpr std::size_t kKeepEntries = 64;
constexpr std::size_t kSmallFillings = 32;  // in a row, until a large ring is given back

std::uint8_t byte_of(MessageQueue::Kind kind) { return static_cast<std::uint8_t>(kind); }

}  // namespace

void MessageQueue::push(ByteView message, Kind kind) {
  SEALINE_ASSERT(!has_open_);
  const MutableBytes room = reserve(1 + message.size());
  room[0] = byte_of(kind);
  std::ranges::copy(message, room.data() + 1);
  entries_.push_back({.offset = tail_, .plaintext_bytes = room.size()});
  tail_ += room.size();
  whole_bytes_ += message.size();
}

MutableBytes MessageQueue::reserve(std::size_t plaintext_bytes) {
  SEALINE_ASSERT(!has_open_ && plaintext_bytes > 0);
  tail_ = place(plaintext_bytes);
  return {data_.get() + tail_, plaintext_bytes};
}

void MessageQueue::keep_open(std::size_t plaintext_bytes) {
  SEALINE_ASSERT(!has_open_ && plaintext_bytes > 0);
  open_ = {.offset = tail_, .plaintext_bytes = plaintext_bytes};
  has_open_ = true;
  tail_ += plaintext_bytes;
}

void MessageQueue::append_open(ByteView part) {
  SEALINE_ASSERT(has_open_);
  tail_ = place(part.size());
  std::ranges::copy(part, data_.get() + tail_);
  tail_ += part.size();
  open_.plaintext_bytes += part.size();
}

void MessageQueue::finish_open() {
  SEALINE_ASSERT(has_open_);
  data_[open_.offset] = byte_of(Kind::message);
  entries_.push_back(open_);
  whole_bytes_ += open_.plaintext_bytes - 1;
  has_open_ = false;
}

void MessageQueue::drop_open() {
  if (!has_open_) return;
  tail_ = open_.offset;
  has_open_ = false;
}

void MessageQueue::pop_front() {
  SEALINE_ASSERT(!empty());
  const Entry gone = entries_[first_++];
  most_bytes_ = std::max(most_bytes_, whole_bytes_);
  whole_bytes_ -= gone.plaintext_bytes - 1;
  if (empty() && !has_open_) return rest();
  const Entry& oldest = empty() ? open_ : entries_[first_];
  if (oldest.offset < gone.offset) is_wrapped_ = false;
  forget_old_entries();
}

void MessageQueue::clear() { *this = MessageQueue(); }

void MessageQueue::give_back() {
  if (empty() && !has_open_) clear();
}

std::size_t MessageQueue::place(std::size_t bytes) {
  if (empty() && !has_open_) {
    tail_ = 0;
    is_wrapped_ = false;
    if (capacity_ < bytes) grow(bytes);
    return tail_;
  }
  const std::size_t front = empty() ? open_.offset : entries_[first_].offset;
  const std::size_t end = is_wrapped_ ? front : capacity_;
  if (end - tail_ >= bytes) return tail_;
  const std::size_t moving = has_open_ ? open_.plaintext_bytes : 0;
  if (!is_wrapped_ && !empty() && front >= moving + bytes) {
    std::copy_n(data_.get() + tail_ - moving, moving, data_.get());
    open_.offset = 0;
    is_wrapped_ = true;
    return moving;
  }
  grow(bytes);
  return tail_;
}

// Twice the room, and what is kept in order at its front.
void MessageQueue::grow(std::size_t bytes) {
  const std::size_t kept = whole_bytes_ + size() + (has_open_ ? open_.plaintext_bytes : 0);
  const std::size_t wanted = std::max({kSmallestRing, std::bit_ceil(kept + bytes), 2 * capacity_});
  auto larger = std::make_unique_for_overwrite<std::uint8_t[]>(wanted);
  std::size_t at = 0;
  const auto move_here = [&](Entry& entry) {
    std::copy_n(data_.get() + entry.offset, entry.plaintext_bytes, larger.get() + at);
    entry.offset = at;
    at += entry.plaintext_bytes;
  };
  for (std::size_t i = first_; i < entries_.size(); ++i) move_here(entries_[i]);
  if (has_open_) move_here(open_);
  data_ = std::move(larger);
  capacity_ = wanted;
  tail_ = at;
  is_wrapped_ = false;
}

// Constant work for each entry on the average.
void MessageQueue::forget_old_entries() {
  if (first_ <= kKeepEntries || first_ <= entries_.size() / 2) return;
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(first_));
  first_ = 0;
}

// Empty: a ring that was made for more than is needed now goes, though not at the first small
// message between large ones.
void MessageQueue::rest() {
  entries_.clear();
  first_ = tail_ = 0;
  is_wrapped_ = false;
  const bool was_small = most_bytes_ < capacity_ / 4;
  most_bytes_ = 0;
  small_fillings_ = was_small ? small_fillings_ + 1 : 0;
  if (capacity_ > kKeepBytes && small_fillings_ >= kSmallFillings) clear();
}

}  // namespace sealine::scp
