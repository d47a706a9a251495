#include "io/stx/ledger_database.hpp"

#include "io/stx/file_failure.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <sqlite3.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sealine::io::stx {

namespace {

constexpr int kApplicationId = 0x53545831;  // "STX1"
constexpr int kSchemaVersion = 1;
constexpr int kMaxValueBytes = 16384;  // a path has 4095
constexpr int kMaxDamaged = 10000;
constexpr long kBusyPauseNs = 5'000'000;

constexpr const char* kCreateTable =
    "CREATE TABLE item(peer BLOB NOT NULL, names BLOB NOT NULL, block_log2 INTEGER NOT NULL, "
    "state INTEGER NOT NULL, path BLOB NOT NULL, part BLOB NOT NULL, have INTEGER NOT NULL, "
    "size INTEGER NOT NULL, mtime INTEGER NOT NULL, entries INTEGER NOT NULL, "
    "changed INTEGER NOT NULL, PRIMARY KEY(peer, names, block_log2)) WITHOUT ROWID";
constexpr const char* kCreateIndex = "CREATE INDEX item_part ON item(part) WHERE part <> x''";

constexpr std::array<const char*, kLedgerStatements> kTexts{
    "SELECT peer, names, block_log2, state, path, part, have, size, mtime, entries, changed "
    "FROM item WHERE peer = ?1 AND names = ?2 AND block_log2 = ?3",
    "INSERT OR REPLACE INTO item VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    "DELETE FROM item WHERE peer = ?1 AND names = ?2 AND block_log2 = ?3",
    "SELECT peer, names, block_log2, state, path, part, have, size, mtime, entries, changed "
    "FROM item WHERE part = ?1 AND part <> x'' ORDER BY peer, names, block_log2 LIMIT 1",
    "SELECT peer, names, block_log2, state, path, part, have, size, mtime, entries, changed "
    "FROM item ORDER BY state, path, peer, names, block_log2",
    "SELECT size, entries FROM item WHERE peer = ?1",
    "DELETE FROM item WHERE state = 1 AND changed < ?1",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
};

}  // namespace

