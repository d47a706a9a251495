#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sealine::io::stx {

/// A row of a receive directory's ledger.   spec: stx.md#durability
struct LedgerEntry {
  std::string peer_id;  ///< 32 hex digits
  std::string name;     ///< of a pack: its first entry's; show it quoted
  bool is_finished = false;
  std::uint64_t have_bytes = 0;
  std::uint64_t size_bytes = 0;  ///< 0: unknown
  std::chrono::sys_seconds changed;
};

/// `recv --list`: transfers that are not finished, and with `finished` the others of the last 30
/// days too. A directory without a ledger has none. Errors: file_error, file_locked.
[[nodiscard]] SEALINE_API Result<std::vector<LedgerEntry>> list_transfers(
    const std::filesystem::path& directory, bool finished = false);

/// `recv --discard`: deletes the part files and rows of unfinished transfers, of all peers or of
/// one; returns how many. Errors: as list_transfers.
[[nodiscard]] SEALINE_API Result<std::size_t> discard_transfers(
    const std::filesystem::path& directory, std::optional<std::string> peer_id = std::nullopt);

}  // namespace sealine::io::stx
