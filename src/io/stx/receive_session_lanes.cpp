// A session at its receiver: sockets, frames, batches.   spec: stx.md#frame

#include "io/detail/clock.hpp"
#include "io/stx/receive_session.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/stx/frame.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sealine::io::stx {

namespace core = sealine::stx;
using io::detail::now;

namespace {

/// What a sender gets before it has shown that it sends much.
constexpr std::size_t kFirstSlabBytes = std::size_t{64} << 10U;
/// Less room than this is not worth a read.
constexpr std::size_t kLeastRoomBytes = std::size_t{32} << 10U;
constexpr std::size_t kMaxBatchesInFlight = 2;
/// One read: its frames are looked at while they are in the core's own cache.
constexpr std::size_t kLargestReadBytes = std::size_t{512} << 10U;
/// With more lanes than this their buffers are smaller: all together cost no more memory.
constexpr std::ptrdiff_t kLanesWithFullSlabs = 4;
/// Holds any frame.
constexpr std::size_t kSmallSlabBytes = kSlabBytes / 4;
static_assert(kSmallSlabBytes >
              (std::size_t{1} << core::kMaxBlockLog2) + core::kFrameOverheadBytes);
/// Content of packs that is on its way to its places.
constexpr std::size_t kMaxStagedBytes = std::size_t{12} << 20U;
/// One turn reads no more, so that other senders have theirs.
constexpr std::size_t kTurnBytes = std::size_t{8} << 20U;

}  // namespace

void ReceiveSession::attach(OpenedLane opened) {
  const auto lane = std::make_shared<Lane>();
  lane->id = opened.keys.client.lane;
  lane->socket = std::make_shared<LaneSocket>(std::move(opened.socket), nullptr, shared_->shelf);
  lane->keys = std::make_shared<const LaneKeys>(
      LaneKeys{std::move(opened.keys.send_key), std::move(opened.keys.receive_key)});
  lane->slab = Slab(std::max(kFirstSlabBytes, opened.received.size()));
  std::ranges::copy(opened.received, lane->slab.data());
  lane->end = opened.received.size();
  if (const LanePtr old = lanes_[lane->id]) {
    // Its client has given it up; blocks of it may still be written.
    old->has_ended = true;
    old->socket->close();
    settle_end(old);
    if (lanes_[lane->id] == old) return;  // comes again when that is over
  }
  lanes_[lane->id] = lane;
  if (lane->id != 0) machine_->handle_lane_opened(lane->id, now());

  const std::weak_ptr<ReceiveSession> weak = weak_from_this();
  const std::weak_ptr<Lane> weak_lane = lane;
  const auto with = [weak, weak_lane](auto&& action) {
    const auto self = weak.lock();
    const auto alive = weak_lane.lock();
    if (self && alive && !self->over_) action(*self, alive);
  };
  lane->socket->start({
      .readable =
          [with] { with([](ReceiveSession& self, const LanePtr& l) { self.readable(l); }); },
      .sent = [with] { with([](ReceiveSession& self, const LanePtr&) { self.pump(); }); },
      .failed =
          [with](const Error&) {
            with([](ReceiveSession& self, const LanePtr& l) { self.lane_ended(l); });
          },
  });
  net::post(executor_, [with] {
    with([](ReceiveSession& self, const LanePtr& l) {
      if (self.scan(l)) self.readable(l);
    });
  });
}

// --- in

bool ReceiveSession::must_pause(const Lane& lane) const {
  return lane.in_flight >= kMaxBatchesInFlight || staged_bytes_ > kMaxStagedBytes;
}

void ReceiveSession::resume_reading() {
  for (const LanePtr& lane : lanes_) {
    if (!lane || !lane->is_paused || must_pause(*lane)) continue;
    lane->is_paused = false;
    lane->socket->want_read();
  }
}

void ReceiveSession::readable(const LanePtr& lane) {
  if (over_ || lanes_[lane->id] != lane || lane->has_ended) return;
  std::size_t turn = 0;
  bool is_dry = false;
  while (!is_dry && turn < kTurnBytes) {
    if (must_pause(*lane)) {
      lane->is_paused = true;
      return pump();
    }
    make_room(lane);
    std::size_t got = 0;
    const bool is_open = receive(lane, got);
    is_dry = got == 0;
    turn += got;
    if (!is_open) return lane_ended(lane);
    if (got != 0 && !scan(lane)) return;
  }
  if (lane->batch) dispatch(lane);
  if (over_ || lanes_[lane->id] != lane) return;
  if (must_pause(*lane)) {
    lane->is_paused = true;
  } else {
    lane->socket->want_read(missing_bytes(*lane));
  }
  pump();
}

