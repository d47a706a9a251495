#pragma once

#include "sealine/base/assert.hpp"
#include "sealine/stx/message.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace sealine::stx::detail {

/// The items of a session that are not over: at most `N`, found by number, walked in the order of
/// META. Finding the one found last costs a comparison.
template <class Item, std::size_t N>
class ItemTable {
 public:
  ItemTable() { ids_.fill(kNobody); }

  /// `id` is larger than all before it.
  template <class... Arguments>
  Item& open(ItemId id, Arguments&&... arguments) {
    const auto free = std::ranges::find(ids_, kNobody);
    SEALINE_ASSERT(free != ids_.end());
    const auto slot = static_cast<std::size_t>(free - ids_.begin());
    items_[slot] = std::make_unique<Item>(std::forward<Arguments>(arguments)...);
    ids_[slot] = id;
    order_.push_back(items_[slot].get());
    return *items_[slot];
  }

  void close(ItemId id) {
    const auto slot = std::ranges::find(ids_, id);
    if (slot == ids_.end() || id == kNobody) return;
    std::unique_ptr<Item>& item = items_[static_cast<std::size_t>(slot - ids_.begin())];
    std::erase(order_, item.get());
    item.reset();
    *slot = kNobody;
  }

  [[nodiscard]] Item* find(ItemId id) {
    if (ids_[last_] == id) return items_[last_].get();
    const auto slot = std::ranges::find(ids_, id);
    if (slot == ids_.end() || id == kNobody) return nullptr;
    last_ = static_cast<std::size_t>(slot - ids_.begin());
    return items_[last_].get();
  }

  /// In the order of META; not to be walked while items are opened or closed.
  [[nodiscard]] std::span<Item* const> all() const noexcept { return order_; }

  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }

 private:
  static constexpr ItemId kNobody = 0xFFFFFFFFU;  ///< no session comes so far

  std::array<ItemId, N> ids_{};
  std::array<std::unique_ptr<Item>, N> items_;
  std::vector<Item*> order_;
  std::size_t last_ = 0;
};

}  // namespace sealine::stx::detail
