// The receiver of files: its lanes, its clock, which frame goes next.   spec: stx.md#course

#include "sealine/stx/receiver.hpp"

#include "sealine/base/assert.hpp"
#include "stx/detail/receiver_machine.hpp"

#include <utility>

namespace sealine::stx {

using detail::LaneTimer;
using detail::ReceiveItem;
using detail::ReceiveLane;
using detail::ReceiveOrder;
using detail::SessionEvent;
using detail::SessionState;

Receiver::Machine::Machine(const Limits& given, std::uint8_t block_log2, bool zstd,
                           crypto::Engine& crypto, TimePoint now)
    : limits(given), max_block_log2(block_log2), accepts_zstd(zstd), engine(&crypto) {
  open_lane(0, now);
}

// --- lanes

void Receiver::Machine::open_lane(LaneId lane, TimePoint now) {
  SEALINE_ASSERT(lane < kMaxLanes);
  if (lanes[lane].open) lane_ended(lane);
  if (state != SessionState::running) return;
  lanes[lane] = ReceiveLane{};
  lanes[lane].open = true;
  lanes[lane].timers.set(LaneTimer::silence, now + limits.silence_timeout);
  lanes[lane].timers.set(LaneTimer::keep_alive, now + limits.keep_alive_after);
}

void Receiver::Machine::lane_ended(LaneId lane) {
  SEALINE_ASSERT(lane < kMaxLanes);
  if (!lanes[lane].open) return;
  if (lane == 0) {
    end_session(SessionEvent::cut,
                {.code = Code::line_damage, .by_peer = false, .fault = {Errc::truncated}});
  }
  end_lane(lane);
}

// Blocks of which only the head came will come on another lane.
void Receiver::Machine::end_lane(LaneId lane) {
  lanes[lane].open = false;
  lanes[lane].timers.cancel_all();
  for (ReceiveItem* item : items.all()) item->held.forget_lane(lane);
}

// --- time

void Receiver::Machine::timeout(TimePoint now) {
  for (LaneId number = 0; number < kMaxLanes; ++number) {
    ReceiveLane& lane = lanes[number];
    if (!lane.open) continue;
    if (lane.timers.take_due(LaneTimer::acknowledge, now)) lane.pace.order();
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

std::optional<TimePoint> Receiver::Machine::earliest() const {
  if (state == SessionState::closed) return std::nullopt;
  std::optional<TimePoint> first;
  for (const ReceiveLane& lane : lanes) {
    const auto when = lane.open ? lane.timers.earliest() : std::nullopt;
    if (when && (!first || *when < *first)) first = when;
  }
  return first;
}

// --- what goes

std::optional<ControlFrame> Receiver::Machine::next_frame(LaneId number, TimePoint now) {
  SEALINE_ASSERT(number < kMaxLanes);
  ReceiveLane& lane = lanes[number];
  if (!lane.open || lane.close_sent) return std::nullopt;
  auto frame = next_message(number, lane);
  if (frame) {
    lane.keep_alive_due = false;
    lane.timers.set(LaneTimer::keep_alive, now + limits.keep_alive_after);
  }
  return frame;
}

// CLOSE; NAK before the ACK that covers it; ACK; what lane 0 owes; a sign of life. What looks like
// the sender's fault may follow from a frame that was damaged: its NAK goes before that CLOSE.
std::optional<ControlFrame> Receiver::Machine::next_message(LaneId number, ReceiveLane& lane) {
  const bool is_fault = lane.close_due && close_code == Code::protocol;
  if (is_fault && !lane.naks.empty()) return control_frame(lane, Nak{lane.naks.pop_front()});
  if (lane.close_due) {
    lane.close_sent = true;
    return control_frame(lane, Close{close_code});
  }
  if (state != SessionState::running) return std::nullopt;
  if (!lane.naks.empty()) return control_frame(lane, Nak{lane.naks.pop_front()});
  if (lane.pace.is_due()) {
    lane.pace.handle_sent(lane.timers);
    settle_durable(lane);
    const std::uint64_t received = lane.arrivals.received();
    return control_frame(lane, Ack{.received = received, .durable = lane.unsafe.durable(received)});
  }
  if (number == 0 && !orders.empty()) {
    const ReceiveOrder order = std::move(orders.front());
    orders.pop_front();
    if (order.item_over) {
      --open_count;
      open_meta_bytes -= order.meta_bytes;
    }
    return control_frame(lane, order.message);
  }
  if (lane.keep_alive_due) return control_frame(lane, KeepAlive{});
  return std::nullopt;
}

ControlFrame Receiver::Machine::control_frame(ReceiveLane& lane, const Message& message) {
  scratch = encode(message);
  return {.counter = lane.next_counter++,
          .head = {.sequence = kControlSequence | type_of(message),
                   .size_bytes = static_cast<std::uint32_t>(scratch.size())},
          .plaintext = scratch};
}

// --- the end

void Receiver::Machine::order_close(Code code) {
  close_code = code;
  for (ReceiveLane& lane : lanes) lane.close_due = lane.open && !lane.close_sent;
}

void Receiver::Machine::end_session(SessionEvent on, const SessionOver& over) {
  const auto to = detail::next_state(state, on);
  if (!to) return;
  state = *to;
  events.emplace_back(over);
}

void Receiver::Machine::give_up(Code code, Error fault) {
  if (!detail::next_state(state, SessionEvent::given_up)) return;
  order_close(code);
  end_session(SessionEvent::given_up, {.code = code, .by_peer = false, .fault = fault});
}

// --- the class

Receiver::Receiver(const Limits& limits, std::uint8_t max_block_log2, bool accepts_zstd,
                   crypto::Engine& engine, TimePoint now)
    : machine_(std::make_unique<Machine>(limits, max_block_log2, accepts_zstd, engine, now)) {}

Receiver::Receiver(Receiver&&) noexcept = default;
Receiver& Receiver::operator=(Receiver&&) noexcept = default;
Receiver::~Receiver() = default;

void Receiver::handle_lane_opened(LaneId lane, TimePoint now) { machine_->open_lane(lane, now); }

void Receiver::handle_lane_ended(LaneId lane, TimePoint) { machine_->lane_ended(lane); }

Result<FrameSlot> Receiver::expect_frame(LaneId lane, FrameHead head, TimePoint now) {
  return machine_->expect(lane, head, now);
}

void Receiver::handle_damaged(LaneId lane, const FrameSlot& slot, TimePoint now) {
  machine_->damaged(lane, slot, now);
}

void Receiver::handle_message(LaneId lane, const FrameSlot& slot, const Message& message,
                              TimePoint now) {
  machine_->message(lane, slot, message, now);
}

void Receiver::handle_fault(Error fault, TimePoint) { machine_->give_up(Code::protocol, fault); }

void Receiver::handle_block(LaneId lane, const FrameSlot& slot, const Hash& leaf,
                            std::uint32_t block_bytes, TimePoint now) {
  machine_->block(lane, slot, leaf, block_bytes, now);
}

void Receiver::handle_leaves(ItemId item, std::span<const Hash> leaves, bool ended) {
  machine_->leaves(item, leaves, ended);
}

void Receiver::handle_durable(ItemId item, std::uint32_t blocks) {
  machine_->durable(item, blocks);
}

void Receiver::handle_timeout(TimePoint now) { machine_->timeout(now); }

void Receiver::answer(ItemId item, const MetaAnswer& answer) { machine_->answer(item, answer); }

void Receiver::finish(ItemId item, Code code, std::vector<EntryCode> entries) {
  machine_->finish(item, code, std::move(entries));
}

void Receiver::refuse(ItemId item, Code code) { machine_->refuse(item, code); }

void Receiver::close(Code code) {
  SEALINE_ASSERT(code != Code::normal);
  machine_->give_up(code, {});
}

std::optional<ControlFrame> Receiver::poll_frame(LaneId lane, TimePoint now) {
  return machine_->next_frame(lane, now);
}

std::optional<TimePoint> Receiver::poll_timeout() const { return machine_->earliest(); }

std::optional<Receiver::Event> Receiver::poll_event() {
  if (machine_->events.empty()) return std::nullopt;
  Event event = std::move(machine_->events.front());
  machine_->events.pop_front();
  return event;
}

Sender::State Receiver::state() const noexcept { return machine_->state; }

std::uint32_t Receiver::leading_blocks(ItemId item) const noexcept {
  const ReceiveItem* found = machine_->items.find(item);
  return found == nullptr ? 0 : found->held.leading();
}

}  // namespace sealine::stx
