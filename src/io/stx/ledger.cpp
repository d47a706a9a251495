#include "io/stx/ledger.hpp"

#include "io/stx/file_failure.hpp"
#include "io/stx/ledger_database.hpp"
#include "io/stx/place.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <ctime>
#include <limits>
#include <mutex>
#include <sqlite3.h>
#include <system_error>
#include <utility>

namespace sealine::io::stx {

namespace {

bool is_damage(int code) noexcept {
  const int primary = code & 0xFF;
  // SQLITE_ERROR: our own statements do not fit to what stands there.
  return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB || primary == SQLITE_ERROR ||
         primary == SQLITE_FORMAT || primary == SQLITE_TOOBIG || primary == SQLITE_MISMATCH ||
         code == SQLITE_IOERR_SHORT_READ;
}

void bind(sqlite3_stmt* query, int index, ByteView bytes) {
  // A null pointer would be NULL and not an empty value.
  const void* const data = bytes.empty() ? static_cast<const void*>("") : bytes.data();
  ::sqlite3_bind_blob(query, index, data, static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
}

void bind(sqlite3_stmt* query, int index, std::int64_t number) {
  ::sqlite3_bind_int64(query, index, number);
}

void bind_key(sqlite3_stmt* query, const ItemKey& key) {
  bind(query, 1, ByteView(key.peer));
  bind(query, 2, ByteView(key.names));
  bind(query, 3, std::int64_t{key.block_log2});
}

ByteView blob(sqlite3_stmt* query, int column) {
  const auto* data = static_cast<const std::uint8_t*>(::sqlite3_column_blob(query, column));
  const int size = ::sqlite3_column_bytes(query, column);
  return data == nullptr ? ByteView() : ByteView(data, static_cast<std::size_t>(size));
}

template <std::size_t N>
bool read_fixed(sqlite3_stmt* query, int column, ByteArray<N>& out) {
  const ByteView bytes = blob(query, column);
  if (bytes.size() != N) return false;
  std::ranges::copy(bytes, out.begin());
  return true;
}

template <class U>
bool read_number(sqlite3_stmt* query, int column, U& out) {
  if (::sqlite3_column_type(query, column) != SQLITE_INTEGER) return false;
  const std::int64_t value = ::sqlite3_column_int64(query, column);
  if (!std::in_range<U>(value)) return false;
  out = static_cast<U>(value);
  return true;
}

/// The row that `query` stands on; false where it is none that we wrote.
bool read_row(sqlite3_stmt* query, LedgerRow& row) {
  std::uint8_t state = 0;
  if (!read_fixed(query, 0, row.key.peer) || !read_fixed(query, 1, row.key.names) ||
      !read_number(query, 2, row.key.block_log2) || !read_number(query, 3, state) || state > 1) {
    return false;
  }
  row.state = static_cast<ItemState>(state);
  row.path = as_text(blob(query, 4));
  row.part = as_text(blob(query, 5));
  return read_number(query, 6, row.have) && read_number(query, 7, row.size_bytes) &&
         read_number(query, 8, row.mtime_ns) && read_number(query, 9, row.entries) &&
         read_number(query, 10, row.changed_s);
}

void bind_row(sqlite3_stmt* query, const LedgerRow& row, std::int64_t now_s) {
  bind_key(query, row.key);
  bind(query, 4, static_cast<std::int64_t>(row.state));
  bind(query, 5, as_bytes(row.path));
  bind(query, 6, as_bytes(row.part));
  bind(query, 7, std::int64_t{row.have});
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  bind(query, 8, static_cast<std::int64_t>(std::min(row.size_bytes, kMax)));
  bind(query, 9, row.mtime_ns);
  bind(query, 10, std::int64_t{row.entries});
  bind(query, 11, now_s);
}

/// Steps through all rows; `visit` says false where one is not as we write it.
template <class Visit>
int for_each_row(sqlite3_stmt* query, Visit visit) {
  int code = SQLITE_ROW;
  while ((code = ::sqlite3_step(query)) == SQLITE_ROW) {
    if (!visit()) {
      code = SQLITE_CORRUPT;
      break;
    }
  }
  ::sqlite3_reset(query);
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

std::int64_t unix_seconds() { return static_cast<std::int64_t>(std::time(nullptr)); }

}  // namespace

ByteArray<32> names_hash(std::span<const sealine::stx::Entry> entries) {
  std::vector<std::uint8_t> text;
  for (const auto& entry : entries) {
    const auto size = static_cast<std::uint16_t>(entry.name.size());
    text.push_back(static_cast<std::uint8_t>(size >> 8U));
    text.push_back(static_cast<std::uint8_t>(size & 0xFFU));
    const ByteView name = as_bytes(entry.name);
    text.insert(text.end(), name.begin(), name.end());
  }
  ByteArray<32> hash{};
  thread_engine().sha256({ByteView(text)}, hash);
  return hash;
}

LedgerChange erase_row(const ItemKey& key) {
  LedgerChange change;
  change.row.key = key;
  change.erase = true;
  return change;
}

struct Ledger::Database {
  Database(std::filesystem::path folder, LedgerOptions opts)
      : options(std::move(opts)), database(std::move(folder)) {}

  LedgerOptions options;
  std::mutex mutex;
  LedgerDatabase database;

  /// Calls `work`, which gives an SQLite code, on a ledger that is open. One that is damaged is
  /// replaced, once, and the work done on the new one.
  template <class Work>
  Result<> with(Work work) {
    const std::scoped_lock lock(mutex);
    const FileSizeSignalGuard guard;
    int code = SQLITE_OK;
    for (int tries = 0; tries < 2; ++tries) {
      code = database.is_open() ? SQLITE_OK : database.open(options.lock_wait);
      if (code == SQLITE_OK) code = work(database);
      if (code == SQLITE_OK) return {};
      if (!is_damage(code)) break;
      SEALINE_TRY(name, database.set_aside());
      if (!name.empty() && options.on_notice) {
        options.on_notice("the ledger " + std::string(kLedgerName) +
                          " is damaged; it is now called " + name +
                          ", and unfinished transfers begin anew");
      }
    }
    const Error error = database.error_of(code);
    if (!is_damage(code) && (code & 0xFF) != SQLITE_BUSY) database.close();
    return std::unexpected(error);
  }
};

Ledger::Ledger(std::unique_ptr<Database> database) noexcept : database_(std::move(database)) {}

Ledger::Ledger(Ledger&&) noexcept = default;
Ledger& Ledger::operator=(Ledger&&) noexcept = default;
Ledger::~Ledger() = default;

Result<Ledger> Ledger::open(const std::filesystem::path& folder, LedgerOptions options) {
  std::error_code ec;
  std::filesystem::path path = std::filesystem::canonical(folder, ec);
  if (ec) return std::unexpected(file_error_of(ec.value()));
  Ledger ledger(std::make_unique<Database>(std::move(path), std::move(options)));
  const auto purged = ledger.purge(unix_seconds());
  // Another process writes just now: the old rows go another time.
  if (!purged && purged.error().code != Errc::file_locked) return std::unexpected(purged.error());
  return ledger;
}

Result<std::optional<LedgerRow>> Ledger::find(const ItemKey& key) {
  std::optional<LedgerRow> found;
  SEALINE_TRY(database_->with([&](LedgerDatabase& database) {
    found.reset();
    sqlite3_stmt* const query = database.statement(LedgerStatement::find);
    if (query == nullptr) return database.failure();
    bind_key(query, key);
    return for_each_row(query, [&] { return read_row(query, found.emplace()); });
  }));
  return found;
}

Result<std::optional<LedgerRow>> Ledger::find_part(std::string_view part) {
  std::optional<LedgerRow> found;
  SEALINE_TRY(database_->with([&](LedgerDatabase& database) {
    found.reset();
    sqlite3_stmt* const query = database.statement(LedgerStatement::find_part);
    if (query == nullptr) return database.failure();
    bind(query, 1, as_bytes(part));
    return for_each_row(query, [&] { return read_row(query, found.emplace()); });
  }));
  return found;
}

Result<> Ledger::commit(std::span<const LedgerChange> changes, Durability durability) {
  if (changes.empty()) return {};
  return database_->with([&](LedgerDatabase& database) {
    int code = database.set_durability(durability);
    if (code == SQLITE_OK) code = database.run(LedgerStatement::begin);
    if (code != SQLITE_OK) return code;
    const std::int64_t now_s = unix_seconds();
    for (const LedgerChange& change : changes) {
      const auto which = change.erase ? LedgerStatement::erase : LedgerStatement::put;
      sqlite3_stmt* const query = database.statement(which);
      code = query == nullptr ? database.failure() : SQLITE_OK;
      if (code != SQLITE_OK) break;
      if (change.erase) {
        bind_key(query, change.row.key);
      } else {
        bind_row(query, change.row, now_s);
      }
      code = ::sqlite3_step(query);
      ::sqlite3_reset(query);
      if (code != SQLITE_DONE) break;
      code = SQLITE_OK;
    }
    if (code == SQLITE_OK) code = database.run(LedgerStatement::commit);
    if (code != SQLITE_OK) (void)database.run(LedgerStatement::rollback);
    return code;
  });
}

Result<std::vector<LedgerRow>> Ledger::list() {
  std::vector<LedgerRow> rows;
  SEALINE_TRY(database_->with([&](LedgerDatabase& database) {
    rows.clear();
    sqlite3_stmt* const query = database.statement(LedgerStatement::list);
    if (query == nullptr) return database.failure();
    return for_each_row(query, [&] { return read_row(query, rows.emplace_back()); });
  }));
  return rows;
}

Result<LedgerUsage> Ledger::usage(const ByteArray<16>& peer) {
  LedgerUsage usage;
  SEALINE_TRY(database_->with([&](LedgerDatabase& database) {
    usage = {};
    sqlite3_stmt* const query = database.statement(LedgerStatement::usage);
    if (query == nullptr) return database.failure();
    bind(query, 1, ByteView(peer));
    return for_each_row(query, [&] {
      std::uint64_t bytes = 0;
      std::uint32_t entries = 0;
      if (!read_number(query, 0, bytes) || !read_number(query, 1, entries)) return false;
      usage.bytes = usage.bytes + bytes < bytes ? std::numeric_limits<std::uint64_t>::max()
                                                : usage.bytes + bytes;
      usage.files += entries;
      return true;
    });
  }));
  return usage;
}

Result<std::size_t> Ledger::purge(std::int64_t now_s) {
  std::size_t count = 0;
  SEALINE_TRY(database_->with([&](LedgerDatabase& database) {
    sqlite3_stmt* const query = database.statement(LedgerStatement::purge);
    if (query == nullptr) return database.failure();
    int code = database.set_durability(Durability::process);
    if (code != SQLITE_OK) return code;
    bind(query, 1, now_s - kFinishedRowSeconds);
    code = ::sqlite3_step(query);
    ::sqlite3_reset(query);
    if (code != SQLITE_DONE) return code;
    count = static_cast<std::size_t>(database.changes());
    return SQLITE_OK;
  }));
  return count;
}

}  // namespace sealine::io::stx
