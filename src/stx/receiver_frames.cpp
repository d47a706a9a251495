// The receiver of files: frames, blocks and their acknowledgement.   spec: stx.md#acknowledgement

#include "sealine/base/assert.hpp"
#include "stx/detail/receiver_machine.hpp"

#include <algorithm>

namespace sealine::stx {

using detail::ArrivedFrame;
using detail::LaneTimer;
using detail::ReceiveItem;
using detail::ReceiveLane;
using detail::ReceiveLife;
using detail::SessionState;

Result<FrameSlot> Receiver::Machine::expect(LaneId number, FrameHead head, TimePoint now) {
  SEALINE_ASSERT(number < kMaxLanes);
  ReceiveLane& lane = lanes[number];
  // CLOSE was the last frame of its direction.
  if (state == SessionState::closed || !lane.open || lane.peer_closed) {
    return fail(Errc::wrong_state);
  }
  if (lane.arrivals.is_full() || lane.arrivals.next_counter() >= kMaxFrames) {
    return fail(Errc::value_too_large);
  }
  FrameSlot slot{.counter = lane.arrivals.next_counter(), .head = head};
  ArrivedFrame frame{.bytes = static_cast<std::uint32_t>(head.frame_bytes())};
  if (!head.is_control()) SEALINE_TRY(expect_block(number, slot, frame));
  lane.arrivals.add(frame);
  lane.timers.set(LaneTimer::silence, now + limits.silence_timeout);
  return slot;
}

Result<> Receiver::Machine::expect_block(LaneId number, FrameSlot& slot, ArrivedFrame& frame) {
  const ReceiveLane& lane = lanes[number];
  if (!lane.selected) return fail(Errc::protocol_broken);
  slot.item = *lane.selected;
  frame.item = slot.item;
  frame.block = slot.head.sequence;
  frame.kind = ArrivedFrame::Kind::nothing;
  ReceiveItem* item = items.find(slot.item);
  const std::uint8_t log2 = item != nullptr ? item->layout.block_log2() : max_block_log2;
  if (slot.head.size_bytes == 0 || slot.head.size_bytes > std::uint32_t{1} << log2) {
    return fail(Errc::protocol_broken);
  }
  if (item == nullptr) return {};  // over: what was on its way is dropped
  if (frame.block >= item->layout.blocks()) return fail(Errc::protocol_broken);

  frame.kind = ArrivedFrame::Kind::block;
  slot.block_bytes = item->layout.block_bytes(frame.block);
  slot.block_log2 = log2;
  slot.compressible = item->compressible;
  slot.size_unknown = !item->layout.is_size_known();
  if (item->life != ReceiveLife::receiving) return {};
  // As many again as may be held: a caller that has more under work has lost count.
  if (item->held.expected() >= kMaxPiecesBehind) return fail(Errc::value_too_large);
  slot.wanted = item->held.expect(frame.block, number);
  return {};
}

Result<BlockForm> Receiver::block_form(const FrameSlot& slot, std::size_t plaintext_bytes) {
  const std::size_t full = std::size_t{1} << slot.block_log2;
  if (plaintext_bytes == 0 || plaintext_bytes > full) return fail(Errc::protocol_broken);
  if (slot.size_unknown || plaintext_bytes == slot.block_bytes) return BlockForm::as_is;
  if (plaintext_bytes == full) return BlockForm::padded;  // the last block, being the shorter one
  if (slot.compressible && plaintext_bytes < slot.block_bytes) return BlockForm::zstd;
  return fail(Errc::protocol_broken);
}

void Receiver::Machine::damaged(LaneId number, const FrameSlot& slot, TimePoint now) {
  SEALINE_ASSERT(number < kMaxLanes);
  ReceiveLane& lane = lanes[number];
  if (state != SessionState::running || !lane.open) return;
  ArrivedFrame* frame = lane.arrivals.find(slot.counter);
  if (frame == nullptr) return;
  if (slot.wanted) {
    if (ReceiveItem* item = items.find(slot.item)) item->held.forget(slot.head.sequence);
  }
  frame->kind = ArrivedFrame::Kind::nothing;
  if (++nak_count >= kMaxNaksOfSession) {
    return give_up(Code::line_damage, {errc_of(Code::line_damage)});
  }
  lane.naks.push_back(slot.counter);
  hand_in(lane, *frame, now);
}

void Receiver::Machine::block(LaneId number, const FrameSlot& slot, const Hash& leaf,
                              std::uint32_t bytes, TimePoint now) {
  SEALINE_ASSERT(number < kMaxLanes);
  ReceiveLane& lane = lanes[number];
  if (state != SessionState::running || !lane.open) return;
  ArrivedFrame* frame = lane.arrivals.find(slot.counter);
  if (frame == nullptr) return;
  ReceiveItem* item = slot.wanted ? items.find(slot.item) : nullptr;
  if (item != nullptr && item->life == ReceiveLife::receiving) {
    if (const auto taken = take_block(*item, slot.head.sequence, bytes, leaf); !taken) {
      return give_up(Code::protocol, taken.error());
    }
  }
  hand_in(lane, *frame, now);
  if (item != nullptr) acknowledge_if_all(*item);
}

Result<> Receiver::Machine::take_block(ReceiveItem& item, std::uint32_t block, std::uint32_t bytes,
                                       const Hash& leaf) {
  if (!item.layout.is_size_known()) {
    // Every block but the last is full; which is the last shows when a short one comes.
    if (bytes < item.layout.full_bytes()) {
      if (item.short_block) return fail(Errc::protocol_broken);
      item.short_block = {.block = block, .bytes = bytes};
    }
    item.highest_block = std::max(item.highest_block, block);
    if (item.short_block && item.highest_block > item.short_block->block) {
      return fail(Errc::protocol_broken);
    }
  }
  item.held.put(block, leaf, item.layout);
  if (item.held.pieces_behind() > kMaxPiecesBehind) return fail(Errc::protocol_broken);
  return {};
}

/// An opened or NAKed frame; those before it that were handed in let it count as received.
void Receiver::Machine::hand_in(ReceiveLane& lane, ArrivedFrame& frame, TimePoint now) {
  frame.handed_in = true;
  while (lane.arrivals.has_received()) {
    const std::uint64_t counter = lane.arrivals.received();
    const ArrivedFrame next = lane.arrivals.take_received();
    if (next.kind == ArrivedFrame::Kind::block) lane.unsafe.add(counter, next.item, next.block);
    lane.pace.handle_received(next.bytes, limits.ack_after, lane.timers, now);
  }
}

/// True if there is news.
bool Receiver::Machine::settle_durable(ReceiveLane& lane) {
  const auto is_durable = [this](ItemId id, std::uint32_t block) {
    const ReceiveItem* item = items.find(id);
    return item == nullptr || block < item->durable;
  };
  const auto are_over = [this](ItemId id) {
    return items.size() == 0 || items.all().front()->id > id;
  };
  return lane.unsafe.settle(is_durable, are_over);
}

/// The sender waits for nothing but this to send END.
void Receiver::Machine::acknowledge_if_all(const ReceiveItem& item) {
  const bool all = item.layout.is_size_known()
                       ? item.held.leading() == item.layout.blocks()
                       : item.short_block && item.held.leading() == item.short_block->block + 1;
  if (!all) return;
  for (ReceiveLane& lane : lanes) {
    if (lane.open && lane.timers.deadline(LaneTimer::acknowledge)) lane.pace.order();
  }
}

void Receiver::Machine::durable(ItemId id, std::uint32_t blocks) {
  ReceiveItem* item = items.find(id);
  if (item == nullptr) return;
  item->durable = std::max(item->durable, std::min(blocks, item->held.leading()));
  for (ReceiveLane& lane : lanes) {
    if (lane.open && settle_durable(lane)) lane.pace.order();
  }
}

}  // namespace sealine::stx
