#include "sealine/io/stx_ledger.hpp"

#include "io/stx/incoming_item.hpp"
#include "io/stx/lane_opening.hpp"
#include "io/stx/ledger.hpp"
#include "io/stx/receive_root.hpp"

#include <utility>

namespace sealine::io::stx {

namespace {

/// A directory without a ledger is left without one.
bool has_ledger(const ReceiveRoot& root) { return root.status(kLedgerName).has_value(); }

}  // namespace

Result<std::vector<LedgerEntry>> list_transfers(const std::filesystem::path& directory,
                                                bool finished) {
  std::vector<LedgerEntry> entries;
  std::error_code ec;
  if (!std::filesystem::exists(directory, ec)) return entries;
  SEALINE_TRY(root, ReceiveRoot::open(directory));
  if (!has_ledger(root)) return entries;
  SEALINE_TRY(ledger, Ledger::open(root.path()));
  SEALINE_TRY(rows, ledger.list());
  for (const LedgerRow& row : rows) {
    const bool is_finished = row.state == ItemState::finished;
    if (is_finished && !finished) continue;
    const std::uint64_t have = std::uint64_t{row.have} << row.key.block_log2;
    entries.push_back({.peer_id = hex_of(row.key.peer),
                       .name = row.path,
                       .is_finished = is_finished,
                       .have_bytes = is_finished ? row.size_bytes : have,
                       .size_bytes = row.size_bytes,
                       .changed = std::chrono::sys_seconds(std::chrono::seconds(row.changed_s))});
  }
  return entries;
}

Result<std::size_t> discard_transfers(const std::filesystem::path& directory,
                                      std::optional<std::string> peer_id) {
  std::error_code ec;
  if (!std::filesystem::exists(directory, ec)) return std::size_t{0};
  SEALINE_TRY(root, ReceiveRoot::open(directory));
  if (!has_ledger(root)) return std::size_t{0};
  SEALINE_TRY(ledger, Ledger::open(root.path()));
  SEALINE_TRY(rows, ledger.list());
  std::size_t count = 0;
  for (const LedgerRow& row : rows) {
    if (row.state == ItemState::finished) continue;
    if (peer_id && hex_of(row.key.peer) != *peer_id) continue;
    SEALINE_TRY(discard_part(root, ledger, row));
    ++count;
  }
  return count;
}

}  // namespace sealine::io::stx
