// META at the receiving end: what stands in place, what the ledger knows, space and quota.
#include "io/stx/file_failure.hpp"
#include "io/stx/incoming_state.hpp"
#include "io/stx/place.hpp"
#include "sealine/stx/name.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

namespace sealine::io::stx {

using sealine::stx::Code;
using sealine::stx::Entry;
using sealine::stx::EntryKind;
using sealine::stx::Meta;

namespace {

/// A single file over this goes through a part file, so that it can be resumed.
constexpr std::uint64_t kMaxInMemoryBytes = std::uint64_t{256} << 10U;
constexpr auto kMaxFileBytes = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

bool is_absent(const Error& error) noexcept {
  return error.code == Errc::file_error && error.detail == ENOENT;
}

}  // namespace

std::string IncomingItem::State::in_ledger(std::string_view name) const {
  return std::string(folder->ledger_prefix).append(name);
}

std::optional<std::string> IncomingItem::State::below_root(std::string_view path) const {
  if (!path.starts_with(folder->ledger_prefix)) return std::nullopt;
  return std::string(path.substr(folder->ledger_prefix.size()));
}

/// Whether a file, folder or link as META describes it is there.
bool IncomingItem::State::stands(const Entry& entry, const std::string& name) const {
  const auto status = folder->root.status(name);
  if (!status) return false;
  const bool same_time = mtime_ns_of(*status) == entry.mtime_ns;
  const bool same_size = static_cast<std::uint64_t>(status->st_size) == entry.size_bytes;
  switch (entry.kind) {
    case EntryKind::file:
      return S_ISREG(status->st_mode) && same_time && same_size;
    case EntryKind::directory:
      return S_ISDIR(status->st_mode) && same_time && (status->st_mode & 0777U) == entry.mode;
    case EntryKind::symlink:
      return S_ISLNK(status->st_mode) && same_time && same_size;
  }
  return false;
}

/// Is all of a finished item in its place still?
Result<> IncomingItem::State::find_standing() {
  if (meta.entries.size() == 1) {
    auto name = below_root(row->path);
    if (!name || !sealine::stx::check_name(*name) || !stands(first(), *name)) return {};
    const auto status = folder->root.status(*name);
    answer.keep_old = status && judge_difference(first(), *status, folder->policy.on_conflict) ==
                                    PlaceVerdict::refuse;
    standing = std::move(*name);
  } else if (!std::ranges::all_of(meta.entries,
                                  [&](const Entry& e) { return stands(e, e.name); })) {
    return {};
  }
  answer.in_place = true;
  answer.have = blocks;
  return {};
}

/// Opens the part that the ledger knows.
Result<> IncomingItem::State::find_part() {
  auto name = below_root(row->part);
  if (is_pack || !name || !is_part_name(*name)) return {};
  auto opened = PartFile::open(folder->root, std::move(*name));
  if (!opened) {
    // What cannot be gone on with is made anew; only another session is in the way.
    if (opened.error().code == Errc::item_busy) return std::unexpected(opened.error());
    return {};
  }
  part.emplace(std::move(*opened));
  answer.have = meta.size_unknown ? row->have : std::min(row->have, blocks);
  return {};
}

Result<> IncomingItem::State::reserve() {
  SpaceBook& space = folder->space;
  const bool has_quota =
      folder->quota.bytes != Quota().bytes || folder->quota.files != Quota().files;
  if (has_quota && !space.knows(folder->peer)) {
    SEALINE_TRY(usage, folder->ledger.usage(folder->peer));
    space.set_usage(folder->peer, usage.bytes, usage.files);
  }
  SpaceBook::Need need;
  const std::uint64_t held = std::min(total_bytes, answer.have * block_bytes());
  need.disk_bytes = answer.in_place ? 0 : total_bytes - held;
  const std::uint64_t counted = row ? row->size_bytes : 0;
  need.quota_bytes = total_bytes > counted ? total_bytes - counted : 0;
  need.files = row ? 0 : meta.entries.size();
  SEALINE_TRY(free_bytes, folder->root.free_bytes());
  SEALINE_TRY(promise, space.reserve(folder->peer, folder->quota, need, free_bytes));
  reservation = std::move(promise);
  return {};
}

Result<> IncomingItem::State::admit() {
  SEALINE_TRY(total, sealine::stx::total_bytes(meta));
  SEALINE_TRY(count, sealine::stx::block_count(total, meta.block_log2));
  total_bytes = total;
  blocks = count;
  if (meta.entries.empty()) return fail(Errc::protocol_broken);
  if (total > kMaxFileBytes) return fail(Errc::disk_full, EFBIG);
  const bool is_single_file = meta.entries.size() == 1 && first().kind == EntryKind::file;
  is_pack = !is_single_file || (total <= kMaxInMemoryBytes && !meta.size_unknown);

  const auto is_refused = [](const Entry& e) { return !sealine::stx::check_name(e.name); };
  if (std::ranges::all_of(meta.entries, is_refused)) return fail(Errc::file_name_refused);

  key = {folder->peer, names_hash(meta.entries), meta.block_log2};
  SEALINE_TRY(found, folder->ledger.find(key));
  row = std::move(found);
  if (row && row->state == ItemState::finished) SEALINE_TRY(find_standing());
  if (!answer.in_place && meta.entries.size() == 1) {
    const auto status = folder->root.status(first().name);
    if (!status && !is_absent(status.error())) return std::unexpected(status.error());
    // The size of a stream is not known: what stands there is compared at its end.
    if (status && !meta.size_unknown &&
        judge_place(first(), *status, folder->policy.on_conflict) == PlaceVerdict::refuse) {
      return fail(Errc::file_exists);
    }
  }
  if (row && row->state == ItemState::part) SEALINE_TRY(find_part());
  return reserve();
}

IncomingItem IncomingItem::admit(const ReceiveFolder& folder, Meta meta) {
  auto state = std::make_unique<State>(folder, std::move(meta));
  if (const auto admitted = state->admit(); !admitted) {
    state->cause = admitted.error();
    state->answer = {code_of(admitted.error()), 0, false, false};
    state->part.reset();
  }
  return IncomingItem(std::move(state));
}

}  // namespace sealine::io::stx
