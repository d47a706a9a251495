// A session at its sender: items, events, time.   spec: stx.md#course

#include "io/stx/send_session.hpp"

#include "io/detail/clock.hpp"
#include "io/stx/progress_pause.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/stx/tree.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

namespace sealine::io::stx {

namespace core = sealine::stx;
using io::detail::now;

namespace {

/// Blocks that are hashed together for a RESUME.
constexpr std::uint32_t kLeavesAtOnce = 16;
constexpr unsigned kMaxTries = 3;

/// The bytes of the first `blocks` blocks.
std::uint64_t bytes_of(const SendItem& item, std::uint32_t blocks) {
  const std::uint64_t bytes = static_cast<std::uint64_t>(blocks) * item.block_bytes;
  return item.plan ? std::min(bytes, item.total_bytes) : bytes;
}

}  // namespace

SendSession::SendSession(const net::any_io_executor& executor, std::shared_ptr<SendShared> shared,
                         std::shared_ptr<const LaneTarget> target, core::ServerParameters server)
    : executor_(executor),
      shared_(std::move(shared)),
      target_(std::move(target)),
      server_(server),
      timer_(executor),
      progress_timer_(executor) {}

void SendSession::start(OpenedLane lane, Done done) {
  done_ = std::move(done);
  machine_.emplace(shared_->options->limits, static_cast<core::ZeroRuns&>(*this), thread_engine(),
                   now());
  began_ = now();
  shared_->block_log2 = std::min(shared_->block_log2, server_.max_block_log2);
  planner_ = std::make_shared<SendPlanner>(executor_, shared_->pool, shared_->roots,
                                           shared_->options->exclude, shared_->book);
  planner_->set_wake([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->pump();
  });
  attach(std::move(lane), 0);
  open_further_lanes();
  report_progress();
  pump();
}

void SendSession::stop() {
  if (over_) return;
  machine_->close(Code::shutting_down);
  lane_fault_ = Error{Errc::cancelled};
  pump();
}

void SendSession::pump() {
  if (over_) return;
  if (pumping_) {
    pump_again_ = true;
    return;
  }
  pumping_ = true;
  const auto self = shared_from_this();
  do {
    pump_again_ = false;
    offer_items();
    for (const LanePtr& lane : lanes_) {
      if (lane && !over_) fill(lane);
    }
    drain_events();
  } while (pump_again_ && !over_);
  pumping_ = false;
  if (!over_) arm_timer();
}

// --- items

bool SendSession::has_more() const {
  if (shared_->stream && !shared_->stream_is_done && !stream_offered_) return true;
  return !planner_->has_ended();
}

void SendSession::offer_items() {
  if (finished_) return;
  if (shared_->stream && !shared_->stream_is_done && !stream_offered_ && machine_->can_offer()) {
    offer_stream();
  }
  while (machine_->can_offer()) {
    auto next = planner_->take();
    if (!next) break;
    offer(std::move(next->plan), next->tries);
  }
  const bool all = !has_more();
  shared_->book->set_offered_all(all && !stream_item_);
  if (all && items_.empty()) {
    finished_ = true;
    machine_->finish();
    pump_again_ = true;
  }
}

void SendSession::offer(std::shared_ptr<const PlannedItem> plan, unsigned tries) {
  const auto item = std::make_shared<SendItem>();
  item->compressible = server_.accepts_zstd && shared_->options->compression != Compression::never;
  item->block_bytes = std::uint32_t{1} << shared_->block_log2;
  item->total_bytes = plan->total_bytes;
  item->blocks = core::block_count(plan->total_bytes, shared_->block_log2).value_or(0);
  item->tries = tries;
  item->content = std::make_shared<PlannedContent>(shared_->roots, plan);
  const ItemId id = machine_->offer(plan->meta(shared_->block_log2, item->compressible), now());
  shared_->book->add_offered(plan->total_bytes);
  item->plan = std::move(plan);
  items_.emplace(id, item);
  pump_again_ = true;
}

void SendSession::offer_stream() {
  stream_offered_ = true;
  const auto item = std::make_shared<SendItem>();
  item->block_bytes = std::uint32_t{1} << shared_->block_log2;
  item->content = shared_->stream;
  core::Meta meta;
  meta.block_log2 = shared_->block_log2;
  meta.size_unknown = true;
  meta.entries.push_back(shared_->stream_entry);
  stream_item_ = machine_->offer(std::move(meta), now());
  items_.emplace(*stream_item_, item);
  stream_supplied();
}

void SendSession::stream_supplied() {
  if (over_ || !stream_item_) return;
  const auto found = items_.find(*stream_item_);
  if (found == items_.end()) return;
  const StreamSource::Supply supply = shared_->stream->supply();
  if (supply.error) {
    source_failed(*stream_item_, found->second, *supply.error);
    return pump();
  }
  found->second->blocks = supply.blocks;
  if (supply.size_bytes) found->second->total_bytes = *supply.size_bytes;
  machine_->supply(*stream_item_, supply.blocks, supply.size_bytes);
  pump();
}

std::uint32_t SendSession::zero_blocks(ItemId id, std::uint32_t block) {
  const auto found = items_.find(id);
  if (found == items_.end()) return 0;
  const SendItem& item = *found->second;
  const std::uint32_t run = item.content->zero_blocks(block, item.block_bytes);
  // The last block is always read: with it the file is looked at again.
  return std::min(run, item.blocks - 1 - std::min(block, item.blocks - 1));
}

std::shared_ptr<SendItem> SendSession::take_item(ItemId id) {
  const auto found = items_.find(id);
  if (found == items_.end()) return nullptr;
  auto item = std::move(found->second);
  items_.erase(found);
  std::erase_if(leaves_, [&](const LeavesJob& job) { return job.id == id; });
  if (stream_item_ == id) stream_item_.reset();
  return item;
}

// --- events

void SendSession::drain_events() {
  while (!over_) {
    auto event = machine_->poll_event();
    if (!event) return;
    pump_again_ = true;
    std::visit([this](const auto& which) { handle(which); }, *event);
  }
}

void SendSession::handle(const core::ItemAnswered& event) {
  if (event.code == Code::normal) return;
  if (const auto item = take_item(event.item)) {
    if (!item->plan) shared_->stream_is_done = true;
    shared_->book->take_back_offered(item->total_bytes);
    shared_->book->item_refused(*item, event.code);
  }
}

void SendSession::handle(const core::LeavesWanted& event) {
  const auto found = items_.find(event.item);
  if (found == items_.end()) return;
  if (!found->second->plan) {
    const auto& leaves = shared_->stream->leaves();
    if (leaves.size() < event.count) return machine_->cannot_read_twice(event.item);
    return machine_->handle_leaves(event.item, std::span(leaves).first(event.count));
  }
  leaves_.push_back({event.item, 0, event.count});
  start_leaves();
}

void SendSession::start_leaves() {
  if (reading_leaves_ || leaves_.empty() || over_) return;
  reading_leaves_ = true;
  LeavesJob& job = leaves_.front();
  const auto item = items_.at(job.id);
  const ItemId id = job.id;
  const std::uint32_t first = job.next;
  const std::uint32_t count = std::min(kLeavesAtOnce, job.count - first);
  const bool is_all = first + count == item->blocks;
  job.next += count;
  if (job.next == job.count) leaves_.pop_front();
  shared_->pool->post([self = shared_from_this(), item, id, first, count, is_all]() mutable {
    const std::size_t stride = item->block_bytes + std::size_t{1};
    Slab slab(stride * count);
    std::vector<ByteView> framed;
    std::optional<Error> error;
    for (std::uint32_t i = 0; i < count && !error; ++i) {
      const std::uint64_t offset = (std::uint64_t{first} + i) * item->block_bytes;
      const std::size_t bytes =
          std::min<std::uint64_t>(item->block_bytes, item->total_bytes - offset);
      const MutableBytes leaf = slab.bytes().subspan(stride * i, bytes + 1);
      leaf[0] = core::kLeafPrefix;
      if (const auto read = item->content->read(offset, leaf.subspan(1)); !read) {
        error = read.error();
      }
      framed.emplace_back(leaf);
    }
    if (!error && is_all) {
      if (const auto same = item->content->check_unchanged(); !same) error = same.error();
    }
    std::vector<core::Hash> leaves(error ? 0 : count);
    if (!error) thread_engine().sha256_many(framed, leaves);
    const net::any_io_executor executor = self->executor_;
    net::post(executor, [self = std::move(self), id, leaves = std::move(leaves), error] {
      self->leaves_read(id, leaves, error);
    });
  });
}

void SendSession::leaves_read(ItemId id, const std::vector<core::Hash>& leaves,
                              std::optional<Error> error) {
  reading_leaves_ = false;
  if (over_) return;
  if (const auto found = items_.find(id); found != items_.end()) {
    if (error) {
      source_failed(id, found->second, *error);
    } else {
      machine_->handle_leaves(id, leaves);
    }
  }
  start_leaves();
  pump();
}

void SendSession::handle(const core::ItemStarted& event) {
  const auto found = items_.find(event.item);
  if (found == items_.end()) return;
  SendItem& item = *found->second;
  item.start = event.start;
  if (item.plan) current_name_ = item.plan->entries.front().entry.name;
  // What is not kept any more cannot be sent again: the receiver has lost what it had.
  if (!item.plan && event.start < shared_->stream->first_kept()) {
    source_failed(event.item, found->second, {Errc::source_changed});
  }
}

void SendSession::handle(const core::BlocksDurable& event) {
  const auto found = items_.find(event.item);
  if (found == items_.end()) return;
  found->second->durable_bytes = bytes_of(*found->second, event.blocks);
  std::uint64_t open_bytes = 0;
  for (const auto& [id, item] : items_) open_bytes += item->durable_bytes;
  shared_->book->durable(open_bytes, now());
  if (!found->second->plan) shared_->stream->release(event.blocks);
}

void SendSession::handle(const core::ItemOver& event) {
  const auto item = take_item(event.item);
  if (!item) return;
  shared_->book->progressed(now());
  if (!item->plan) shared_->stream_is_done = true;
  if (event.code == Code::normal) return shared_->book->item_done(*item, event.entries);
  shared_->book->take_back_offered(item->total_bytes);
  if (event.code == Code::root_differs && item->plan && item->tries == 0) {
    return planner_->plan_again(item->plan, item->tries + 1);
  }
  shared_->book->item_refused(*item, event.code);
}

void SendSession::handle(const core::LaneSilent& event) {
  const LanePtr lane = lanes_[event.lane];
  if (!lane) return;
  lanes_[event.lane] = nullptr;
  count_wire(*lane);
  lane->socket->close();
  shared_->book->notice({Notice::Kind::lane_lost, {}, {Errc::idle_timeout}});
  open_further_lanes();
}

void SendSession::handle(const core::SessionOver& event) {
  SendSessionEnd how;
  const bool is_clean = event.code == Code::normal && event.fault.code == Errc{};
  if (lane_fault_) {
    how = {*lane_fault_, core::Retry::always};
    if (lane_fault_->code == Errc::cancelled) how.retry = core::Retry::never;
  } else if (!is_clean) {
    how.error = event.fault.code != Errc{} ? event.fault : Error{core::errc_of(event.code)};
    how.retry = core::retry_after(event.code);
  }
  // A CLOSE of ours may still wait.
  if (lanes_[0]) fill(lanes_[0]);
  end(how);
}

void SendSession::source_failed(ItemId id, const std::shared_ptr<SendItem>& failed,
                                const Error& error) {
  if (failed->is_dropped) return;
  failed->is_dropped = true;
  const auto item = take_item(id);
  machine_->drop(id, error.code == Errc::source_changed ? Code::source_changed : Code::io_error);
  shared_->book->take_back_offered(failed->total_bytes);
  if (!failed->plan) {
    shared_->stream_is_done = true;
    WalkedEntry stream;
    stream.entry = shared_->stream_entry;
    return shared_->book->entry_failed(stream, error);
  }
  if (error.code == Errc::source_changed && failed->tries < kMaxTries) {
    shared_->book->notice(
        {Notice::Kind::source_changed,
         failed->plan
             ->entries[std::min(failed->content->bad_entry(), failed->plan->entries.size() - 1)]
             .entry.name,
         error});
  }
  planner_->plan_again(failed->plan, failed->tries + 1);
}

// --- time and the end

void SendSession::arm_timer() {
  const auto due = machine_->poll_timeout();
  if (!due) return;
  if (armed_until_ <= *due && armed_until_ > now()) return;
  armed_until_ = *due;
  timer_.expires_at(io::detail::to_steady(std::max(*due, now())));
  timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || self->over_) return;
    self->armed_until_ = TimePoint::max();
    self->machine_->handle_timeout(now());
    self->pump();
  });
}

void SendSession::report_progress() {
  if (over_) return;
  std::uint64_t open = 0;
  for (const auto& [id, item] : items_) {
    const std::uint64_t there = bytes_of(*item, item->start) + item->sent_bytes;
    open += item->plan ? std::min(there, item->total_bytes) : there;
  }
  shared_->book->report_progress(open, current_name_, now());
  progress_timer_.expires_after(kProgressPause);
  progress_timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (!ec && self) self->report_progress();
  });
}

void SendSession::end(const SendSessionEnd& how) {
  if (over_) return;
  over_ = true;
  timer_.cancel();
  progress_timer_.cancel();
  planner_->set_wake(nullptr);
  for (const auto& stop : dialling_) stop->stop();
  for (LanePtr& lane : lanes_) {
    if (!lane) continue;
    count_wire(*lane);
    if (how.error.code == Errc{}) {
      lane->socket->close();
    } else {
      lane->socket->finish();
    }
    lane = nullptr;
  }
  net::post(executor_, [done = std::exchange(done_, nullptr), how] { done(how); });
}

}  // namespace sealine::io::stx
