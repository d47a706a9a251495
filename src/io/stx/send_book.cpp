#include "io/stx/send_book.hpp"

#include "io/stx/file_failure.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <chrono>
#include <string_view>

namespace sealine::io::stx {

namespace core = sealine::stx;

namespace {

FileKind kind_of(core::EntryKind kind) {
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

template <class T>
ByteView bytes_of(const T& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};  // NOLINT: local hash only
}

}  // namespace

SendBook::Fingerprint SendBook::fingerprint(const PlannedItem& plan) {
  std::vector<ByteView> parts;
  for (const WalkedEntry& walked : plan.entries) {
    parts.push_back(as_bytes(std::string_view(walked.entry.name)));
    parts.push_back(bytes_of(walked.entry.mode));
    parts.push_back(bytes_of(walked.identity.device));
    parts.push_back(bytes_of(walked.identity.inode));
    parts.push_back(bytes_of(walked.identity.size_bytes));
    parts.push_back(bytes_of(walked.identity.mtime_ns));
  }
  core::Hash hash{};
  thread_engine().sha256(parts, hash);
  Fingerprint print{};
  std::copy_n(hash.begin(), print.size(), print.begin());
  return print;
}

bool SendBook::was_done(const PlannedItem& plan) const {
  return !done_.empty() && done_.contains(fingerprint(plan));
}

void SendBook::emit(const core::Entry& entry, FileState state, Code code,
                    const Error* error) const {
  if (!options_->on_file) return;
  FileEvent event;
  event.name = entry.name;
  event.kind = kind_of(entry.kind);
  event.size_bytes = entry.size_bytes;
  event.state = state;
  event.code = code;
  if (error != nullptr) event.error = *error;
  options_->on_file(event);
}

void SendBook::failed(std::string name, EntryFailure::Where where, Code code, const Error& error) {
  (where == EntryFailure::Where::here ? report_.failures_here : report_.failures_at_receiver) += 1;
  if (report_.failures.size() < kMaxFailuresKept) {
    report_.failures.push_back({std::move(name), where, code, error});
  }
}

void SendBook::item_done(const SendItem& item, std::span<const core::EntryCode> kept_out) {
  const bool is_whole = item.blocks != 0 && item.start == item.blocks;
  const FileState state = is_whole          ? FileState::skipped
                          : item.start != 0 ? FileState::resumed
                                            : FileState::done;
  done_bytes_ += item.total_bytes;
  if (!item.plan) {
    const core::Entry entry{core::EntryKind::file, 0, 0, item.total_bytes, stream_name_};
    ++report_.files;
    report_.total_bytes += item.total_bytes;
    return emit(entry, FileState::done, Code::normal, nullptr);
  }
  if (kept_out.empty()) done_.insert(fingerprint(*item.plan));
  std::size_t next = 0;
  for (std::size_t i = 0; i < item.plan->entries.size(); ++i) {
    const core::Entry& entry = item.plan->entries[i].entry;
    if (next < kept_out.size() && kept_out[next].entry == i) {
      const Code code = kept_out[next++].code;
      const Error error{core::errc_of(code)};
      failed(entry.name, EntryFailure::Where::receiver, code, error);
      emit(entry, FileState::failed, code, nullptr);
      continue;
    }
    if (entry.kind == core::EntryKind::directory) {
      ++report_.directories;
    } else {
      ++report_.files;
      report_.total_bytes += entry.size_bytes;
      if (state == FileState::skipped) {
        ++report_.skipped_files;
        report_.skipped_bytes += entry.size_bytes;
      } else if (state == FileState::resumed) {
        ++report_.resumed_files;
        const std::uint64_t block = item.blocks == 0 ? 0 : item.block_bytes;
        report_.resumed_bytes += std::min(item.start * block, entry.size_bytes);
      }
    }
    emit(entry, state, Code::normal, nullptr);
  }
}

void SendBook::item_refused(const SendItem& item, Code code) {
  const Error error{core::errc_of(code)};
  if (!item.plan) {
    const core::Entry entry{core::EntryKind::file, 0, 0, item.total_bytes, stream_name_};
    failed(stream_name_, EntryFailure::Where::receiver, code, error);
    return emit(entry, FileState::failed, code, nullptr);
  }
  for (const WalkedEntry& walked : item.plan->entries) {
    failed(walked.entry.name, EntryFailure::Where::receiver, code, error);
    emit(walked.entry, FileState::failed, code, nullptr);
  }
}

void SendBook::entry_failed(const WalkedEntry& walked, const Error& error) {
  const Code code = error.code == Errc::source_changed ? Code::source_changed : Code::io_error;
  failed(walked.entry.name, EntryFailure::Where::here, code, error);
  emit(walked.entry, FileState::failed, code, &error);
}

void SendBook::skipped(const SkippedEntry& entry) {
  const Error error{
      entry.reason == SkipReason::name_refused ? Errc::file_name_refused : Errc::file_error,
      static_cast<std::uint32_t>(entry.error)};
  switch (entry.reason) {
    case SkipReason::device:
    case SkipReason::socket:
    case SkipReason::fifo:
      return notice({Notice::Kind::special_file, entry.name, {}});
    case SkipReason::unreadable:
    case SkipReason::name_refused:
      break;
  }
  const bool is_name = entry.reason == SkipReason::name_refused;
  const Code code = is_name ? Code::name : Code::io_error;
  // No receiver takes such a name: it counts as left out there.
  failed(entry.name, is_name ? EntryFailure::Where::receiver : EntryFailure::Where::here, code,
         error);
  emit({core::EntryKind::file, 0, 0, 0, entry.name}, FileState::failed, code, &error);
}

void SendBook::notice(Notice notice) const {
  if (options_->on_notice) options_->on_notice(notice);
}

void SendBook::planned(const PlannedItem& plan) {
  for (const WalkedEntry& walked : plan.entries) {
    if (walked.entry.kind == core::EntryKind::directory) {
      ++report_.directories;
    } else {
      ++report_.files;
      report_.total_bytes += walked.entry.size_bytes;
    }
    emit(walked.entry, FileState::planned, Code::normal, nullptr);
  }
}

void SendBook::session_began(const Connected& connected) {
  ++report_.connections;
  report_.peer = connected;
  offered_bytes_ = done_bytes_;
  offered_all_ = false;
  if (options_->on_connected) options_->on_connected(connected);
}

void SendBook::durable(std::uint64_t open_bytes, TimePoint now) {
  const std::uint64_t durable_bytes = done_bytes_ + open_bytes;
  if (durable_bytes <= most_durable_bytes_) return;
  most_durable_bytes_ = durable_bytes;
  progressed(now);
}

void SendBook::report_progress(std::uint64_t open_bytes, const std::string& name, TimePoint now) {
  if (!options_->on_progress) return;
  Progress progress;
  progress.done_bytes = done_bytes_ + open_bytes;
  progress.total_bytes = std::max(offered_bytes_, progress.done_bytes);
  progress.total_is_final = offered_all_;
  progress.name = name;
  const double seconds = std::chrono::duration<double>(now - shown_at_).count();
  if (shown_at_ != TimePoint{} && seconds > 0 && progress.done_bytes >= shown_bytes_) {
    const double latest = static_cast<double>(progress.done_bytes - shown_bytes_) / seconds;
    // Smooth over about two seconds, whatever the pace of the reports.
    const double weight = std::min(1.0, seconds / 2);
    rate_ = rate_ == 0 ? latest : rate_ + weight * (latest - rate_);
  }
  shown_bytes_ = progress.done_bytes;
  shown_at_ = now;
  progress.rate = rate_;
  options_->on_progress(progress);
}

// --- the planner

struct SendPlanner::Walk {
  Walk(std::shared_ptr<const SourceRoots> given, std::vector<Exclusion> exclude)
      : roots(std::move(given)),
        walk(*roots, std::move(exclude)),
        plan([this] { return walk.next(); }) {}

