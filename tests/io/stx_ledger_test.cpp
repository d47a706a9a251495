#include "io/stx/ledger.hpp"
#include "io/stx_files_fixture.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sealine::io::stx {

namespace {

using test::file_entry;
using test::kOtherPeer;
using test::kPeer;
using test::slurp;
using test::spill;

LedgerRow row_of(std::string path, ItemState state = ItemState::part,
                 const ByteArray<16>& peer = kPeer) {
  LedgerRow row;
  row.key.peer = peer;
  row.key.names = names_hash(std::array{file_entry(path, 0)});
  row.key.block_log2 = 18;
  row.state = state;
  row.part = state == ItemState::part ? "." + path + ".stxpart" : std::string();
  row.path = std::move(path);
  row.have = 3;
  row.size_bytes = std::uint64_t{5} << 40U;
  row.mtime_ns = -1;
  row.entries = 1;
  return row;
}

class LedgerFile : public ::testing::Test {
 protected:
  Ledger open(std::chrono::milliseconds lock_wait = std::chrono::seconds(10)) {
    auto ledger =
        Ledger::open(folder_.path(),
                     {lock_wait, [this](std::string_view text) { notices_.emplace_back(text); }});
    EXPECT_TRUE(ledger) << static_cast<int>(ledger.error().code) << " " << ledger.error().detail;
    return std::move(*ledger);
  }

  static void put(Ledger& ledger, const LedgerRow& row) {
    const LedgerChange change{row, false};
    ASSERT_TRUE(ledger.commit({&change, 1}, Durability::power));
  }

  test::MemoryFolder folder_;
  std::filesystem::path path_ = folder_.path() / ".stx-ledger";
  std::vector<std::string> notices_;
};

TEST(NamesHash, counts_each_name_with_its_length) {
  const auto one = names_hash(std::array{file_entry("ab", 1)});
  EXPECT_EQ(one, names_hash(std::array{file_entry("ab", 2)}));
  EXPECT_NE(one, names_hash(std::array{file_entry("a", 1), file_entry("b", 1)}));
  // H(00 02 'a' 'b')
  ByteArray<32> expected{};
  thread_engine().sha256({as_bytes(std::string_view("\0\2ab", 4))}, expected);
  EXPECT_EQ(one, expected);
}

// SPEC stx.md#durability
TEST_F(LedgerFile, remembers_rows_over_a_restart) {
  LedgerRow row = row_of("a\xff\n");
  {
    Ledger ledger = open();
    put(ledger, row);
    row.have = 7;
    put(ledger, row);
  }
  Ledger ledger = open();
  auto found = *ledger.find(row.key);
  ASSERT_TRUE(found);
  EXPECT_GT(found->changed_s, 1'700'000'000);
  row.changed_s = found->changed_s;
  EXPECT_EQ(*found, row);
  EXPECT_TRUE(notices_.empty());
  EXPECT_EQ(test::lstat_of(path_).st_mode & 0777U, 0600U);
}

TEST_F(LedgerFile, knows_an_item_by_peer_names_and_block_size) {
  Ledger ledger = open();
  const LedgerRow row = row_of("a");
  put(ledger, row);
  ItemKey other = row.key;
  other.block_log2 = 17;
  EXPECT_FALSE(*ledger.find(other));
  other = row.key;
  other.peer = kOtherPeer;
  EXPECT_FALSE(*ledger.find(other));
  other = row.key;
  other.names[31] ^= 1;
  EXPECT_FALSE(*ledger.find(other));
}

TEST_F(LedgerFile, commits_many_changes_at_once_and_lists_parts_first) {
  Ledger ledger = open();
  const std::vector<LedgerChange> changes{{row_of("z"), false},
                                          {row_of("b", ItemState::finished), false},
                                          {row_of("a", ItemState::finished), false},
                                          {row_of("x"), false}};
  ASSERT_TRUE(ledger.commit(changes, Durability::process));
  std::vector<std::string> paths;
  for (const LedgerRow& row : *ledger.list()) paths.push_back(row.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"x", "z", "a", "b"}));
  const LedgerChange gone = erase_row(row_of("x").key);
  ASSERT_TRUE(ledger.commit({&gone, 1}, Durability::power));
  EXPECT_EQ(ledger.list()->size(), 3U);
}

