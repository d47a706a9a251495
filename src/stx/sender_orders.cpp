// The sender of files: which frame goes next on a lane.   spec: stx.md#course

#include "sealine/base/assert.hpp"
#include "stx/detail/sender_machine.hpp"

#include <algorithm>
#include <utility>

namespace sealine::stx {

using detail::LaneTimer;
using detail::Resend;
using detail::SendItem;
using detail::SendLane;
using detail::SendLife;
using detail::SendOrder;
using detail::SentBlock;
using detail::SentFrame;

// CLOSE with a code at once; what lane 0 owes; what must be sent again; new blocks; a sign of life.
std::optional<FrameOrder> Sender::Machine::next_frame(LaneId number, TimePoint now) {
  SEALINE_ASSERT(number < kMaxLanes);
  SendLane& lane = lanes[number];
  if (!lane.open || lane.close_sent) return std::nullopt;

  std::optional<FrameOrder> frame;
  const bool waits = lane.frames.is_full();
  const bool in_order = number == 0 && state != State::closed && !waits;
  if (in_order) frame = next_order(lane);
  // A DROP stands before CLOSE{0}, or its item would not be over.
  const bool close_now = number != 0 || state == State::closed || orders.empty();
  if (!frame && lane.close_due && close_now) {
    lane.close_sent = true;
    frame = control_frame(lane, Close{close_code});
  }
  if (!frame && state == State::running && !waits) {
    frame = next_resend(lane);
    if (!frame) frame = next_block(number, lane);
    if (!frame && lane.keep_alive_due) frame = control_frame(lane, KeepAlive{});
  }
  if (frame) {
    lane.keep_alive_due = false;
    lane.timers.set(LaneTimer::keep_alive, now + limits.keep_alive_after);
  }
  return frame;
}

std::optional<FrameOrder> Sender::Machine::next_order(SendLane& lane) {
  while (!orders.empty()) {
    const SendOrder order = orders.pop_front();
    SendItem* item = items.find(order.item);
    if (item == nullptr) continue;
    switch (order.kind) {
      case SendOrder::Kind::meta:
        ++metas_sent;
        scratch = std::exchange(item->meta, {});
        return control_bytes(lane, type_of(Meta{}), {});
      case SendOrder::Kind::resume: {
        if (item->life != SendLife::resuming) continue;
        const auto roots = item->proof->roots();
        return control_frame(lane, Resume{.item = item->id,
                                          .run_log2 = item->proof->run_log2(),
                                          .roots = {roots.begin(), roots.end()}});
      }
      case SendOrder::Kind::zero: {
        if (item->life != SendLife::sending) continue;
        SentBlock& run = *item->blocks.find(order.first);
        run.flight = SentBlock::Flight::sent;
        return control_frame(lane, Zero{.item = item->id, .first = run.first, .count = run.count},
                             {.place = run.place,
                              .item = item->id,
                              .block = run.first,
                              .kind = SentFrame::Kind::zero});
      }
      case SendOrder::Kind::end:
        if (item->life != SendLife::ended) continue;
        return control_frame(lane, End{.item = item->id,
                                       .blocks = item->layout.blocks(),
                                       .size_bytes = item->layout.size_bytes(),
                                       .root = item->tree.root()});
      case SendOrder::Kind::drop:
        return control_frame(lane, Drop{.item = item->id, .code = item->drop_code},
                             {.item = item->id, .kind = SentFrame::Kind::drop});
    }
  }
  return std::nullopt;
}

std::optional<FrameOrder> Sender::Machine::next_resend(SendLane& lane) {
  while (!resends.empty()) {
    const Resend next = resends.front();
    SendItem* item = items.find(next.item);
    SentBlock* block = item != nullptr && item->life == SendLife::sending
                           ? item->blocks.find(next.block)
                           : nullptr;
    if (block == nullptr || block->flight != SentBlock::Flight::due) {
      resends.pop_front();
      continue;
    }
    if (lane.selected != next.item) {
      lane.selected = next.item;
      return control_frame(lane, Select{next.item});
    }
    resends.pop_front();
    block->flight = SentBlock::Flight::sent;
    block->leaf_known = false;  // the file may have changed
    return block_frame(lane, *item, next.block, block->place, true);
  }
  return std::nullopt;
}

std::optional<FrameOrder> Sender::Machine::next_block(LaneId number, SendLane& lane) {
  while (SendItem* item = item_to_send()) {
    const std::uint32_t bytes = item->layout.block_bytes(item->next_block);
    if (!window.has_room(bytes)) return std::nullopt;
    if (order_zeros(*item)) {
      if (number == 0) return next_order(lane);
      poll_again = true;
      continue;
    }
    if (lane.selected != item->id) {
      lane.selected = item->id;
      return control_frame(lane, Select{item->id});
    }
    const std::uint32_t block = item->next_block++;
    const std::uint64_t place = window.add(bytes);
    item->blocks.add({.place = place, .first = block});
    return block_frame(lane, *item, block, place, false);
  }
  return std::nullopt;
}

/// The item that blocks were ordered of last, as long as there are any; else the oldest.
SendItem* Sender::Machine::item_to_send() {
  if (current) {
    SendItem* item = items.find(*current);
    if (item != nullptr && item->has_blocks_to_order()) return item;
    current.reset();
  }
  for (SendItem* item : items.all()) {
    if (!item->has_blocks_to_order()) continue;
    current = item->id;
    return item;
  }
  return nullptr;
}

/// A hole at the next block goes as ZERO, on lane 0.
bool Sender::Machine::order_zeros(SendItem& item) {
  const std::uint32_t left = item.readable_blocks - item.next_block;
  const std::uint32_t count = std::min(zeros->zero_blocks(item.id, item.next_block), left);
  if (count == 0) return false;
  item.blocks.add({.place = window.add(0),
                   .first = item.next_block,
                   .count = count,
                   .flight = SentBlock::Flight::due,
                   .zero = true});
  orders.push_back({.kind = SendOrder::Kind::zero, .item = item.id, .first = item.next_block});
  item.next_block += count;
  return true;
}

FrameOrder Sender::Machine::block_frame(SendLane& lane, SendItem& item, std::uint32_t block,
                                        std::uint64_t place, bool resend) {
  const std::uint64_t counter = lane.frames.add(
      {.place = place, .item = item.id, .block = block, .kind = SentFrame::Kind::block});
  return BlockFrame{.counter = counter,
                    .item = item.id,
                    .block = block,
                    .block_bytes = item.layout.block_bytes(block),
                    .resend = resend};
}

ControlFrame Sender::Machine::control_frame(SendLane& lane, const Message& message,
                                            const SentFrame& record) {
  scratch = encode(message);
  return control_bytes(lane, type_of(message), record);
}

ControlFrame Sender::Machine::control_bytes(SendLane& lane, std::uint8_t type,
                                            const SentFrame& record) {
  return {.counter = lane.frames.add(record),
          .head = {.sequence = kControlSequence | type,
                   .size_bytes = static_cast<std::uint32_t>(scratch.size())},
          .plaintext = scratch};
}

}  // namespace sealine::stx