  std::shared_ptr<const SourceRoots> roots;
  FolderWalk walk;
  ItemPlan plan;
};

struct SendPlanner::Batch {
  std::vector<PlannedItem> items;
  std::vector<SkippedEntry> skipped;
  bool ended = false;
};

namespace {

constexpr std::size_t kPlanAhead = 8;
constexpr unsigned kMaxReads = 3;

}  // namespace

SendPlanner::SendPlanner(const net::any_io_executor& executor, std::shared_ptr<WorkerPool> pool,
                         std::shared_ptr<const SourceRoots> roots,
                         const std::vector<std::string>& exclude, std::shared_ptr<SendBook> book)
    : executor_(executor),
      pool_(std::move(pool)),
      roots_(std::move(roots)),
      book_(std::move(book)) {
  std::vector<Exclusion> globs;
  for (const std::string& glob : exclude) globs.emplace_back(glob);
  walk_ = std::make_shared<Walk>(roots_, std::move(globs));
}

std::optional<SendPlanner::Ready> SendPlanner::take() {
  if (ready_.size() < kPlanAhead / 2) fetch();
  if (ready_.empty()) return std::nullopt;
  Ready next = std::move(ready_.front());
  ready_.pop_front();
  return next;
}

bool SendPlanner::has_ended() const noexcept {
  return walked_ && ready_.empty() && looking_again_ == 0;
}

void SendPlanner::fetch() {
  if (fetching_ || walked_) return;
  fetching_ = true;
  pool_->post([self = shared_from_this(), walk = walk_]() mutable {
    Batch batch;
    while (batch.items.size() < kPlanAhead) {
      auto item = walk->plan.next();
      if (!item) {
        batch.ended = true;
        break;
      }
      batch.items.push_back(std::move(*item));
    }
    batch.skipped = walk->plan.take_skipped();
    const net::any_io_executor executor = self->executor_;
    net::post(executor, [self = std::move(self), batch = std::move(batch)]() mutable {
      self->fetched(std::move(batch));
    });
  });
}

void SendPlanner::fetched(Batch batch) {
  fetching_ = false;
  walked_ = walked_ || batch.ended;
  for (const SkippedEntry& entry : batch.skipped) book_->skipped(entry);
  for (PlannedItem& item : batch.items) {
    if (book_->was_done(item)) continue;
    ready_.push_back({std::make_shared<const PlannedItem>(std::move(item)), 0});
  }
  if (ready_.size() < kPlanAhead / 2) fetch();
  if (const auto wake = wake_) wake();
}

void SendPlanner::plan_again(std::shared_ptr<const PlannedItem> plan, unsigned tries) {
  ++looking_again_;
  pool_->post([self = shared_from_this(), plan = std::move(plan), tries]() mutable {
    std::vector<PlannedItem> items;
    std::vector<std::pair<WalkedEntry, Error>> failures;
    PlannedItem rest;
    for (const WalkedEntry& walked : plan->entries) {
      auto found = walk_again(*self->roots_, walked);
      if (!found) {
        failures.emplace_back(walked, Error{Errc::source_changed});
        continue;
      }
      // One that changes time and again would go on for ever; in a pack, alone with itself.
      const bool changed = found->identity != walked.identity;
      if (changed && tries >= kMaxReads) {
        failures.emplace_back(walked, Error{Errc::source_changed});
      } else if (changed) {
        PlannedItem alone;
        alone.total_bytes = found->entry.size_bytes;
        alone.entries.push_back(std::move(*found));
        items.push_back(std::move(alone));
      } else {
        rest.total_bytes += found->entry.size_bytes;
        rest.entries.push_back(std::move(*found));
      }
    }
    // What cannot be opened is taken out, one after another.
    std::size_t bad = 0;
    while (!rest.entries.empty()) {
      const auto opened = SourceItem::open(*self->roots_, rest, &bad);
      if (opened) break;
      const auto entry = rest.entries.begin() + static_cast<std::ptrdiff_t>(bad);
      rest.total_bytes -= entry->entry.size_bytes;
      failures.emplace_back(std::move(*entry), opened.error());
      rest.entries.erase(entry);
    }
    if (!rest.entries.empty()) items.push_back(std::move(rest));

    const net::any_io_executor executor = self->executor_;
    net::post(executor, [self = std::move(self), items = std::move(items),
                         failures = std::move(failures), tries]() mutable {
      --self->looking_again_;
      for (const auto& [entry, error] : failures) self->book_->entry_failed(entry, error);
      for (PlannedItem& item : items) {
        self->ready_.push_back({std::make_shared<const PlannedItem>(std::move(item)), tries});
      }
      if (const auto wake = self->wake_) wake();
    });
  });
}

}  // namespace sealine::io::stx