bool ReceiveSession::receive(const LanePtr& lane, std::size_t& got) {
  MutableBytes room = lane->slab.bytes().subspan(lane->end);
  room = room.first(std::min(room.size(), kLargestReadBytes));
  const auto result = lane->socket->receive(room, got);
  lane->end += got;
  if (got == room.size()) lane->wants_large = true;
  return result != LaneSocket::Received::end;
}

std::size_t ReceiveSession::missing_bytes(const Lane& lane) const {
  const std::size_t held = lane.end - lane.begin;
  if (held < core::kFrameHeadBytes) return 1;
  const auto head = core::parse_frame_head(
      lane.slab.bytes().subspan(lane.begin).first<core::kFrameHeadBytes>(), core::Side::client);
  return head && head->frame_bytes() > held ? head->frame_bytes() - held : 1;
}

std::size_t ReceiveSession::large_slab_bytes() const {
  const auto lanes =
      std::ranges::count_if(lanes_, [](const LanePtr& lane) { return lane != nullptr; });
  return lanes > kLanesWithFullSlabs ? kSmallSlabBytes : kSlabBytes;
}

Slab ReceiveSession::take_slab(std::size_t bytes) {
  return bytes == kSlabBytes ? shared_->shelf->take() : Slab(bytes);
}

/// Room for the rest of the frame that has begun, and worth a read.
void ReceiveSession::make_room(const LanePtr& lane) {
  const std::size_t held = lane->end - lane->begin;
  const std::size_t missing = missing_bytes(*lane);
  if (lane->slab.capacity() - lane->end >= std::max(missing, kLeastRoomBytes)) return;
  if (lane->batch) dispatch(lane);
  const bool is_large = lane->wants_large || held + missing > kFirstSlabBytes / 2;
  const std::size_t wanted = is_large ? large_slab_bytes() : kFirstSlabBytes;
  Slab old;
  if (lane->slab.capacity() < wanted) old = std::exchange(lane->slab, take_slab(wanted));
  const std::uint8_t* const from = (old.empty() ? lane->slab : old).data() + lane->begin;
  if (held != 0) std::memmove(lane->slab.data(), from, held);
  lane->begin = 0;
  lane->end = held;
}

bool ReceiveSession::scan(const LanePtr& lane) {
  while (lane->end - lane->begin >= core::kFrameHeadBytes) {
    const MutableBytes in = lane->slab.bytes().subspan(lane->begin, lane->end - lane->begin);
    const auto head = core::parse_frame_head(in.first<core::kFrameHeadBytes>(), core::Side::client);
    if (!head) {
      die(head.error());
      return false;
    }
    if (in.size() < head->frame_bytes()) break;
    lane->begin += head->frame_bytes();
    if (!take_frame(lane, in.first(head->frame_bytes()), *head)) return false;
    if (over_ || lanes_[lane->id] != lane) return false;
  }
  return true;
}

bool ReceiveSession::take_frame(const LanePtr& lane, MutableBytes frame, core::FrameHead head) {
  const auto slot = machine_->expect_frame(lane->id, head, now());
  if (!slot) {
    die(slot.error());
    return false;
  }
  if (!core::has_valid_crc(frame)) {
    machine_->handle_damaged(lane->id, *slot, now());
    drain_events();
    return !over_;
  }
  if (!head.is_control()) {
    InFrame in;
    in.frame = frame;
    in.slot = *slot;
    if (slot->wanted) {
      if (const auto found = items_.find(slot->item); found != items_.end())
        in.item = found->second;
    }
    if (!lane->batch) {
      lane->batch = std::make_shared<OpenBatch>();
      lane->batch->keys = lane->keys;
    }
    lane->batch->frames.push_back(std::move(in));
    return true;
  }
  const auto plain =
      core::open_frame(thread_engine(), lane->keys->receive, slot->counter, 0, frame);
  if (!plain) {
    die(plain.error());
    return false;
  }
  const auto message = core::parse_message(head.type(), *plain, core::Side::client);
  if (message) {
    machine_->handle_message(lane->id, *slot, *message, now());
  } else {
    machine_->handle_fault(message.error(), now());
  }
  // What it says may be about the next frame.
  drain_events();
  return !over_;
}

