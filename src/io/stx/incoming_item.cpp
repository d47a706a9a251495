// The bytes of an item at the receiving end, from META_OK to END.
#include "io/stx/incoming_item.hpp"

#include "io/stx/file_failure.hpp"
#include "io/stx/incoming_state.hpp"
#include "io/stx/place.hpp"
#include "sealine/stx/name.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <utility>

namespace sealine::io::stx {

using sealine::stx::Entry;
using sealine::stx::EntryKind;

namespace {

/// How much more an item of unknown size is promised at a time.
constexpr std::uint64_t kGrowBytes = std::uint64_t{64} << 20U;

bool is_within(std::uint64_t offset, std::uint64_t bytes, std::uint64_t limit) noexcept {
  return offset <= limit && bytes <= limit - offset;
}

}  // namespace

IncomingItem::IncomingItem(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}

IncomingItem::IncomingItem(IncomingItem&&) noexcept = default;
IncomingItem& IncomingItem::operator=(IncomingItem&&) noexcept = default;
IncomingItem::~IncomingItem() = default;

const sealine::stx::MetaAnswer& IncomingItem::answer() const noexcept { return state_->answer; }

const sealine::stx::Meta& IncomingItem::meta() const noexcept { return state_->meta; }

const Error& IncomingItem::cause() const noexcept { return state_->cause; }

bool IncomingItem::is_pack() const noexcept { return state_->is_pack; }

const ItemOutcome& IncomingItem::outcome() const noexcept { return state_->outcome; }

/// The contents of a pack's entries as they stand, up to the first that is not whole.
Result<> IncomingItem::State::read_content() {
  if (content_is_read) return {};
  content_is_read = true;
  content.clear();
  for (const Entry& entry : meta.entries) {
    const auto size = static_cast<std::size_t>(entry.size_bytes);
    if (size == 0) continue;
    const std::size_t begin = content.size();
    content.resize(begin + size);
    const MutableBytes out = MutableBytes(content).subspan(begin);
    const std::string& name = meta.entries.size() == 1 ? standing : entry.name;
    std::size_t read = 0;
    if (entry.kind == EntryKind::symlink) {
      SEALINE_TRY(where, folder->root.open_folder(sealine::stx::parent_of(name),
                                                  ReceiveRoot::Missing::fail));
      std::array<char, sealine::stx::kMaxTargetBytes + 1> target{};
      const std::string leaf(sealine::stx::leaf_of(name));
      const ssize_t n = ::readlinkat(where.value(), leaf.c_str(), target.data(), target.size());
      if (n < 0) return failed();
      read = std::min(static_cast<std::size_t>(n), size);
      std::ranges::copy_n(target.data(), static_cast<std::ptrdiff_t>(read), out.begin());
    } else {
      SEALINE_TRY(file, folder->root.open_file(name, O_RDONLY));
      SEALINE_TRY(n, read_at(file.value(), 0, out));
      read = n;
    }
    if (read < size) {
      content.resize(begin + read);
      break;
    }
  }
  return {};
}

Result<std::size_t> IncomingItem::read(std::uint64_t offset, MutableBytes out) {
  State& s = *state_;
  if (s.part) return s.part->read(offset, out);
  if (!s.answer.in_place) return std::size_t{0};
  if (!s.is_pack) {
    if (!s.standing_file.is_open()) {
      SEALINE_TRY(file, s.folder->root.open_file(s.standing, O_RDONLY));
      s.standing_file = std::move(file);
    }
    return read_at(s.standing_file.value(), offset, out);
  }
  SEALINE_TRY(s.read_content());
  if (offset >= s.content.size()) return std::size_t{0};
  const ByteView rest = ByteView(s.content).subspan(static_cast<std::size_t>(offset));
  const std::size_t n = std::min(rest.size(), out.size());
  std::ranges::copy(rest.first(n), out.begin());
  return n;
}

/// Makes a part, under a name that no other peer's has, and tells the ledger whose it is.
Result<> IncomingItem::State::make_part() {
  part.reset();
  std::vector<LedgerChange> changes;
  std::string name = part_name(first().name, key.peer, false);
  SEALINE_TRY(owner, folder->ledger.find_part(in_ledger(name)));
  if (owner && owner->key.peer != key.peer) {
    name = part_name(first().name, key.peer, true);
  } else if (owner && !(owner->key == key)) {
    // The same file, offered in other blocks before: that part goes.
    changes.push_back(erase_row(owner->key));
  }
  SEALINE_TRY(made, PartFile::create(folder->root, std::move(name)));
  part.emplace(std::move(made));
  changes.push_back({part_row(0), false});
  return folder->ledger.commit(changes, Durability::process);
}

LedgerRow IncomingItem::State::part_row(std::uint32_t have) const {
  LedgerRow out;
  out.key = key;
  out.state = ItemState::part;
  out.path = in_ledger(first().name);
  out.part = part ? in_ledger(part->name()) : std::string();
  out.have = have;
  out.size_bytes = std::max(total_bytes, written_end);
  out.mtime_ns = first().mtime_ns;
  return out;
}

Result<> IncomingItem::start(std::uint32_t first_block) {
  State& s = *state_;
  s.standing_file.reset();
  if (s.answer.in_place && first_block == s.blocks) {
    s.stays = true;
    return {};
  }
  if (s.is_pack) {
    s.content.assign(static_cast<std::size_t>(s.total_bytes), 0);
    return {};
  }
  if (first_block == 0 || !s.part) SEALINE_TRY(s.make_part());
  s.written_end = s.meta.size_unknown ? first_block * s.block_bytes() : 0;
  if (!s.meta.size_unknown) return s.part->set_size(s.total_bytes);
  return {};
}

/// Space and quota for an item that did not say how large it becomes.
Result<> IncomingItem::State::promise(std::uint64_t end_bytes) {
  const std::scoped_lock lock(growing);
  written_end = std::max(written_end, end_bytes);
  if (end_bytes <= promised_bytes) return {};
  const std::uint64_t more = std::max(kGrowBytes, end_bytes - promised_bytes);
  SEALINE_TRY(free_bytes, folder->root.free_bytes());
  if (const auto grown = reservation.grow(folder->quota, more, free_bytes); grown) {
    promised_bytes += more;
    return {};
  }
  // The last step may be a short one.
  const std::uint64_t exact = end_bytes - promised_bytes;
  SEALINE_TRY(reservation.grow(folder->quota, exact, free_bytes));
  promised_bytes += exact;
  return {};
}

Result<> IncomingItem::write(std::uint64_t offset, ByteView bytes) {
  State& s = *state_;
  if (s.meta.size_unknown) {
    SEALINE_TRY(s.promise(offset + bytes.size()));
  } else if (!is_within(offset, bytes.size(), s.total_bytes)) {
    return fail(Errc::protocol_broken);
  }
  if (s.is_pack) {
    if (!is_within(offset, bytes.size(), s.content.size())) return fail(Errc::wrong_state);
    std::ranges::copy(bytes, s.content.begin() + static_cast<std::ptrdiff_t>(offset));
    return {};
  }
  if (!s.part) return fail(Errc::wrong_state);
  SEALINE_TRY(s.part->write(offset, bytes));
  s.reservation.spend(bytes.size());
  return {};
}

Result<> IncomingItem::write_zeros(std::uint64_t offset, std::uint64_t bytes) {
  State& s = *state_;
  if (s.meta.size_unknown) {
    SEALINE_TRY(s.promise(offset + bytes));
  } else if (!is_within(offset, bytes, s.total_bytes)) {
    return fail(Errc::protocol_broken);
  }
  if (s.is_pack) {
    if (!is_within(offset, bytes, s.content.size())) return fail(Errc::wrong_state);
    std::ranges::fill(MutableBytes(s.content).subspan(static_cast<std::size_t>(offset),
                                                      static_cast<std::size_t>(bytes)),
                      std::uint8_t{0});
    return {};
  }
  if (!s.part) return fail(Errc::wrong_state);
  SEALINE_TRY(s.part->write_zeros(offset, bytes));
  s.reservation.spend(bytes);
  return {};
}

Result<> IncomingItem::sync() {
  if (!state_->part) return {};
  return state_->part->sync();
}

std::optional<LedgerChange> IncomingItem::progress(std::uint32_t have) const {
  if (!state_->part) return std::nullopt;
  return LedgerChange{state_->part_row(have), false};
}

void IncomingItem::discard() {
  State& s = *state_;
  if (s.part) (void)s.part->remove();
  s.part.reset();
  s.staged.clear();
  if (s.row || !s.is_pack) {
    // Best effort: a row without its part is a hint that comes to nothing.
    const LedgerChange change = erase_row(s.key);
    (void)s.folder->ledger.commit({&change, 1}, Durability::process);
  }
}

Result<> discard_part(const ReceiveRoot& root, Ledger& ledger, const LedgerRow& row) {
  if (is_part_name(row.part)) {
    const auto part = PartFile::open(root, row.part);
    if (part) SEALINE_TRY(part->remove());
    if (!part && part.error().code == Errc::item_busy) return std::unexpected(part.error());
  }
  const LedgerChange change = erase_row(row.key);
  return ledger.commit({&change, 1}, Durability::power);
}

}  // namespace sealine::io::stx
