#pragma once

#include "io/detail/file.hpp"
#include "io/stx/ledger.hpp"
#include "sealine/base/error.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <sys/types.h>

struct sqlite3;
struct sqlite3_stmt;

namespace sealine::io::stx {

/// The prepared statements, in the order of their texts in ledger_database.cpp.
enum class LedgerStatement : std::uint8_t {
  find,
  put,
  erase,
  find_part,
  list,
  usage,
  purge,
  begin,
  commit,
  rollback,
};

inline constexpr std::size_t kLedgerStatements = 10;

/// One open SQLite database with our table in it. Functions give SQLite's result codes;
/// SQLITE_CORRUPT for all that is not as we write it. One thread.
class LedgerDatabase final {
 public:
  explicit LedgerDatabase(std::filesystem::path folder) : folder_(std::move(folder)) {}

  LedgerDatabase(const LedgerDatabase&) = delete;
  LedgerDatabase& operator=(const LedgerDatabase&) = delete;
  LedgerDatabase(LedgerDatabase&&) = delete;
  LedgerDatabase& operator=(LedgerDatabase&&) = delete;

  ~LedgerDatabase() { close(); }

  [[nodiscard]] int open(std::chrono::milliseconds lock_wait);
  void close() noexcept;

  [[nodiscard]] bool is_open() const noexcept { return database_ != nullptr; }

  /// The statement, ready to be bound. Null: it cannot be prepared, failure() says why.
  [[nodiscard]] sqlite3_stmt* statement(LedgerStatement which);
  /// Runs one that gives no row.
  [[nodiscard]] int run(LedgerStatement which);
  [[nodiscard]] int set_durability(Durability durability);
  [[nodiscard]] int changes() const noexcept;
  [[nodiscard]] int failure() const noexcept;

  /// Renames the files to `.stx-ledger.damaged-N`; the name that was given. If another process did
  /// so already, nothing is renamed, and the name is empty.
  [[nodiscard]] Result<std::string> set_aside();

  [[nodiscard]] Error error_of(int code) const noexcept;

 private:
  [[nodiscard]] int prepare_file();
  [[nodiscard]] int connect(std::chrono::milliseconds lock_wait);
  [[nodiscard]] int set_up();
  [[nodiscard]] int check_schema();
  [[nodiscard]] int execute(const char* sql) const;
  [[nodiscard]] int number(const char* sql, std::int64_t& value) const;

  std::filesystem::path folder_;
  sqlite3* database_ = nullptr;
  std::array<sqlite3_stmt*, kLedgerStatements> statements_{};
  Durability durability_ = Durability::power;
  ::ino_t inode_ = 0;
  int file_errno_ = 0;  ///< of prepare_file
};

}  // namespace sealine::io::stx
