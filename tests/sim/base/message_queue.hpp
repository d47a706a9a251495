#pragma once

#include "sealine/base/bytes.hpp"
#include "tests/sim/base/trace.hpp"
#include "tests/sim/base/wire.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace sealine::sim {

/// One direction of an explorer's connection: whole messages, as they were written, and what an
/// attacker does to the first of them.
class MessageQueue final : public Wire {
 public:
  struct Message {
    std::vector<std::uint8_t> bytes;
    std::vector<std::uint8_t> as_written;
    std::uint64_t number = 0;  ///< of those that were written

    [[nodiscard]] bool is_as_written() const { return bytes == as_written; }
  };

  void write(ByteView bytes) override {
    if (is_ended) return;
    messages_.push_back({.bytes = {bytes.begin(), bytes.end()},
                         .as_written = {bytes.begin(), bytes.end()},
                         .number = written_++});
  }

  void end() override { is_ended = true; }

  [[nodiscard]] bool empty() const { return messages_.empty(); }

  [[nodiscard]] std::size_t size() const { return messages_.size(); }

  [[nodiscard]] const Message& front() const { return messages_.front(); }

  [[nodiscard]] Message take() {
    Message first = std::move(messages_.front());
    messages_.pop_front();
    return first;
  }

  /// Whether a message that was taken is as it was written, and comes behind those that were too.
  [[nodiscard]] bool is_next(const Message& message) {
    const bool is_it = message.number == in_order_ && message.is_as_written();
    if (is_it) ++in_order_;
    return is_it;
  }

  /// The first half of the first message; the rest of it stays.
  [[nodiscard]] std::vector<std::uint8_t> take_half() {
    std::vector<std::uint8_t>& bytes = messages_.front().bytes;
    const auto half = bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2);
    std::vector<std::uint8_t> part(bytes.begin(), half);
    bytes.erase(bytes.begin(), half);
    return part;
  }

  /// Another connection begins.
  void clear() {
    messages_.clear();
    is_ended = false;
  }

  // --- what an attacker does

  void drop() { messages_.pop_front(); }

  void duplicate() { messages_.push_front(Message(messages_.front())); }

  void reorder() { std::swap(messages_[0], messages_[1]); }

  /// A bit of the byte at `at`, or of the last one.
  void flip(std::size_t at) {
    std::vector<std::uint8_t>& bytes = messages_.front().bytes;
    bytes[at < bytes.size() ? at : bytes.size() - 1] ^= 1U;
  }

  void add_to(Trace& trace) const {
    trace.add((std::uint64_t{messages_.size()} << 1U) | (is_ended ? 1U : 0U));
    for (const Message& message : messages_) trace.add(message.bytes);
  }

  bool is_ended = false;  ///< nothing comes behind what is on its way

 private:
  std::deque<Message> messages_;
  std::uint64_t written_ = 0;
  std::uint64_t in_order_ = 0;
};

}  // namespace sealine::sim
