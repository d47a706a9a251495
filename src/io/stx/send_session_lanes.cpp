// A session at its sender: sockets, frames, batches.   spec: stx.md#frame

#include "io/detail/clock.hpp"
#include "io/stx/send_session.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/stx/frame.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace sealine::io::stx {

namespace core = sealine::stx;
using io::detail::now;

namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10U;
/// Batches of a lane that are sealed or wait for the socket.
constexpr std::size_t kBatchesAhead = 2;
constexpr std::size_t kMaxBatchesAhead = 4;
/// All lanes together: however many there are, a transfer costs no more memory.
constexpr std::size_t kAheadBytes = 8 * kSlabBytes;
/// --compress auto: above so many bytes a second the link is faster than zstd.
constexpr double kFastLink = 250e6;
constexpr std::uint64_t kMeasureBytes = std::uint64_t{4} << 20U;
constexpr std::chrono::milliseconds kLanePause{500};

}  // namespace

// --- lanes

void SendSession::attach(OpenedLane opened, LaneId id) {
  const auto lane = std::make_shared<Lane>();
  lane->id = id;
  lane->socket =
      std::make_shared<LaneSocket>(std::move(opened.socket), shared_->rate, shared_->shelf);
  lane->keys = std::make_shared<const LaneKeys>(
      LaneKeys{std::move(opened.keys.send_key), std::move(opened.keys.receive_key)});
  lane->received = std::move(opened.received);
  lane->received_bytes = lane->received.size();
  shared_->book->add_wire_bytes(opened.wire_bytes);
  lanes_[id] = lane;
  if (id != 0) machine_->handle_lane_opened(id, now());

  const std::weak_ptr<SendSession> weak = weak_from_this();
  const std::weak_ptr<Lane> weak_lane = lane;
  const auto with = [weak, weak_lane](auto&& action) {
    const auto self = weak.lock();
    const auto alive = weak_lane.lock();
    if (self && alive && !self->over_) action(*self, alive);
  };
  lane->socket->start({
      .readable = [with] { with([](SendSession& self, const LanePtr& l) { self.readable(l); }); },
      .sent = [with] { with([](SendSession& self, const LanePtr& l) { self.batch_sent(l); }); },
      .failed =
          [with](const Error&) {
            with([](SendSession& self, const LanePtr& l) {
              self.lane_ended(l);
              self.pump();
            });
          },
  });
  net::post(executor_,
            [with] { with([](SendSession& self, const LanePtr& l) { self.readable(l); }); });
}

void SendSession::open_further_lanes() {
  const std::size_t wanted = std::min(shared_->options->lanes, core::kMaxLanes);
  for (std::size_t id = 1; id < wanted; ++id) {
    if (lanes_[id]) continue;
    net::co_spawn(executor_, dial_further_lane(static_cast<LaneId>(id)), net::detached);
  }
}

net::awaitable<void> SendSession::dial_further_lane(LaneId id) {
  const auto self = shared_from_this();
  for (;;) {
    const auto stop = std::make_shared<HandshakeStop>(executor_);
    dialling_.push_back(stop);
    auto opened = co_await dial_lane(target_, id, stop);
    std::erase(dialling_, stop);
    if (over_ || lanes_[id]) co_return;
    if (opened) {
      attach(std::move(*opened), id);
      pump();
      co_return;
    }
    // The others go on without it meanwhile.
    net::steady_timer pause(executor_);
    pause.expires_after(kLanePause);
    error_code ignored;
    co_await pause.async_wait(net::redirect_error(net::use_awaitable, ignored));
    if (over_ || lanes_[id]) co_return;
  }
}

void SendSession::lane_ended(const LanePtr& lane) {
  if (lanes_[lane->id] != lane) return;
  lanes_[lane->id] = nullptr;
  count_wire(*lane);
  lane->socket->close();
  machine_->handle_lane_ended(lane->id, now());
  if (lane->id == 0) return;
  shared_->book->notice({Notice::Kind::lane_lost, {}, {Errc::connection_lost}});
  open_further_lanes();
}

void SendSession::lane_faulted(const LanePtr& lane, Error error) {
  if (lane->id == 0 && !lane_fault_) lane_fault_ = error;
  lane_ended(lane);
}

void SendSession::count_wire(Lane& lane) {
  const std::uint64_t bytes = lane.socket->sent_bytes() + lane.socket->received_bytes();
  shared_->book->add_wire_bytes(bytes - lane.counted_bytes);
  lane.counted_bytes = bytes;
}

// --- in

void SendSession::readable(const LanePtr& lane) {
  if (lanes_[lane->id] != lane) return;
  for (;;) {
    std::size_t used = 0;
    const MutableBytes in(lane->received.data(), lane->received_bytes);
    while (take_frame(lane, in.subspan(used), used)) {
      if (over_ || lanes_[lane->id] != lane) return pump();
    }
    if (over_ || lanes_[lane->id] != lane) return pump();
    if (used != 0) {
      std::memmove(in.data(), in.data() + used, in.size() - used);
      lane->received_bytes -= used;
    }
    if (lane->received.size() < lane->received_bytes + kReadBytes) {
      lane->received.resize(lane->received_bytes + kReadBytes);
    }
    std::size_t count = 0;
    const auto got =
        lane->socket->receive(MutableBytes(lane->received).subspan(lane->received_bytes), count);
    if (got == LaneSocket::Received::nothing_yet) break;
    if (got == LaneSocket::Received::end) {
      lane_ended(lane);
      return pump();
    }
    lane->received_bytes += count;
  }
  lane->socket->want_read();
  pump();
}

