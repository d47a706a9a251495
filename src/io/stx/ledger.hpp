#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/stx/message.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sealine::io::stx {

/// What an item is known by from one session to the next.   spec: stx.md#durability
struct ItemKey {
  ByteArray<16> peer{};
  ByteArray<32> names{};  ///< names_hash of its entries
  std::uint8_t block_log2 = 0;

  friend bool operator==(const ItemKey&, const ItemKey&) = default;
};

/// H over the names of the entries in their order, each with its u16 length before it.
[[nodiscard]] ByteArray<32> names_hash(std::span<const sealine::stx::Entry> entries);

enum class ItemState : std::uint8_t { part = 0, finished = 1 };

/// What the ledger remembers of an item. All of it is a hint: nothing in it is trusted, neither its
/// number of blocks (the disk is hashed again) nor its paths (they pass check_name and the root).
struct LedgerRow {
  ItemKey key;
  ItemState state{};
  std::string path;  ///< of its first entry, below the receive folder; where it stands, if finished
  std::string part;  ///< of the part file, below the receive folder; empty if there is none
  std::uint32_t have = 0;  ///< leading blocks on stable storage
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;   ///< of its first entry
  std::uint32_t entries = 1;   ///< counted by the quota of files
  std::int64_t changed_s = 0;  ///< Unix time of the last change, set by the ledger

  friend bool operator==(const LedgerRow&, const LedgerRow&) = default;
};

/// A row put in place of the one with its key, or taken out.
struct LedgerChange {
  LedgerRow row;
  bool erase = false;  ///< only row.key is looked at
};

/// Takes out the row of `key`, if there is one.
[[nodiscard]] LedgerChange erase_row(const ItemKey& key);

/// Whether a commit must outlast a power failure: what backs an ACK of durable blocks or a DONE.
enum class Durability : std::uint8_t { process, power };

/// What the rows of a peer add up to.
struct LedgerUsage {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
};

inline constexpr std::string_view kLedgerName = ".stx-ledger";
inline constexpr std::int64_t kFinishedRowSeconds = std::int64_t{30} * 24 * 3600;

struct LedgerOptions {
  /// How long a call waits for other processes that write to the same ledger.
  std::chrono::milliseconds lock_wait{10'000};
  /// Told, in a sentence, when a damaged ledger was set aside. May be empty.
  std::function<void(std::string_view)> on_notice;
};

/// The memory of a receive folder: DIR/.stx-ledger, an SQLite database (WAL).
///
/// A ledger that cannot be read is renamed to `.stx-ledger.damaged-N`, said so by on_notice, and a
/// new one begun, also in the midst of a run: its loss costs resending and no integrity. Several
/// processes may share it. Errors: file_locked (another process holds it for longer than
/// lock_wait), disk_full, file_error. Any thread: calls wait for each other. Nothing throws.
class Ledger final {
 public:
  /// `folder` is an existing folder; its symbolic links are resolved here, and none is followed
  /// afterwards. Rows of finished items that are older than 30 days are taken out.
  static Result<Ledger> open(const std::filesystem::path& folder, LedgerOptions options = {});
  Ledger(Ledger&&) noexcept;
  Ledger& operator=(Ledger&&) noexcept;
  ~Ledger();

  [[nodiscard]] Result<std::optional<LedgerRow>> find(const ItemKey& key);

  /// All changes or none, in one transaction.
  [[nodiscard]] Result<> commit(std::span<const LedgerChange> changes, Durability durability);

  /// Another item's row that owns this part file.
  [[nodiscard]] Result<std::optional<LedgerRow>> find_part(std::string_view part);

  /// All rows, parts first, then by path.
  [[nodiscard]] Result<std::vector<LedgerRow>> list();

  /// Of rows that are there, finished ones for 30 days.
  [[nodiscard]] Result<LedgerUsage> usage(const ByteArray<16>& peer);

  /// Takes out finished rows that have not changed for 30 days at `now_s`; how many they were.
  [[nodiscard]] Result<std::size_t> purge(std::int64_t now_s);

 private:
  struct Database;
  explicit Ledger(std::unique_ptr<Database> database) noexcept;
  std::unique_ptr<Database> database_;
};

}  // namespace sealine::io::stx
