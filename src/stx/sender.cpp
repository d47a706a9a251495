// The sender of files: its lanes, its clock, what the caller asks of it.   spec: stx.md#course

#include "sealine/stx/sender.hpp"

#include "sealine/base/assert.hpp"
#include "stx/detail/sender_machine.hpp"

#include <algorithm>
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

Sender::Machine::Machine(const Limits& given, ZeroRuns& holes, crypto::Engine& crypto,
                         TimePoint now)
    : limits(given), zeros(&holes), engine(&crypto), window(given.window_bytes) {
  open_lane(0, now);
}

// --- lanes

void Sender::Machine::open_lane(LaneId lane, TimePoint now) {
  SEALINE_ASSERT(lane < kMaxLanes);
  if (lanes[lane].open) lane_ended(lane);
  if (state != State::running) return;
  lanes[lane] = SendLane{};
  lanes[lane].open = true;
  lanes[lane].timers.set(LaneTimer::silence, now + limits.silence_timeout);
  lanes[lane].timers.set(LaneTimer::keep_alive, now + limits.keep_alive_after);
}

void Sender::Machine::lane_ended(LaneId lane) {
  SEALINE_ASSERT(lane < kMaxLanes);
  if (!lanes[lane].open) return;
  if (lane == 0) {
    end_session(SessionEvent::cut,
                {.code = Code::line_damage, .by_peer = false, .fault = {Errc::truncated}});
  }
  end_lane(lane);
}

// Its blocks that `received` does not cover go to the others, under their counters.
void Sender::Machine::end_lane(LaneId lane) {
  SendLane& ended = lanes[lane];
  ended.open = false;
  ended.timers.cancel_all();
  if (state != State::running) return;
  auto& frames = ended.frames.waiting();
  for (std::size_t i = 0; i < frames.size(); ++i) {
    SentFrame& frame = frames[i];
    if (frame.kind != SentFrame::Kind::block || frame.naked) continue;
    frame.naked = true;
    SendItem* item = items.find(frame.item);
    if (item == nullptr || item->life != SendLife::sending) {
      window.cover(frame.place);
      continue;
    }
    item->blocks.find(frame.block)->flight = SentBlock::Flight::due;
    resends.push_back({.item = frame.item, .block = frame.block});
  }
}

// --- time

void Sender::Machine::timeout(TimePoint now) {
  poll_again = false;
  for (LaneId number = 0; number < kMaxLanes; ++number) {
    SendLane& lane = lanes[number];
    if (!lane.open) continue;
    if (lane.timers.take_due(LaneTimer::keep_alive, now)) lane.keep_alive_due = true;
    if (!lane.timers.take_due(LaneTimer::silence, now)) continue;
    if (number == 0) {
      return end_session(
          SessionEvent::cut,
          {.code = Code::line_damage, .by_peer = false, .fault = {Errc::idle_timeout}});
    }
    events.emplace_back(LaneSilent{number});
    end_lane(number);
  }
}

std::optional<TimePoint> Sender::Machine::earliest() const {
  if (state == State::closed) return std::nullopt;
  if (poll_again) return TimePoint::min();
  std::optional<TimePoint> first;
  for (const SendLane& lane : lanes) {
    const auto when = lane.open ? lane.timers.earliest() : std::nullopt;
    if (when && (!first || *when < *first)) first = when;
  }
  return first;
}

// --- items

bool Sender::Machine::can_offer() const noexcept {
  return state == State::running && !no_more_items && open_count < kMaxOpenItems &&
         items.size() < 2 * kMaxOpenItems && next_item < 0xFFFFFFFFU &&
         open_meta_bytes + kMaxFrameBytes <= kMaxOpenMetaBytes;
}

ItemId Sender::Machine::offer(Meta meta) {
  SEALINE_ASSERT(can_offer() || state != State::running);
  meta.item = next_item;
  if (state != State::running) return next_item;  // over: nothing comes of it
  const auto total = total_bytes(meta);
  const auto blocks = total ? block_count(*total, meta.block_log2) : std::unexpected(total.error());
  SEALINE_ASSERT(blocks.has_value());

  SendItem& item = items.open(meta.item, meta.item, meta.block_log2, *engine);
  if (!meta.size_unknown) {
    item.layout.set_size(*total, *blocks);
    item.readable_blocks = *blocks;
  }
  item.size_untold = meta.size_unknown;
  item.entry_count = meta.entries.size();
  item.meta = encode(meta);
  item.meta_bytes = item.meta.size();
  ++next_item;
  ++open_count;
  open_meta_bytes += item.meta_bytes;
  orders.push_back({.kind = detail::SendOrder::Kind::meta, .item = item.id});
  return item.id;
}