bool SendSession::take_frame(const LanePtr& lane, MutableBytes in, std::size_t& used) {
  if (in.size() < core::kFrameHeadBytes) return false;
  const auto head = core::parse_frame_head(in.first<core::kFrameHeadBytes>(), core::Side::server);
  if (!head) {
    lane_faulted(lane, {Errc::line_damaged});
    return false;
  }
  if (in.size() < head->frame_bytes()) return false;
  const MutableBytes frame = in.first(head->frame_bytes());
  used += frame.size();
  if (!core::has_valid_crc(frame)) {
    lane_faulted(lane, {Errc::line_damaged});
    return false;
  }
  const auto plain =
      core::open_frame(thread_engine(), lane->keys->receive, lane->frames_received++, 0, frame);
  if (!plain) {
    lane_faulted(lane, plain.error());
    return false;
  }
  const auto message = core::parse_message(head->type(), *plain, core::Side::server);
  if (message) {
    machine_->handle_message(lane->id, *message, now());
  } else {
    machine_->handle_bad_message(message.error(), now());
  }
  return true;
}

// --- out

void SendSession::fill(const LanePtr& filled) {
  const LanePtr lane = filled;  // a write that fails ends the lane and takes it out of lanes_
  const std::size_t block = (std::size_t{1} << shared_->block_log2) + core::kFrameOverheadBytes;
  const std::size_t share = kAheadBytes / shared_->options->lanes;
  const std::size_t wanted =
      shared_->work.blocks_inline
          ? kBatchesAhead
          : std::min(kMaxBatchesAhead, kBatchesAhead + shared_->work.threads - 1);
  const std::size_t ahead = std::clamp(share / block, std::size_t{1}, wanted);
  const std::size_t slab_bytes = std::clamp(share / ahead, block, kSlabBytes);
  while (lane->socket->is_open() && lane->socket->queued_batches() < ahead) {
    std::shared_ptr<SealBatch> batch;
    const auto begin = [&](std::size_t least) {
      batch = std::make_shared<SealBatch>();
      batch->keys = lane->keys;
      batch->out = std::make_shared<OutBatch>();
      batch->out->slab = shared_->shelf->take(std::max(slab_bytes, least));
    };
    while (!batch || batch->room() >= block) {
      const auto order = machine_->poll_frame(lane->id, now());
      if (!order) break;
      if (const auto* control = std::get_if<core::ControlFrame>(&*order)) {
        const std::size_t bytes = control->head.frame_bytes();
        if (batch && batch->room() < bytes) dispatch(lane, std::exchange(batch, nullptr));
        if (!batch) begin(bytes);
        batch->add(thread_engine(), *control);
      } else {
        if (!batch) begin(block);
        BlockJob job = job_of(std::get<core::BlockFrame>(*order));
        job.try_compression = wants_compression(*job.item, *lane);
        batch->add(std::move(job));
      }
    }
    if (!batch) return;
    dispatch(lane, std::move(batch));
  }
}

BlockJob SendSession::job_of(const core::BlockFrame& order) {
  const auto found = items_.find(order.item);
  SEALINE_ASSERT(found != items_.end());
  BlockJob job;
  job.order = order;
  job.item = found->second;
  job.offset = static_cast<std::uint64_t>(order.block) * found->second->block_bytes;
  job.is_last = order.block + 1 == found->second->blocks;
  return job;
}

bool SendSession::wants_compression(SendItem& item, const Lane& lane) {
  if (!item.compressible) return false;
  if (shared_->options->compression == Compression::always) return true;
  if (shared_->options->rate_limit == 0) {
    const std::uint64_t sent = lane.socket->sent_bytes();
    const double seconds = std::chrono::duration<double>(now() - began_).count();
    if (sent < kMeasureBytes || static_cast<double>(sent) > kFastLink * seconds) return false;
  }
  return item.sample.wants_block();
}

void SendSession::dispatch(const LanePtr& lane, std::shared_ptr<SealBatch> batch) {
  lane->socket->enqueue(batch->out);
  auto& pieces = lane->sent.emplace_back();
  for (const BlockJob& job : batch->blocks) {
    pieces.push_back({job.item, job.order.block_bytes});
  }
  if (batch->blocks.empty() || shared_->work.blocks_inline) {
    batch->run(thread_engine());
    return batch_sealed(lane, *batch);
  }
  shared_->pool->post([self = shared_from_this(), lane, batch = std::move(batch)]() mutable {
    batch->run(thread_engine());
    const net::any_io_executor executor = self->executor_;
    net::post(executor, [self = std::move(self), lane, batch = std::move(batch)] {
      if (!self->over_) self->batch_sealed(lane, *batch);
      self->pump();
    });
  });
}

void SendSession::batch_sealed(const LanePtr& lane, SealBatch& batch) {
  // Of a lane that has ended its blocks were ordered again: these leaves speak of nothing.
  if (lanes_[lane->id] != lane) return;
  for (BlockJob& job : batch.blocks) {
    shared_->book->add_sent_bytes(job.order.block_bytes);
    if (job.try_compression) job.item->sample.tell(job.order.block_bytes, job.size_bytes);
    if (job.error) {
      source_failed(job.order.item, job.item, *job.error);
    } else if (!job.item->is_dropped) {
      machine_->handle_leaf(job.order.item, job.order.block, job.leaf);
      if (!job.item->plan) shared_->stream->keep_leaf(job.order.block, job.leaf);
    }
  }
  batch.out->is_ready = true;
  pump_again_ = true;
  lane->socket->flush();
}

void SendSession::batch_sent(const LanePtr& lane) {
  if (lane->sent.empty()) return;
  for (const SentPiece& piece : lane->sent.front()) piece.item->sent_bytes += piece.bytes;
  lane->sent.pop_front();
  pump();
}

}  // namespace sealine::io::stx