void ReceiveSession::dispatch(const LanePtr& lane) {
  const auto batch = std::exchange(lane->batch, nullptr);
  if (shared_->work.blocks_inline) {
    batch->run(thread_engine());
    return opened(lane, *batch);
  }
  // The frames go with their slab; what is left moves to another.
  const std::size_t large = large_slab_bytes();
  batch->slab = std::exchange(lane->slab, take_slab(lane->wants_large ? large : kFirstSlabBytes));
  const std::size_t held = lane->end - lane->begin;
  if (held > lane->slab.capacity()) lane->slab = take_slab(std::max(held, large));
  if (held != 0) std::memcpy(lane->slab.data(), batch->slab.data() + lane->begin, held);
  lane->begin = 0;
  lane->end = held;
  ++lane->in_flight;
  ++jobs_;
  shared_->pool->post([self = shared_from_this(), lane, batch]() mutable {
    batch->run(thread_engine());
    const net::any_io_executor executor = self->executor_;
    net::post(executor, [self = std::move(self), lane, batch = std::move(batch)] {
      --lane->in_flight;
      --self->jobs_;
      self->opened(lane, *batch);
      self->shared_->shelf->give(std::move(batch->slab));
      self->settle_end(lane);
      self->resume_reading();
      self->pump();
      self->end_when_done();
    });
  });
}

void ReceiveSession::opened(const LanePtr& lane, OpenBatch& batch) {
  if (over_) return;
  for (std::size_t i = 0; i < batch.opened; ++i) {
    InFrame& in = batch.frames[i];
    if (in.write_error && !in.item->is_over) refuse(in.slot.item, *in.write_error);
    machine_->handle_block(lane->id, in.slot, in.leaf, in.block_bytes, now());
    if (in.item && !in.write_error) block_written(in.item, in.block_bytes);
  }
  pump_again_ = true;
  switch (batch.verdict) {
    case OpenBatch::Verdict::good:
      return;
    case OpenBatch::Verdict::forged:
      return die(batch.error);
    case OpenBatch::Verdict::illegal:
      machine_->handle_fault(batch.error, now());
      return drain_events();
  }
}

// --- out

void ReceiveSession::write_frames(const LanePtr& written) {
  const LanePtr lane = written;  // a write that fails ends the lane and takes it out of lanes_
  std::shared_ptr<SealBatch> batch;
  const auto send = [&] {
    batch->run(thread_engine());
    batch->out->is_ready = true;
    lane->socket->enqueue(std::move(batch->out));
    batch = nullptr;
  };
  while (lane->socket->is_open()) {
    const auto frame = machine_->poll_frame(lane->id, now());
    if (!frame) break;
    const std::size_t bytes = frame->head.frame_bytes();
    if (batch && batch->room() < bytes) send();
    if (!batch) {
      batch = std::make_shared<SealBatch>();
      batch->keys = lane->keys;
      batch->out = std::make_shared<OutBatch>();
      batch->out->slab = Slab(std::max<std::size_t>(bytes, 1024));
    }
    batch->add(thread_engine(), *frame);
    pump_again_ = true;
  }
  if (batch) send();
  lane->socket->flush();
}

// --- the end

void ReceiveSession::lane_ended(const LanePtr& lane) {
  if (lanes_[lane->id] != lane) return;
  lane->has_ended = true;
  if (lane->batch) dispatch(lane);
  settle_end(lane);
  pump();
}

void ReceiveSession::settle_end(const LanePtr& lane) {
  if (over_ || !lane->has_ended || lane->in_flight != 0 || lanes_[lane->id] != lane) return;
  lanes_[lane->id] = nullptr;
  lane->socket->close();
  machine_->handle_lane_ended(lane->id, now());
}

/// Tampering, or damage that cannot be told from it: not a word to the peer.
void ReceiveSession::die(const Error& error) {
  if (over_) return;
  if (!end_.error) end_.error = error;
  end_.code = Code::line_damage;
  for (LanePtr& lane : lanes_) {
    if (lane) lane->socket->close();
    lane = nullptr;
  }
  finish_disk();
}

}  // namespace sealine::io::stx