TEST_F(LedgerFile, tells_whose_a_part_is) {
  Ledger ledger = open();
  put(ledger, row_of("a", ItemState::part, kOtherPeer));
  put(ledger, row_of("b", ItemState::finished));
  EXPECT_EQ((*ledger.find_part(".a.stxpart"))->key.peer, kOtherPeer);
  EXPECT_FALSE(*ledger.find_part(".b.stxpart"));
  EXPECT_FALSE(*ledger.find_part(""));
}

TEST_F(LedgerFile, adds_up_what_a_peer_has) {
  Ledger ledger = open();
  LedgerRow row = row_of("a");
  row.size_bytes = 100;
  put(ledger, row);
  row = row_of("b", ItemState::finished);
  row.size_bytes = 20;
  row.entries = 4;
  put(ledger, row);
  put(ledger, row_of("c", ItemState::finished, kOtherPeer));
  EXPECT_EQ(ledger.usage(kPeer)->bytes, 120U);
  EXPECT_EQ(ledger.usage(kPeer)->files, 5U);
  EXPECT_EQ(ledger.usage({})->files, 0U);
}

// SPEC stx.md#durability
TEST_F(LedgerFile, forgets_finished_rows_after_30_days_and_no_part) {
  Ledger ledger = open();
  put(ledger, row_of("part"));
  put(ledger, row_of("done", ItemState::finished));
  const std::int64_t now = std::time(nullptr);
  constexpr std::int64_t kDay = 24 * 3600;
  EXPECT_EQ(ledger.purge(now + 29 * kDay), 0U);
  EXPECT_EQ(ledger.purge(now + 31 * kDay), 1U);
  ASSERT_EQ(ledger.list()->size(), 1U);
  EXPECT_EQ(ledger.list()->front().path, "part");
}

