#pragma once

#include "sealine/stx/message.hpp"
#include "stx/detail/ring.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace sealine::stx::detail {

/// Which blocks the received frames of one lane hold that are not durable yet, and so how far
/// ACK.durable may go. spec: stx.md#acknowledgement
///
/// Where durability lags so far that the marks are full, one mark stands for several frames:
/// durable then comes later, never too early.
class DurableMap {
 public:
  void add(std::uint64_t counter, ItemId item, std::uint32_t block) {
    if (marks_.size() < kMost) {
      marks_.push_back({.counter = counter, .item = item, .block = block});
      return;
    }
    Mark& last = marks_.back();
    if (last.item == item && !last.all_up_to_item) {
      last.block = std::max(last.block, block);
    } else {
      last.all_up_to_item = true;
      last.item = std::max(last.item, item);
    }
  }

  /// Lets go what is durable; true if there was any. `is_durable(item, block)`: the block is inside
  /// the durable leading run, or its item is over. `are_over(item)`: so is every item up to this.
  bool settle(std::predicate<ItemId, std::uint32_t> auto is_durable,
              std::predicate<ItemId> auto are_over) {
    bool any = false;
    while (!marks_.empty()) {
      const Mark& mark = marks_.front();
      const bool passes =
          mark.all_up_to_item ? are_over(mark.item) : is_durable(mark.item, mark.block);
      if (!passes) break;
      marks_.pop_front();
      any = true;
    }
    return any;
  }

  /// ACK.durable, when so many frames are received.
  [[nodiscard]] std::uint64_t durable(std::uint64_t received) const {
    return marks_.empty() ? received : marks_[0].counter;
  }

 private:
  static constexpr std::size_t kMost = 8192;

  struct Mark {
    std::uint64_t counter = 0;  ///< of the first frame that it stands for
    ItemId item = 0;
    std::uint32_t block = 0;      ///< the last
    bool all_up_to_item = false;  ///< frames of several items
  };

  Ring<Mark> marks_;
};

}  // namespace sealine::stx::detail
