#include "sealine/scp/receipts.hpp"

#include "sealine/base/assert.hpp"

#include <algorithm>

namespace sealine::scp {

bool ReceiptBook::may_begin() const noexcept {
  return whole_ - written_ < window_messages_ && unwritten_bytes_ < window_bytes_;
}

void ReceiptBook::on_whole(std::size_t message_bytes, const MessageQueue& inbox) {
  ++whole_;
  unwritten_.push_back(message_bytes);
  unwritten_bytes_ += message_bytes;
  advance(inbox);
}

void ReceiptBook::on_taken(std::size_t message_bytes, const MessageQueue& inbox) {
  SEALINE_ASSERT(eligible_ > taken_);
  eligible_held_bytes_ -= message_bytes;
  ++taken_;
  advance(inbox);
}

// The first message held is always eligible: nothing is held before it.
void ReceiptBook::advance(const MessageQueue& inbox) {
  while (eligible_ < whole_ && eligible_ - taken_ < window_messages_ &&
         eligible_held_bytes_ < window_bytes_) {
    eligible_held_bytes_ += inbox[static_cast<std::size_t>(eligible_ - taken_)].size();
    ++eligible_;
  }
}

void ReceiptBook::on_written() {
  for (; written_ < eligible_; ++written_) unwritten_bytes_ -= unwritten_[unwritten_first_++];
  if (unwritten_first_ == unwritten_.size() || unwritten_first_ > window_messages_) {
    unwritten_.erase(unwritten_.begin(),
                     unwritten_.begin() + static_cast<std::ptrdiff_t>(unwritten_first_));
    unwritten_first_ = 0;
  }
}

}  // namespace sealine::scp
