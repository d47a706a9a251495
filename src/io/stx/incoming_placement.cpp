// The end of items at the receiving end: beside their places, onto stable storage, into their
// places.
#include "io/stx/file_failure.hpp"
#include "io/stx/incoming_state.hpp"
#include "io/stx/place.hpp"
#include "sealine/stx/name.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <set>
#include <utility>

namespace sealine::io::stx {

using sealine::stx::Code;
using sealine::stx::Entry;
using sealine::stx::EntryKind;
using sealine::stx::leaf_of;
using sealine::stx::parent_of;

namespace {

using Missing = ReceiveRoot::Missing;

/// More folders than this are synced together, with their file system.
constexpr std::size_t kFoldersSyncedAlone = 8;

Result<> sync_folders(const ReceiveRoot& root, FolderCache& cache,
                      const std::set<std::string, std::less<>>& names) {
  const bool together = names.size() > kFoldersSyncedAlone;
  for (const std::string& name : names) {
    SEALINE_TRY(folder, cache.open(name, Missing::fail));
    struct ::stat status{};
    if (::fstat(folder, &status) != 0) return failed();
    const bool is_elsewhere = status.st_dev != root.device();
    if ((!together || is_elsewhere) && ::fsync(folder) != 0) return failed();
  }
  return together ? root.sync() : Result<>();
}

/// Gives what already stands at `name` the mode and mtime of `entry`.
Result<> adopt_at(FolderCache& folders, const Entry& entry, const std::string& name) {
  SEALINE_TRY(folder, folders.open(parent_of(name), Missing::fail));
  struct ::stat status{};
  const std::string leaf(leaf_of(name));
  if (::fstatat(folder, leaf.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return failed();
  return adopt(folder, leaf, status, entry);
}

}  // namespace

void PendingFolders::add(sealine::stx::ItemId item, const Entry& entry) {
  waiting_.emplace(item, Folder{entry.name, entry.mode, entry.mtime_ns});
}

void PendingFolders::apply_before(const ReceiveRoot& root, sealine::stx::ItemId oldest_open) {
  apply(root, waiting_.lower_bound(oldest_open));
}

void PendingFolders::apply_all(const ReceiveRoot& root) { apply(root, waiting_.end()); }

void PendingFolders::apply(const ReceiveRoot& root, const Waiting::const_iterator& end) {
  for (auto it = waiting_.cbegin(); it != end; ++it) {
    const Folder& folder = it->second;
    const auto opened = root.open_folder(folder.name, Missing::fail);
    if (opened) (void)set_attributes(opened->value(), folder.mode, folder.mtime_ns);
  }
  waiting_.erase(waiting_.cbegin(), end);
}

void IncomingItem::stage(std::uint64_t size_bytes) {
  State& s = *state_;
  if (s.is_staged) return;
  s.is_staged = true;
  if (s.stays) return;
  if (!s.is_pack) {
    const auto done = s.part ? s.part->complete(size_bytes, s.first().mode, s.first().mtime_ns)
                             : Result<>(fail(Errc::wrong_state));
    if (!done) s.stage_error = done.error();
    s.total_bytes = size_bytes;
    return;
  }
  const FileSizeSignalGuard guard;
  FolderCache folders(s.folder->root);
  // An item without a block was never started.
  s.content.resize(static_cast<std::size_t>(s.total_bytes));
  s.staged.reserve(s.meta.entries.size());
  for_each_content(s.meta, s.content, [&](std::size_t i, ByteView content) {
    s.staged.push_back(StagedEntry::stage(folders, s.folder->root, s.key.peer, s.folder->policy,
                                          s.meta.entries[i], content));
  });
}

void IncomingItem::State::keep_out(const Error& error) {
  outcome.code = code_of(error);
  outcome.cause = error;
  outcome.entries.clear();
  outcome.causes.clear();
  outcome.paths.assign(meta.entries.size(), {});
}

Result<> IncomingItem::State::settle_part() {
  const int file = part->descriptor();
  SEALINE_TRY(leaf, settle(part->folder(), std::string(leaf_of(part->name())), first(),
                           folder->policy.on_conflict,
                           [file](int where, const std::string& name, const struct ::stat& status) {
                             return has_content_of(where, name, status, file);
                           }));
  const std::string_view parent = parent_of(first().name);
  outcome.paths.assign(1, parent.empty() ? leaf : std::string(parent) + "/" + leaf);
  return {};
}

void IncomingItem::State::settle_pack(FolderCache& folders) {
  for_each_content(meta, content, [&](std::size_t i, ByteView bytes) {
    if (!staged[i].is_written()) return;
    staged[i].put_in_place(folders, folder->policy, meta.entries[i], bytes);
  });
}

void IncomingItem::State::adopt_standing(FolderCache& folders) {
  outcome.paths.clear();
  for (const Entry& entry : meta.entries) {
    const std::string& name = meta.entries.size() == 1 ? standing : entry.name;
    outcome.paths.push_back(name);
    if (entry.kind == EntryKind::directory) continue;  // later
    if (const auto done = adopt_at(folders, entry, name); !done && outcome.code == Code::normal) {
      const auto number = static_cast<std::uint16_t>(outcome.paths.size() - 1);
      outcome.entries.push_back({number, code_of(done.error())});
      outcome.causes.push_back(done.error());
    }
  }
}

/// From its entries to what DONE says of a pack.
void IncomingItem::State::conclude_pack() {
  outcome = {};
  for (std::size_t i = 0; i < staged.size(); ++i) {
    outcome.paths.push_back(staged[i].path());
    if (staged[i].is_in_place()) continue;
    outcome.entries.push_back({static_cast<std::uint16_t>(i), code_of(staged[i].cause())});
    outcome.causes.push_back(staged[i].cause());
  }
  const bool none_left = !staged.empty() && outcome.entries.size() == staged.size();
  const auto is_as_first = [&](const sealine::stx::EntryCode& entry) {
    return entry.code == outcome.entries.front().code;
  };
  if (none_left && std::ranges::all_of(outcome.entries, is_as_first)) {
    keep_out(staged.front().cause());
  }
  // Parts of entries that were kept out go here, before the commit that ends the item.
  staged.clear();
}

/// What the ledger is told at the end of an item.
std::optional<LedgerChange> IncomingItem::State::last_change() const {
  const bool is_whole = outcome.code == Code::normal && outcome.entries.empty();
  // One whose entries got other names would not be found in its place.
  const bool is_where_it_should =
      meta.entries.size() == 1 ||
      std::ranges::equal(outcome.paths, meta.entries, {}, {}, &Entry::name);
  if (!is_whole || !is_where_it_should) {
    const bool keeps_part = part.has_value();
    if (row && !keeps_part) return erase_row(key);
    return std::nullopt;
  }
  LedgerRow out;
  out.key = key;
  out.state = ItemState::finished;
  out.path = in_ledger(outcome.paths.front());
  out.have = blocks;
  out.size_bytes = total_bytes;
  out.mtime_ns = first().mtime_ns;
  out.entries = static_cast<std::uint32_t>(meta.entries.size());
  return LedgerChange{std::move(out), false};
}

void IncomingItem::put_in_place(const ReceiveFolder& folder, std::span<IncomingItem* const> items,
                                PendingFolders& folders) {
  FolderCache cache(folder.root);
  // Onto stable storage.
  bool any_pack = false;
  for (IncomingItem* const item : items) {
    State& s = *item->state_;
    item->stage(s.total_bytes);
    any_pack = any_pack || (s.is_pack && !s.stays);
    if (!s.part || s.stage_error || s.stays) continue;
    if (const auto synced = s.part->sync_all(); !synced) s.stage_error = synced.error();
  }
  if (any_pack) {
    if (const auto synced = folder.root.sync(); !synced) {
      for (IncomingItem* const item : items) {
        if (item->is_pack() && !item->state_->stays) item->state_->stage_error = synced.error();
      }
    }
  }
  // Into their places.
  std::set<std::string, std::less<>> touched;
  for (IncomingItem* const item : items) {
    State& s = *item->state_;
    s.outcome = {};
    if (s.stage_error) {
      s.staged.clear();
      s.keep_out(*s.stage_error);
    } else if (s.stays) {
      s.adopt_standing(cache);
    } else if (s.is_pack) {
      s.settle_pack(cache);
      s.conclude_pack();
    } else if (const auto settled = s.settle_part(); !settled) {
      // A part that is not wanted goes; one that an error of the disk kept out stays.
      if (code_of(settled.error()) == Code::exists) item->discard();
      s.keep_out(settled.error());
    }
    for (std::size_t i = 0; i < s.meta.entries.size(); ++i) {
      const Entry& entry = s.meta.entries[i];
      if (s.outcome.code != Code::normal || s.outcome.paths[i].empty()) continue;
      if (entry.kind == EntryKind::directory) folders.add(s.meta.item, entry);
      const std::string_view parent = parent_of(s.outcome.paths[i]);
      if (!s.stays && !touched.contains(parent)) touched.emplace(parent);
    }
  }
  const auto synced = sync_folders(folder.root, cache, touched);
  // Into the ledger. If that fails, the files are there all the same: only they are sent again.
  std::vector<LedgerChange> changes;
  for (IncomingItem* const item : items) {
    State& s = *item->state_;
    if (!synced && !s.stays && s.outcome.code == Code::normal) s.keep_out(synced.error());
    if (auto change = s.last_change()) changes.push_back(std::move(*change));
    if (s.outcome.code == Code::normal) {
      s.part.reset();
      s.reservation.keep(s.promised_bytes - std::min(s.promised_bytes, s.total_bytes));
    }
    s.content = {};
  }
  (void)folder.ledger.commit(changes, Durability::power);
}

}  // namespace sealine::io::stx
