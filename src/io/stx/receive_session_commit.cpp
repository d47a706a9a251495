// A session at its receiver: what makes blocks durable and puts files in place.
// spec: stx.md#durability

#include "io/detail/clock.hpp"
#include "io/stx/receive_session.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace sealine::io::stx {

namespace core = sealine::stx;
using io::detail::now;

namespace {

constexpr std::uint64_t kCommitBytes = std::uint64_t{64} << 20U;
constexpr std::chrono::seconds kCommitAfter{1};

FileKind committed_kind(core::EntryKind kind) {
  switch (kind) {
    case core::EntryKind::file:
      return FileKind::file;
    case core::EntryKind::directory:
      return FileKind::directory;
    case core::EntryKind::symlink:
      break;
  }
  return FileKind::symlink;
}

}  // namespace

// --- blocks

void ReceiveSession::block_written(const ItemPtr& item, std::uint32_t bytes) {
  end_.received_bytes += bytes;
  shared_->received_bytes += bytes;
  shared_->done_bytes += bytes;
  if (item->is_over || item->incoming->is_pack()) return;
  if (uncommitted_bytes_ == 0) uncommitted_since_ = now();
  uncommitted_bytes_ += bytes;
  if (commit_armed_) return;
  commit_armed_ = true;
  commit_timer_.expires_after(kCommitAfter);
  commit_timer_.async_wait([weak = weak_from_this()](const error_code& ec) {
    const auto self = weak.lock();
    if (!self) return;
    self->commit_armed_ = false;
    if (!ec && !self->over_) self->pump();
  });
}

bool ReceiveSession::is_commit_due() const {
  if (committing_ || uncommitted_bytes_ == 0) return false;
  return uncommitted_bytes_ >= kCommitBytes || now() - uncommitted_since_ >= kCommitAfter;
}

void ReceiveSession::start_commit() {
  struct Step {
    ItemPtr item;
    std::uint32_t blocks;
  };

  uncommitted_bytes_ = 0;
  std::vector<Step> steps;
  std::vector<std::pair<ItemId, std::uint32_t>> blocks;
  for (const auto& [id, item] : items_) {
    if (item->incoming->is_pack()) continue;
    const std::uint32_t have = machine_->leading_blocks(id);
    if (have <= item->committed) continue;
    item->committed = have;
    steps.push_back({item, have});
    blocks.emplace_back(id, have);
  }
  if (steps.empty()) return;
  committing_ = true;
  ++jobs_;
  shared_->committer->post(
      [self = shared_from_this(), steps = std::move(steps), blocks = std::move(blocks)]() mutable {
        // The data first, then the ledger, then the word that it is durable.
        Error error{};
        std::vector<LedgerChange> changes;
        for (const Step& step : steps) {
          if (const auto synced = step.item->incoming->sync(); !synced) error = synced.error();
          if (auto change = step.item->incoming->progress(step.blocks)) {
            changes.push_back(std::move(*change));
          }
        }
        if (error.code == Errc{}) {
          const auto done = self->shared_->ledger->commit(changes, Durability::power);
          if (!done) error = done.error();
        }
        steps.clear();
        const net::any_io_executor executor = self->executor_;
        net::post(executor, [self = std::move(self), blocks = std::move(blocks), error] {
          --self->jobs_;
          self->committing_ = false;
          self->committed(blocks, error);
          self->end_when_done();
        });
      });
}

void ReceiveSession::committed(const std::vector<std::pair<ItemId, std::uint32_t>>& blocks,
                               const Error& error) {
  if (over_) return;
  for (const auto& [id, have] : blocks) {
    if (error.code == Errc{}) {
      machine_->handle_durable(id, have);
    } else {
      refuse(id, error);
    }
  }
  if (uncommitted_bytes_ != 0 && !commit_armed_) pump_again_ = true;
  pump();
}

// --- whole items

void ReceiveSession::stage(ItemId id, const ItemPtr& item, std::uint64_t size_bytes) {
  if (!item->incoming->is_pack()) {
    // A commit may be at it just now: the committing thread does both.
    staged_.push_back({id, item, size_bytes, false});
    return start_placing();
  }
  staged_bytes_ += item->total_bytes;
  ++jobs_;
  shared_->pool->post([self = shared_from_this(), id, item, size_bytes]() mutable {
    item->incoming->stage(size_bytes);
    const net::any_io_executor executor = self->executor_;
    net::post(executor, [self = std::move(self), id, item = std::move(item), size_bytes]() mutable {
      --self->jobs_;
      self->staged_.push_back({id, std::move(item), size_bytes, true});
      self->start_placing();
    });
  });
}

