// The sender of files: what the receiver says, and what follows from it.   spec: stx.md#course

#include "sealine/base/assert.hpp"
#include "stx/detail/sender_machine.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace sealine::stx {

using detail::LaneTimer;
using detail::SendItem;
using detail::SendLane;
using detail::SendLife;
using detail::SendLifeEvent;
using detail::SentBlock;
using detail::SentFrame;
using detail::SessionEvent;

namespace {

/// What lanes other than 0 carry.
bool is_for_any_lane(const Message& message) {
  return std::holds_alternative<Ack>(message) || std::holds_alternative<Nak>(message) ||
         std::holds_alternative<KeepAlive>(message) || std::holds_alternative<Close>(message);
}

}  // namespace

Result<> Sender::Machine::on(LaneId, const auto& message) {
  if constexpr (std::is_same_v<std::remove_cvref_t<decltype(message)>, KeepAlive>) {
    return {};
  } else {
    return fail(Errc::protocol_broken);
  }
}

void Sender::Machine::message(LaneId lane, const Message& message, TimePoint now) {
  SEALINE_ASSERT(lane < kMaxLanes);
  if (state == State::closed || !lanes[lane].open) return;
  lanes[lane].timers.set(LaneTimer::silence, now + limits.silence_timeout);
  Result<> taken = fail(Errc::protocol_broken);
  if (lane == 0 || is_for_any_lane(message)) {
    taken = std::visit([&](const auto& what) { return on(lane, what); }, message);
  }
  if (!taken) give_up(Code::protocol, taken.error());
}

// --- META_OK, RESUME, RESUME_OK

Result<> Sender::Machine::on(LaneId, const MetaOk& message) {
  // In the order of META; an item that was over before it has none.
  if (message.item < next_answer || message.item >= metas_sent) return fail(Errc::protocol_broken);
  for (const SendItem* before : items.all()) {
    if (before->id < message.item && before->life == SendLife::offered) {
      return fail(Errc::protocol_broken);
    }
  }
  next_answer = message.item + 1;
  SendItem* item = items.find(message.item);
  if (item == nullptr) return fail(Errc::protocol_broken);
  // Of a size that META did not tell, more may be there than there is to send by now.
  const std::uint32_t most = item->size_untold ? kMaxBlocks : item->layout.blocks();
  if (message.have > most) return fail(Errc::protocol_broken);
  const bool was_dropped = item->life == SendLife::dropped;
  const SendLifeEvent what = message.code != Code::normal ? SendLifeEvent::refused
                             : message.have == 0          ? SendLifeEvent::accepted_new
                                                          : SendLifeEvent::accepted_have;
  if (!step(*item, what)) return fail(Errc::protocol_broken);
  if (was_dropped) return {};

  events.emplace_back(ItemAnswered{.item = item->id, .code = message.code});
  if (what == SendLifeEvent::refused) {
    close_item(*item);
  } else if (what == SendLifeEvent::accepted_new) {
    start(*item, 0);
  } else {
    item->proof.emplace(*engine, message.have);
    events.emplace_back(LeavesWanted{.item = item->id, .count = message.have});
  }
  return {};
}

void Sender::Machine::leaves(ItemId id, std::span<const Hash> leaves) {
  SendItem* item = items.find(id);
  if (state != State::running || item == nullptr || item->life != SendLife::proving) return;
  item->proof->add(leaves);
  if (!item->proof->is_complete()) return;
  item->proof->finish();
  step(*item, SendLifeEvent::roots_known);
  orders.push_back({.kind = detail::SendOrder::Kind::resume, .item = id});
}

void Sender::Machine::cannot_read_twice(ItemId id) {
  SendItem* item = items.find(id);
  if (state != State::running || item == nullptr || !step(*item, SendLifeEvent::roots_unknown)) {
    return;
  }
  start(*item, 0);
}

Result<> Sender::Machine::on(LaneId, const ResumeOk& message) {
  SendItem* item = items.find(message.item);
  if (item == nullptr || message.item >= metas_sent) return fail(Errc::protocol_broken);
  if (item->life == SendLife::dropped) return {};
  if (item->life != SendLife::resuming || !item->proof->is_start(message.start)) {
    return fail(Errc::protocol_broken);
  }
  step(*item, SendLifeEvent::start_known);
  start(*item, message.start);
  return {};
}

void Sender::Machine::start(SendItem& item, std::uint32_t block) {
  item.next_block = block;
  if (block > 0) item.tree = item.proof->tree_of(block);
  item.proof.reset();
  events.emplace_back(ItemStarted{.item = item.id, .start = block});
  settle(item);
}

// --- ACK, NAK

