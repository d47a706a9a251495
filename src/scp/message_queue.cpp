#include "sealine/scp/message_queue.hpp"

#include "sealine/base/assert.hpp"
#include "sealine/base/secret.hpp"

namespace sealine::scp {
namespace {

constexpr std::size_t kKeepBytes =
    std::size_t{64} * 1024;  // what an empty queue keeps for the next burst
constexpr std::size_t kKeepEntries = 64;

}  // namespace

void MessageQueue::push(ByteView message, Kind kind) {
  SEALINE_ASSERT(open_bytes_ == 0);
  entries_.push_back({.offset = data_.size(), .length = message.size(), .kind = kind});
  data_.insert(data_.end(), message.begin(), message.end());
  whole_bytes_ += message.size();
}

void MessageQueue::append_open(ByteView part) {
  data_.insert(data_.end(), part.begin(), part.end());
  open_bytes_ += part.size();
}

void MessageQueue::finish_open() {
  entries_.push_back(
      {.offset = data_.size() - open_bytes_, .length = open_bytes_, .kind = Kind::message});
  whole_bytes_ += open_bytes_;
  open_bytes_ = 0;
}

void MessageQueue::drop_open() {
  data_.resize(data_.size() - open_bytes_);
  open_bytes_ = 0;
}

void MessageQueue::pop_front() {
  SEALINE_ASSERT(!empty());
  const Entry& entry = entries_[first_++];
  used_ = entry.offset + entry.length;
  whole_bytes_ -= entry.length;
  compact();
}

void MessageQueue::clear() { *this = MessageQueue(); }

ByteView MessageQueue::operator[](std::size_t index) const {
  const Entry& entry = entries_[first_ + index];
  return ByteView(data_).subspan(entry.offset, entry.length);
}

MessageQueue::Kind MessageQueue::kind(std::size_t index) const {
  return entries_[first_ + index].kind;
}

// Moves what is left to the front once the gone half is the larger: constant work for each byte on
// the average.
void MessageQueue::compact() {
  if (empty() && open_bytes_ == 0) {
    data_.clear();
    entries_.clear();
    first_ = used_ = 0;
    if (data_.capacity() > kKeepBytes) data_.shrink_to_fit();
    if (entries_.capacity() > kKeepEntries * 16) entries_.shrink_to_fit();
    return;
  }
  if (used_ > data_.size() / 2) {
    data_.erase(data_.begin(), data_.begin() + static_cast<std::ptrdiff_t>(used_));
    for (std::size_t i = first_; i < entries_.size(); ++i) entries_[i].offset -= used_;
    used_ = 0;
  }
  if (first_ > kKeepEntries && first_ > entries_.size() / 2) {
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

}  // namespace sealine::scp