int LedgerDatabase::prepare_file() {
  auto folder = detail::open_file(folder_, O_RDONLY | O_DIRECTORY);
  if (!folder) {
    file_errno_ = static_cast<int>(folder.error().detail);
    return SQLITE_CANTOPEN;
  }
  // SQLite would make it readable for everybody.
  const detail::FileDescriptor made(::openat(folder->value(), std::string(kLedgerName).c_str(),
                                             O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!made.is_open() && errno != EEXIST) {
    file_errno_ = errno;
    return SQLITE_CANTOPEN;
  }
  for (const std::string_view suffix : {"-wal", "-shm", ""}) {
    struct ::stat status{};
    const std::string name = std::string(kLedgerName).append(suffix);
    if (::fstatat(folder->value(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    // A link or a FIFO that somebody put there is not opened.
    if (!S_ISREG(status.st_mode) || status.st_nlink != 1) return SQLITE_CORRUPT;
    inode_ = status.st_ino;
  }
  return SQLITE_OK;
}

int LedgerDatabase::open(std::chrono::milliseconds lock_wait) {
  close();
  file_errno_ = 0;
  int code = prepare_file();
  if (code == SQLITE_OK) code = connect(lock_wait);
  if (code != SQLITE_OK && database_ != nullptr) {
    file_errno_ = ::sqlite3_system_errno(database_);
    close();
  }
  return code;
}

int LedgerDatabase::connect(std::chrono::milliseconds lock_wait) {
  const std::filesystem::path path = folder_ / kLedgerName;
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                         SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
  if (const int code = ::sqlite3_open_v2(path.c_str(), &database_, kFlags, nullptr);
      code != SQLITE_OK) {
    return code;
  }
  ::sqlite3_busy_timeout(database_, static_cast<int>(lock_wait.count()));
  // What two processes do at once when they begin a ledger is busy at once, without that waiting.
  const auto deadline = std::chrono::steady_clock::now() + lock_wait;
  for (;;) {
    int code = set_up();
    // A damaged head may say that only a later SQLite may write: then ours reads alone, where the
    // file itself could be written.
    const bool reads_alone = code == SQLITE_READONLY ||
                             (code == SQLITE_OK && ::sqlite3_db_readonly(database_, "main") == 1);
    if (reads_alone && ::access(path.c_str(), W_OK) == 0) code = SQLITE_CORRUPT;
    if ((code & 0xFF) != SQLITE_BUSY || std::chrono::steady_clock::now() >= deadline) return code;
    const ::timespec pause{0, kBusyPauseNs};
    ::nanosleep(&pause, nullptr);
  }
}

void LedgerDatabase::close() noexcept {
  for (sqlite3_stmt*& statement : statements_)
    ::sqlite3_finalize(std::exchange(statement, nullptr));
  if (database_ != nullptr) ::sqlite3_close(std::exchange(database_, nullptr));
}

int LedgerDatabase::execute(const char* sql) const {
  return ::sqlite3_exec(database_, sql, nullptr, nullptr, nullptr);
}

int LedgerDatabase::number(const char* sql, std::int64_t& value) const {
  sqlite3_stmt* query = nullptr;
  int code = ::sqlite3_prepare_v2(database_, sql, -1, &query, nullptr);
  if (code == SQLITE_OK) code = ::sqlite3_step(query);
  if (code == SQLITE_ROW) value = ::sqlite3_column_int64(query, 0);
  ::sqlite3_finalize(query);
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int LedgerDatabase::set_up() {
  // The file may hold anything: no functions, triggers or views of its own are trusted.
  ::sqlite3_db_config(database_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  ::sqlite3_db_config(database_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  ::sqlite3_db_config(database_, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  ::sqlite3_db_config(database_, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  ::sqlite3_limit(database_, SQLITE_LIMIT_LENGTH, kMaxValueBytes);
  // Also where WAL is not possible (network file systems): then it is a rollback journal.
  for (const char* sql :
       {"PRAGMA cell_size_check = ON", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"}) {
    if (const int code = execute(sql); code != SQLITE_OK) return code;
  }
  durability_ = Durability::power;
  std::int64_t tables = 0;
  if (const int code = number("SELECT count(*) FROM sqlite_schema", tables); code != SQLITE_OK) {
    return code;
  }
  if (tables == 0) {
    if (const int code = execute("BEGIN IMMEDIATE"); code != SQLITE_OK) return code;
    // Another process may have been faster.
    int code = number("SELECT count(*) FROM sqlite_schema", tables);
    const std::string sql = std::string(kCreateTable) + ";" + kCreateIndex +
                            ";PRAGMA application_id = " + std::to_string(kApplicationId) +
                            ";PRAGMA user_version = " + std::to_string(kSchemaVersion);
    if (code == SQLITE_OK && tables == 0) code = execute(sql.c_str());
    if (code == SQLITE_OK) code = execute("COMMIT");
    if (code != SQLITE_OK) {
      (void)execute("ROLLBACK");
      return code;
    }
  }
  return check_schema();
}

int LedgerDatabase::check_schema() {
  std::int64_t id = 0;
  std::int64_t version = 0;
  for (const auto& [sql, value] :
       {std::pair("PRAGMA application_id", &id), std::pair("PRAGMA user_version", &version)}) {
    if (const int code = number(sql, *value); code != SQLITE_OK) return code;
  }
  if (id != kApplicationId || version != kSchemaVersion) return SQLITE_CORRUPT;

  sqlite3_stmt* query = nullptr;
  int code = ::sqlite3_prepare_v2(database_, "SELECT sql FROM sqlite_schema", -1, &query, nullptr);
  int known = 0;
  while (code == SQLITE_OK || code == SQLITE_ROW) {
    code = ::sqlite3_step(query);
    if (code != SQLITE_ROW) break;
    const auto* text = static_cast<const char*>(::sqlite3_column_blob(query, 0));
    const auto size = static_cast<std::size_t>(::sqlite3_column_bytes(query, 0));
    const std::string_view sql =
        text == nullptr ? std::string_view() : std::string_view(text, size);
    if (sql != kCreateTable && sql != kCreateIndex) break;
    ++known;
  }
  ::sqlite3_finalize(query);
  if (code == SQLITE_ROW || (code == SQLITE_DONE && known != 2)) return SQLITE_CORRUPT;
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

sqlite3_stmt* LedgerDatabase::statement(LedgerStatement which) {
  sqlite3_stmt*& statement = statements_.at(static_cast<std::size_t>(which));
  if (statement == nullptr) {
    const char* const sql = kTexts.at(static_cast<std::size_t>(which));
    ::sqlite3_prepare_v3(database_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  } else {
    ::sqlite3_reset(statement);
  }
  return statement;
}

int LedgerDatabase::run(LedgerStatement which) {
  sqlite3_stmt* const query = statement(which);
  if (query == nullptr) return failure();
  const int code = ::sqlite3_step(query);
  ::sqlite3_reset(query);
  return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

int LedgerDatabase::set_durability(Durability durability) {
  if (durability == durability_) return SQLITE_OK;
  const int code = execute(durability == Durability::power ? "PRAGMA synchronous = FULL"
                                                           : "PRAGMA synchronous = NORMAL");
  if (code == SQLITE_OK) durability_ = durability;
  return code;
}

int LedgerDatabase::failure() const noexcept {
  const int code = ::sqlite3_extended_errcode(database_);
  return code == SQLITE_OK ? SQLITE_ERROR : code;
}

int LedgerDatabase::changes() const noexcept { return ::sqlite3_changes(database_); }

Result<std::string> LedgerDatabase::set_aside() {
  close();
  SEALINE_TRY(folder, detail::open_file(folder_, O_RDONLY | O_DIRECTORY));
  const std::string ledger(kLedgerName);
  struct ::stat status{};
  if (::fstatat(folder.value(), ledger.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
      (inode_ != 0 && status.st_ino != inode_)) {
    return std::string();
  }
  for (int n = 1; n <= kMaxDamaged; ++n) {
    const std::string name = ledger + ".damaged-" + std::to_string(n);
    // The log goes first: without its ledger it is worth nothing, with another one it is poison.
    const std::string log = ledger + "-wal";
    const int log_moved = ::renameat2(folder.value(), log.c_str(), folder.value(),
                                      (name + "-wal").c_str(), RENAME_NOREPLACE);
    if (log_moved != 0 && errno == EEXIST) continue;
    ::unlinkat(folder.value(), (ledger + "-shm").c_str(), 0);
    if (::renameat2(folder.value(), ledger.c_str(), folder.value(), name.c_str(),
                    RENAME_NOREPLACE) == 0) {
      return name;
    }
    if (errno == ENOENT) return std::string();
    if (errno != EEXIST) return failed();
  }
  return std::unexpected(file_error_of(EEXIST));
}

Error LedgerDatabase::error_of(int code) const noexcept {
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Errc::file_locked, 0};
    case SQLITE_FULL:
      return {Errc::disk_full, ENOSPC};
    case SQLITE_READONLY:
      return {Errc::file_error, EROFS};
    default:
      break;
  }
  int number = file_errno_;
  if (number == 0 && database_ != nullptr) number = ::sqlite3_system_errno(database_);
  return file_error_of(number == 0 ? EIO : number);
}

}  // namespace sealine::io::stx
