#pragma once

#include "sealine/base/bytes.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/way.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace sealine::sim {

using Octets = std::vector<std::uint8_t>;

/// One direction of a WebSocket: whole binary messages, in order.
class SttLine final : public Way {
 public:
  void write(ByteView message) override {
    if (is_deaf) return;
    bytes_ += message.size();
    if (seen_.size() < kSeen) seen_.emplace_back(message.begin(), message.end());
    messages_.push_back({.bytes = {message.begin(), message.end()}, .is_forged = false});
  }

  [[nodiscard]] bool empty() const { return messages_.empty(); }

  [[nodiscard]] bool is_full() const override { return !is_deaf && bytes_ >= capacity; }

  /// The next message. One that an attacker made or moved says so.
  [[nodiscard]] std::pair<Octets, bool> take() {
    Message front = std::move(messages_.front());
    messages_.pop_front();
    bytes_ -= front.bytes.size();
    return {std::move(front.bytes), front.is_forged};
  }

  void drop_all() override {
    messages_.clear();
    bytes_ = 0;
  }

  /// What an attacker does to what is on its way; `other` is something that he has seen.
  void tamper(const Octets* other, Dice& dice) {
    const std::size_t at = dice.below(messages_.size());
    switch (dice.below(5)) {
      case 0:
      case 1: {
        Message& message = messages_[at];
        message.bytes[dice.below(message.bytes.size())] ^=
            static_cast<std::uint8_t>(1U << dice.below(8));
        message.is_forged = true;
        return;
      }
      case 2:
        bytes_ -= messages_[at].bytes.size();
        messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(at));
        if (at < messages_.size()) messages_[at].is_forged = true;  // it comes too early
        return;
      case 3: {
        Message again = messages_[at];
        again.is_forged = true;
        bytes_ += again.bytes.size();
        messages_.insert(messages_.begin() + static_cast<std::ptrdiff_t>(at) + 1, std::move(again));
        return;
      }
      default:
        // Not what would come next anyhow.
        if (other == nullptr || *other == messages_[at].bytes) return;
        bytes_ += other->size();
        messages_.insert(messages_.begin() + static_cast<std::ptrdiff_t>(at),
                         Message{.bytes = *other, .is_forged = true});
        return;
    }
  }

  [[nodiscard]] const std::vector<Octets>& seen() const { return seen_; }

 private:
  static constexpr std::size_t kSeen = 12;

  struct Message {
    Octets bytes;
    bool is_forged = false;
  };

  std::deque<Message> messages_;
  std::vector<Octets> seen_;
  std::size_t bytes_ = 0;
};

}  // namespace sealine::sim