// SPEC stx.md#durability
TEST_F(LedgerFile, that_is_none_is_set_aside) {
  spill(path_, std::string(10'000, 'x'));
  {
    Ledger ledger = open();
    ASSERT_EQ(notices_.size(), 1U);
    EXPECT_NE(notices_.front().find(".stx-ledger.damaged-1"), std::string::npos);
    EXPECT_EQ(slurp(folder_.path() / ".stx-ledger.damaged-1"), std::string(10'000, 'x'));
    put(ledger, row_of("a"));
  }
  spill(path_, std::string(10'000, 'y'));
  Ledger second = open();
  EXPECT_EQ(notices_.size(), 2U);
  EXPECT_TRUE(std::filesystem::exists(folder_.path() / ".stx-ledger.damaged-2"));
  EXPECT_TRUE(second.list()->empty());
}

TEST_F(LedgerFile, of_another_program_is_set_aside) {
  {
    Ledger ledger = open();
    put(ledger, row_of("a"));
  }
  std::string bytes = slurp(path_);
  bytes[71] ^= 1;  // application id, offset 68..71
  spill(path_, bytes);
  Ledger ledger = open();
  EXPECT_EQ(notices_.size(), 1U);
  EXPECT_FALSE(*ledger.find(row_of("a").key));
}

// A ledger is a hint: whatever is in it, the answer is a row, nothing, or a new ledger.
TEST_F(LedgerFile, damaged_at_any_place_is_read_or_set_aside) {
  {
    Ledger ledger = open();
    std::vector<LedgerChange> changes;
    for (int i = 0; i < 200; ++i) changes.push_back({row_of("file-" + std::to_string(i)), false});
    ASSERT_TRUE(ledger.commit(changes, Durability::process));
  }
  const std::string good = slurp(path_);
  ASSERT_GT(good.size(), 8192U);
  std::uint32_t seed = 7;
  const auto next = [&] { return (seed = seed * 1664525U + 1013904223U) >> 8U; };
  for (int round = 0; round < 150; ++round) {
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      std::filesystem::remove(entry.path());
    }
    std::string bad = good;
    if (round % 10 == 0) bad.resize(next() % bad.size());
    for (int i = 0; i < 1 + round % 20 && !bad.empty(); ++i) {
      // The first page, with the schema, more often than its share.
      const std::size_t limit = i % 2 == 0 ? std::min<std::size_t>(bad.size(), 4096) : bad.size();
      bad[next() % limit] = static_cast<char>(next());
    }
    spill(path_, bad);
    auto ledger = Ledger::open(folder_.path());
    ASSERT_TRUE(ledger) << round;
    ASSERT_TRUE(ledger->list()) << round;
    for (int i = 0; i < 200; i += 20) {
      ASSERT_TRUE(ledger->find(row_of("file-" + std::to_string(i)).key)) << round;
    }
    ASSERT_TRUE(ledger->usage(kPeer)) << round;
    put(*ledger, row_of("new"));
    ASSERT_TRUE(*ledger->find(row_of("new").key)) << round;
  }
}

TEST_F(LedgerFile, damaged_in_the_midst_of_a_run_is_replaced) {
  Ledger ledger = open();
  put(ledger, row_of("a"));
  {
    const io::detail::FileDescriptor file(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(::ftruncate(file.value(), 0), 0);
    const std::string junk(20'000, '!');
    ASSERT_EQ(::pwrite(file.value(), junk.data(), junk.size(), 0), 20'000);
  }
  std::filesystem::resize_file(folder_.path() / ".stx-ledger-wal", 0);
  Ledger other = open();
  EXPECT_EQ(notices_.size(), 1U);
  put(other, row_of("b"));
  EXPECT_TRUE(*other.find(row_of("b").key));
}

TEST_F(LedgerFile, does_not_follow_a_link_nor_open_a_fifo) {
  const auto outside = folder_.path() / "outside";
  spill(outside, "mine");
  std::filesystem::create_symlink(outside, path_);
  {
    Ledger ledger = open();
  }
  EXPECT_EQ(slurp(outside), "mine");
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  {
    Ledger ledger = open();
  }
  std::filesystem::remove(path_);
  std::filesystem::create_hard_link(outside, path_);
  {
    Ledger ledger = open();
  }
  EXPECT_EQ(slurp(outside), "mine");
  EXPECT_EQ(notices_.size(), 3U);
}

TEST_F(LedgerFile, is_shared_by_processes) {
  Ledger ledger = open();
  const ::pid_t child = ::fork();
  if (child == 0) {
    // SQLite's handles are of the parent: the child opens its own.
    auto mine = Ledger::open(folder_.path());
    bool good = mine.has_value();
    for (int i = 0; good && i < 50; ++i) {
      const LedgerChange change{row_of("child-" + std::to_string(i)), false};
      good = mine->commit({&change, 1}, Durability::process).has_value();
    }
    ::_exit(good ? 0 : 1);
  }
  for (int i = 0; i < 50; ++i) put(ledger, row_of("parent-" + std::to_string(i)));
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(ledger.list()->size(), 100U);
}

TEST_F(LedgerFile, that_another_process_holds_is_locked) {
  Ledger ledger = open();
  put(ledger, row_of("a"));
  std::array<int, 2> holds{};
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(holds.data()), 0);
  ASSERT_EQ(::pipe(ends.data()), 0);
  const ::pid_t child = ::fork();
  if (child == 0) {
    // SQLite's write lock of WAL: byte 120 of the -shm file.
    const int file = ::open((path_.string() + "-shm").c_str(), O_RDWR);
    struct ::flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_start = 120;
    lock.l_len = 1;
    const bool good = ::fcntl(file, F_SETLK, &lock) == 0;
    char byte = good ? 'y' : 'n';
    (void)!::write(holds[1], &byte, 1);
    ::close(ends[1]);
    (void)!::read(ends[0], &byte, 1);
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(holds[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  const LedgerChange change{row_of("b"), false};
  Ledger hasty = open(std::chrono::milliseconds(0));
  EXPECT_EQ(hasty.commit({&change, 1}, Durability::power).error().code, Errc::file_locked);
  EXPECT_TRUE(*hasty.find(row_of("a").key)) << "readers do not wait";
  ::close(ends[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(hasty.commit({&change, 1}, Durability::power));
  for (const int fd : {holds[0], holds[1], ends[0]}) ::close(fd);
}

TEST_F(LedgerFile, cannot_be_where_no_folder_is) {
  EXPECT_EQ(Ledger::open(folder_.path() / "no").error(), (Error{Errc::file_error, ENOENT}));
}

}  // namespace

}  // namespace sealine::io::stx