void ReceiveSession::start_placing() {
  if (placing_ || staged_.empty()) return;
  placing_ = true;
  auto batch = std::exchange(staged_, {});
  // Folders wait for the oldest item that is not in this batch.
  auto oldest = std::numeric_limits<ItemId>::max();
  for (const auto& [id, key] : open_ids_) {
    const bool in_batch =
        std::ranges::any_of(batch, [&](const Staged& staged) { return staged.id == id; });
    if (!in_batch) {
      oldest = id;
      break;
    }
  }
  ++jobs_;
  shared_->committer->post(
      [self = shared_from_this(), folder = folder_, batch = std::move(batch), oldest]() mutable {
        std::vector<IncomingItem*> items;
        std::vector<std::pair<ItemId, ItemPtr>> placed;
        for (Staged& staged : batch) {
          if (!staged.is_staged) staged.item->incoming->stage(staged.size_bytes);
          items.push_back(&*staged.item->incoming);
          placed.emplace_back(staged.id, std::move(staged.item));
        }
        IncomingItem::put_in_place(*folder->folder, items, folder->pending);
        folder->pending.apply_before(folder->folder->root, oldest);
        batch.clear();
        const net::any_io_executor executor = self->executor_;
        net::post(executor, [self = std::move(self), placed = std::move(placed)]() mutable {
          --self->jobs_;
          self->placing_ = false;
          self->placed(placed);
          placed.clear();
          self->start_placing();
          self->resume_reading();
          self->pump();
          self->end_when_done();
        });
      });
}

void ReceiveSession::placed(const std::vector<std::pair<ItemId, ItemPtr>>& items) {
  for (const auto& [id, item] : items) {
    if (item->incoming->is_pack()) staged_bytes_ -= item->total_bytes;
    const ItemOutcome& outcome = item->incoming->outcome();
    if (!over_) {
      (void)take_item(id);
      machine_->finish(id, outcome.code, outcome.entries);
    }
    report_entries(*item, outcome);
  }
}

// --- what is told of it

void ReceiveSession::report_entries(ReceiveItem& item, const ItemOutcome& outcome) {
  const core::Meta& meta = item.incoming->meta();
  const bool is_whole = item.blocks != 0 && item.start == item.blocks;
  const FileState state = is_whole          ? FileState::skipped
                          : item.start != 0 ? FileState::resumed
                                            : FileState::done;
  const auto& hook = shared_->options->on_file;
  for (std::size_t i = 0; i < meta.entries.size(); ++i) {
    const core::Entry& entry = meta.entries[i];
    const bool is_there = i < outcome.paths.size() && !outcome.paths[i].empty();
    if (!is_there) {
      ++end_.failed;
      ++shared_->failed;
    } else if (entry.kind != core::EntryKind::directory) {
      ++end_.files;
      ++shared_->files;
    }
    if (!hook) continue;
    FileEvent event;
    event.name = entry.name;
    event.peer_id = peer_id_text_;
    event.kind = committed_kind(entry.kind);
    event.size_bytes = entry.size_bytes;
    if (meta.size_unknown) event.size_bytes = end_.received_bytes;
    if (is_there) {
      event.path = (item.folder->folder->root.path() / outcome.paths[i]).string();
      event.state = state;
    } else {
      event.state = FileState::failed;
      event.code = outcome.code;
      for (const core::EntryCode& kept_out : outcome.entries) {
        if (kept_out.entry == i) event.code = kept_out.code;
      }
      if (outcome.cause.code != Errc{}) event.error = outcome.cause;
    }
    hook(event);
  }
}

void ReceiveSession::report_refused(const core::Meta& meta, Code code,
                                    const std::optional<Error>& error) {
  end_.failed += meta.entries.size();
  shared_->failed += meta.entries.size();
  const auto& hook = shared_->options->on_file;
  if (!hook) return;
  for (const core::Entry& entry : meta.entries) {
    FileEvent event;
    event.name = entry.name;
    event.peer_id = peer_id_text_;
    event.kind = committed_kind(entry.kind);
    event.size_bytes = entry.size_bytes;
    event.state = FileState::failed;
    event.code = code;
    event.error = error;
    hook(event);
  }
}

// --- the end

/// The machine is over: what came is made durable, so that the next session goes on from there.
void ReceiveSession::finish_disk() {
  if (over_) return;
  start_commit();
  over_ = true;
  timer_.cancel();
  commit_timer_.cancel();
  early_lanes_.clear();
  held_offers_.clear();
  items_.clear();
  open_ids_.clear();
  net::post(executor_, [self = shared_from_this()] { self->end_when_done(); });
}

void ReceiveSession::end_when_done() {
  if (!over_ || jobs_ != 0 || disk_finished_) return;
  disk_finished_ = true;
  end_.elapsed = now() - began_;
  if (!folder_ || !folder_->folder) {
    if (done_) std::exchange(done_, nullptr)(end_);
    return;
  }
  // Folders whose time has come; then the last word.
  shared_->committer->post([self = shared_from_this(), folder = folder_]() mutable {
    folder->pending.apply_all(folder->folder->root);
    folder.reset();
    const net::any_io_executor executor = self->executor_;
    net::post(executor, [self = std::move(self)] {
      if (self->done_) std::exchange(self->done_, nullptr)(self->end_);
    });
  });
}

}  // namespace sealine::io::stx
