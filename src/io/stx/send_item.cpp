#include "io/stx/send_item.hpp"

#include <utility>

namespace sealine::io::stx {

Result<const SourceItem*> PlannedContent::open() {
  const std::scoped_lock lock(mutex_);
  if (!item_) item_ = SourceItem::open(*roots_, *plan_, &bad_entry_);
  if (!*item_) return std::unexpected(item_->error());
  return &**item_;
}

Result<> PlannedContent::read(std::uint64_t offset, MutableBytes out) {
  SEALINE_TRY(item, open());
  return item->read(offset, out);
}

std::uint32_t PlannedContent::zero_blocks(std::uint32_t block, std::uint32_t bytes) {
  if (!plan_->is_large_file()) return 0;
  const auto item = open();
  return item ? (*item)->zero_blocks(block, bytes) : 0;
}

Result<> PlannedContent::check_unchanged() {
  SEALINE_TRY(item, open());
  return item->check_unchanged();
}

std::size_t PlannedContent::bad_entry() const {
  const std::scoped_lock lock(mutex_);
  return bad_entry_;
}

}  // namespace sealine::io::stx