void Sender::Machine::supply(ItemId id, std::uint32_t blocks,
                             std::optional<std::uint64_t> size_bytes) {
  SendItem* item = items.find(id);
  if (item == nullptr || item->layout.is_size_known()) return;
  SEALINE_ASSERT(!size_bytes || blocks >= item->readable_blocks);
  item->readable_blocks = std::max(item->readable_blocks, blocks);
  if (size_bytes) item->layout.set_size(*size_bytes, blocks);
  settle(*item);
}

void Sender::Machine::drop(ItemId id, Code code) {
  SendItem* item = items.find(id);
  if (item == nullptr || state != State::running || !step(*item, SendLifeEvent::drop_ordered)) {
    return;
  }
  item->drop_code = code;
  --open_count;
  open_meta_bytes -= item->meta_bytes;
  release_due(*item);
  item->proof.reset();
  orders.push_back({.kind = detail::SendOrder::Kind::drop, .item = id});
  close_if_all_over();
}

bool Sender::Machine::step(SendItem& item, SendLifeEvent on) {
  const auto to = detail::next_life(item.life, on);
  if (to) item.life = *to;
  return to.has_value();
}

// What waits to be sent will not be. (What is on its way holds its place until it is covered.)
void Sender::Machine::release_due(SendItem& item) {
  for (std::size_t i = 0; i < item.blocks.size(); ++i) {
    if (item.blocks[i].flight == SentBlock::Flight::due) window.cover(item.blocks[i].place);
  }
}

/// After its life came to `over`.
void Sender::Machine::close_item(SendItem& item) {
  --open_count;
  open_meta_bytes -= item.meta_bytes;
  release_due(item);
  items.close(item.id);
  close_if_all_over();
}

// --- the end

void Sender::Machine::close_if_all_over() {
  if (state != State::running || !no_more_items || open_count > 0) return;
  // DROPs wait in the queue, and CLOSE is the last frame.
  state = *detail::next_state(state, SessionEvent::all_over);
  order_close(Code::normal);
}

void Sender::Machine::order_close(Code code) {
  close_code = code;
  for (SendLane& lane : lanes) lane.close_due = lane.open && !lane.close_sent;
}

void Sender::Machine::end_session(SessionEvent on, const SessionOver& over) {
  const auto to = detail::next_state(state, on);
  if (!to) return;
  state = *to;
  events.emplace_back(over);
}

void Sender::Machine::give_up(Code code, Error fault) {
  if (!detail::next_state(state, SessionEvent::given_up)) return;
  order_close(code);
  end_session(SessionEvent::given_up, {.code = code, .by_peer = false, .fault = fault});
}

// --- the class

Sender::Sender(const Limits& limits, ZeroRuns& zeros, crypto::Engine& engine, TimePoint now)
    : machine_(std::make_unique<Machine>(limits, zeros, engine, now)) {}

Sender::Sender(Sender&&) noexcept = default;
Sender& Sender::operator=(Sender&&) noexcept = default;
Sender::~Sender() = default;

void Sender::handle_lane_opened(LaneId lane, TimePoint now) { machine_->open_lane(lane, now); }

void Sender::handle_lane_ended(LaneId lane, TimePoint) { machine_->lane_ended(lane); }

void Sender::handle_message(LaneId lane, const Message& message, TimePoint now) {
  machine_->message(lane, message, now);
}

void Sender::handle_bad_message(Error fault, TimePoint) {
  machine_->give_up(Code::protocol, fault);
}

void Sender::handle_leaves(ItemId item, std::span<const Hash> leaves) {
  machine_->leaves(item, leaves);
}

void Sender::cannot_read_twice(ItemId item) { machine_->cannot_read_twice(item); }

void Sender::handle_leaf(ItemId item, std::uint32_t block, const Hash& leaf) {
  machine_->leaf(item, block, leaf);
}

void Sender::handle_timeout(TimePoint now) { machine_->timeout(now); }

bool Sender::can_offer() const noexcept { return machine_->can_offer(); }

ItemId Sender::offer(Meta meta, TimePoint) { return machine_->offer(std::move(meta)); }

void Sender::supply(ItemId item, std::uint32_t blocks, std::optional<std::uint64_t> size_bytes) {
  machine_->supply(item, blocks, size_bytes);
}

void Sender::drop(ItemId item, Code code) { machine_->drop(item, code); }

void Sender::finish() {
  machine_->no_more_items = true;
  machine_->close_if_all_over();
}

void Sender::close(Code code) {
  SEALINE_ASSERT(code != Code::normal);
  machine_->give_up(code, {});
}

std::optional<FrameOrder> Sender::poll_frame(LaneId lane, TimePoint now) {
  return machine_->next_frame(lane, now);
}

std::optional<TimePoint> Sender::poll_timeout() const { return machine_->earliest(); }

std::optional<Sender::Event> Sender::poll_event() {
  if (machine_->events.empty()) return std::nullopt;
  Event event = std::move(machine_->events.front());
  machine_->events.pop_front();
  return event;
}

Sender::State Sender::state() const noexcept { return machine_->state; }

}  // namespace sealine::stx