Result<> Sender::Machine::on(LaneId number, const Ack& message) {
  SendLane& lane = lanes[number];
  SEALINE_TRY(lane.frames.check(message));
  while (lane.frames.has_covered(message)) {
    const std::uint64_t counter = lane.frames.received();
    const SentFrame frame = lane.frames.take_covered();
    if (frame.naked) continue;
    if (frame.kind == SentFrame::Kind::block) {
      lane.durable.add({.counter = counter, .item = frame.item, .block = frame.block});
    }
    covered(frame);
  }
  lane.frames.set_durable(message.durable);
  tell_durable(lane, message.durable);
  return {};
}

void Sender::Machine::covered(const SentFrame& frame) {
  if (frame.kind == SentFrame::Kind::control) return;
  SendItem* item = items.find(frame.item);
  if (frame.kind == SentFrame::Kind::drop) {
    step(*item, SendLifeEvent::drop_covered);
    items.close(frame.item);
    return;
  }
  window.cover(frame.place);
  if (item == nullptr || item->life != SendLife::sending) return;
  item->blocks.find(frame.block)->flight = SentBlock::Flight::covered;
  settle(*item);
}

// `durable` speaks of the leading run: a frame below it says that all blocks up to its own are
// there. (BlocksDurable may come again for the same run; it never speaks of less within an item.)
void Sender::Machine::tell_durable(SendLane& lane, std::uint64_t durable) {
  std::optional<BlocksDurable> news;
  while (lane.durable.has_below(durable)) {
    const auto mark = lane.durable.take();
    if (items.find(mark.item) == nullptr) continue;
    if (news && news->item != mark.item) {
      events.emplace_back(*news);
      news.reset();
    }
    if (!news) news = BlocksDurable{.item = mark.item, .blocks = 0};
    news->blocks = std::max(news->blocks, mark.block + 1);
  }
  if (news) events.emplace_back(*news);
}

Result<> Sender::Machine::on(LaneId number, const Nak& message) {
  SEALINE_TRY(frame, lanes[number].frames.take_nak(message.frame));
  if (frame.kind != SentFrame::Kind::block) {
    // What comes after it cannot have been understood.
    give_up(Code::line_damage, {errc_of(Code::line_damage)});
    return {};
  }
  SendItem* item = items.find(frame.item);
  if (item == nullptr || item->life != SendLife::sending) {
    window.cover(frame.place);
    return {};
  }
  SentBlock& block = *item->blocks.find(frame.block);
  if (++block.naks >= kMaxNaksOfBlock) {
    give_up(Code::line_damage, {errc_of(Code::line_damage)});
    return {};
  }
  block.flight = SentBlock::Flight::due;
  resends.push_back({.item = frame.item, .block = frame.block});
  return {};
}

void Sender::Machine::leaf(ItemId id, std::uint32_t number, const Hash& leaf) {
  SendItem* item = items.find(id);
  if (item == nullptr) return;
  SentBlock* block = item->blocks.find(number);
  if (block == nullptr || block->zero) return;
  block->leaf = leaf;
  block->leaf_known = true;
  if (block->flight == SentBlock::Flight::covered) settle(*item);
}

/// What is covered goes into the tree; when that is all, END follows.
void Sender::Machine::settle(SendItem& item) {
  item.blocks.settle(item.tree, item.zeros, item.layout);
  const bool all =
      item.layout.is_size_known() && item.next_block == item.layout.blocks() && item.blocks.empty();
  if (!all || !step(item, SendLifeEvent::all_covered)) return;
  orders.push_back({.kind = detail::SendOrder::Kind::end, .item = item.id});
}

// --- DONE, CLOSE

Result<> Sender::Machine::on(LaneId, const Done& message) {
  SendItem* item = items.find(message.item);
  if (item == nullptr || message.item >= metas_sent) return fail(Errc::protocol_broken);
  for (const EntryCode& entry : message.entries) {
    if (entry.entry >= item->entry_count) return fail(Errc::protocol_broken);
  }
  const bool was_dropped = item->life == SendLife::dropped;
  if (!step(*item,
            message.code == Code::normal ? SendLifeEvent::done : SendLifeEvent::done_with_code)) {
    return fail(Errc::protocol_broken);
  }
  if (was_dropped) return {};
  events.emplace_back(
      ItemOver{.item = message.item, .code = message.code, .entries = message.entries});
  close_item(*item);
  return {};
}

Result<> Sender::Machine::on(LaneId number, const Close& message) {
  SendLane& lane = lanes[number];
  if (message.code != Code::normal) {
    order_close(message.code);
    end_session(SessionEvent::peer_closed, {.code = message.code, .by_peer = true, .fault = {}});
    return {};
  }
  if (number != 0) {
    lane.close_due = !lane.close_sent;
    if (state == State::running) {
      end_lane(number);
      lane.open = true;  // for our CLOSE alone
    }
    return {};
  }
  // Before ours it ends a session whose items are not over.
  if (state != State::closing || !lane.close_sent) return fail(Errc::protocol_broken);
  end_session(SessionEvent::answered, {.code = Code::normal, .by_peer = false, .fault = {}});
  return {};
}

}  // namespace sealine::stx
