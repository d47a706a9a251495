// A ledger as a damaged disk, another program or somebody who may write there leaves it: every call
// answers, from its rows or from a new ledger, and what is committed then is found.
//
//   byte 0   even: the rest is the file
//            odd: the rest are changes to a good one, four bytes each: offset (3, big-endian),
//            value
#include "io/stx/ledger.hpp"
#include "sealine/base/assert.hpp"
#include "sealine/base/bytes.hpp"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace sealine;
using namespace sealine::io::stx;

// A folder of this process's own, in memory where there is such a place: each run writes files.
const std::filesystem::path& folder() {
  static const struct Folder {
    std::filesystem::path path;

    Folder() {
      const std::filesystem::path memory = "/dev/shm";
      std::error_code none;
      const bool in_memory = std::filesystem::is_directory(memory, none);
      const auto base = in_memory ? memory : std::filesystem::temp_directory_path();
      path = base / ("sealine-fuzz-ledger-" + std::to_string(::getpid()));
      std::filesystem::create_directories(path);
    }

    ~Folder() {
      std::error_code none;
      std::filesystem::remove_all(path, none);
    }
  } one;

  return one.path;
}

void clear() {
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    std::filesystem::remove(entry.path());
  }
}

LedgerRow row_of(int number) {
  LedgerRow row;
  row.key.peer[0] = static_cast<std::uint8_t>(number);
  row.key.names.fill(static_cast<std::uint8_t>(number * 7));
  row.key.block_log2 = 18;
  row.state = number % 2 == 0 ? ItemState::part : ItemState::finished;
  row.path = "folder/file-" + std::to_string(number);
  if (row.state == ItemState::part)
    row.part = "folder/.file-" + std::to_string(number) + ".stxpart";
  row.have = static_cast<std::uint32_t>(number);
  row.size_bytes = std::uint64_t{1} << 40U;
  return row;
}

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The bytes of a ledger with some rows.
const std::string& good_ledger() {
  static const std::string bytes = [] {
    clear();
    {
      auto ledger = Ledger::open(folder());
      std::vector<LedgerChange> changes;
      for (int i = 1; i < 60; ++i) changes.push_back({row_of(i), false});
      SEALINE_ASSERT(ledger && ledger->commit(changes, Durability::process));
    }
    return contents(folder() / kLedgerName);
  }();
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  ByteView rest = ByteView(data, size).subspan(1);
  std::string file(as_text(rest));
  if (data[0] % 2 == 1) {
    file = good_ledger();
    for (; rest.size() >= 4; rest = rest.subspan(4)) {
      const std::size_t offset =
          (std::size_t{rest[0]} << 16U) | (std::size_t{rest[1]} << 8U) | rest[2];
      file[offset % file.size()] = static_cast<char>(rest[3]);
    }
  }
  clear();
  std::ofstream(folder() / kLedgerName, std::ios::binary) << file;

  auto ledger = Ledger::open(folder());
  SEALINE_ASSERT(ledger.has_value());
  const LedgerRow mine = row_of(3);
  SEALINE_ASSERT(ledger->find(mine.key).has_value());
  SEALINE_ASSERT(ledger->find_part("folder/.file-4.stxpart").has_value());
  SEALINE_ASSERT(ledger->usage(mine.key.peer).has_value());
  SEALINE_ASSERT(ledger->list().has_value());
  const LedgerChange change{mine, false};
  SEALINE_ASSERT(ledger->commit({&change, 1}, Durability::process).has_value());
  const auto found = ledger->find(mine.key);
  SEALINE_ASSERT(found && *found && (*found)->path == mine.path);
  return 0;
}
