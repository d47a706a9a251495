#include "io/stx/file_failure.hpp"
#include "io/stx/part_file.hpp"
#include "io/stx/receive_root.hpp"
#include "io/stx_files_fixture.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <functional>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace sealine::io::stx::test {

namespace {

using Missing = ReceiveRoot::Missing;

/// Runs `work` in a child process, whose limits and mounts are its own: 0 if it was content.
int in_child(const std::function<bool()>& work) {
  const ::pid_t child = ::fork();
  if (child == 0) ::_exit(work() ? 0 : 1);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool mount_small_disk(const std::filesystem::path& folder, const char* options,
                      unsigned long flags = 0) {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("none", folder.c_str(), "tmpfs", flags, options) == 0;
}

bool may_mount() {
  return in_child([] {
           return ::unshare(CLONE_NEWNS) == 0 &&
                  ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
         }) == 0;
}

class Root : public ::testing::Test {
 protected:
  MemoryFolder temporary_;
  std::filesystem::path in_ = temporary_.path() / "a" / "in";
  ReceiveRoot root_ = *ReceiveRoot::open(in_);
};

TEST_F(Root, is_made_with_its_parents) {
  EXPECT_TRUE(std::filesystem::is_directory(in_));
  EXPECT_EQ(root_.path(), std::filesystem::canonical(in_));
  spill(temporary_.path() / "file", "x");
  EXPECT_FALSE(ReceiveRoot::open(temporary_.path() / "file"));
}

TEST_F(Root, makes_folders_on_the_way) {
  EXPECT_EQ(root_.open_folder("x/y/z", Missing::fail).error(), (Error{Errc::file_error, ENOENT}));
  ASSERT_TRUE(root_.open_folder("x/y/z", Missing::make));
  EXPECT_TRUE(std::filesystem::is_directory(in_ / "x/y/z"));
  EXPECT_TRUE(root_.open_folder("", Missing::fail));
  EXPECT_TRUE(root_.below("q/r"));
  EXPECT_EQ(root_.below("q")->path(), in_ / "q");
}

// Names are checked before; the root holds without that.
// SPEC stx.md#files
TEST_F(Root, is_not_left_by_any_name) {
  spill(temporary_.path() / "a" / "secret", "x");
  std::filesystem::create_symlink(temporary_.path(), in_ / "up");
  std::filesystem::create_symlink("..", in_ / "dots");
  std::filesystem::create_symlink("/proc/self/root", in_ / "magic");
  for (const char* name : {"..", "../secret", "/etc", "up/a", "dots", "dots/secret", "magic/etc",
                           "x/../../secret", "up"}) {
    EXPECT_FALSE(root_.open_folder(name, Missing::fail)) << name;
    EXPECT_FALSE(root_.open_folder(std::string(name) + "/new", Missing::make)) << name;
    EXPECT_FALSE(root_.open_file(name, O_RDONLY)) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(temporary_.path() / "a" / "new"));
  EXPECT_FALSE(std::filesystem::exists(temporary_.path() / "a" / "secret/new"));
}

TEST_F(Root, opens_regular_files_alone) {
  ASSERT_EQ(::mkfifo((in_ / "fifo").c_str(), 0600), 0);
  spill(in_ / "file", "x");
  EXPECT_TRUE(root_.open_file("file", O_RDONLY));
  EXPECT_EQ(root_.open_file("fifo", O_RDONLY).error(), (Error{Errc::file_error, EINVAL}));
  EXPECT_EQ(root_.open_file(".", O_RDONLY).error(), (Error{Errc::file_error, EINVAL}));
  EXPECT_FALSE(root_.open_file("none", O_RDONLY));
}

TEST_F(Root, knows_whether_it_is_alone) {
  EXPECT_TRUE(root_.is_alone());
  {
    const ReceiveRoot second = *ReceiveRoot::open(in_);
    EXPECT_FALSE(root_.is_alone());
    EXPECT_FALSE(second.is_alone());
  }
  EXPECT_TRUE(root_.is_alone());
}

TEST_F(Root, cache_finds_its_folders_again) {
  FolderCache cache(root_);
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(cache.open("d" + std::to_string(i % 20), Missing::make));
  }
  const int first = *cache.open("d3", Missing::fail);
  EXPECT_EQ(*cache.open("d3", Missing::fail), first);
  EXPECT_FALSE(cache.open("none", Missing::fail));
}

TEST(FileFailure, has_a_code_for_the_peer) {
  using sealine::stx::Code;
  EXPECT_EQ(code_of(file_error_of(ENOSPC)), Code::no_space);
  EXPECT_EQ(code_of(file_error_of(EDQUOT)), Code::quota);
  EXPECT_EQ(code_of(file_error_of(ENAMETOOLONG)), Code::name);
  for (const int number : {EIO, EROFS, EMFILE, ENFILE, EACCES, EFBIG}) {
    EXPECT_EQ(code_of(file_error_of(number)), Code::io_error) << number;
  }
  for (const int number : {ELOOP, ENOTDIR, EISDIR, EEXIST, EXDEV}) {
    EXPECT_EQ(code_of(file_error_of(number)), Code::exists) << number;
  }
  EXPECT_EQ(code_of({Errc::link_target_refused, 0}), Code::refused);
  EXPECT_EQ(code_of({Errc::item_busy, 0}), Code::busy);
  EXPECT_EQ(code_of({Errc::file_locked, 0}), Code::busy);
}

class Races : public Receiving {
 protected:
  /// Somebody who may write into the receive folder swaps `in/d` between a folder and a link to the
  /// outside, as fast as he can, until `work` has ended.
  void while_swapping(const std::function<void()>& work) {
    std::filesystem::create_directories(in_ / "d");
    std::filesystem::create_symlink(outside_, in_ / "link");
    std::atomic<bool> stop = false;
    std::atomic<int> swaps = 0;
    std::thread attacker([&] {
      const std::string folder = (in_ / "d").string();
      const std::string link = (in_ / "link").string();
      while (!stop || swaps < kSwaps) {
        ::renameat2(AT_FDCWD, folder.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE);
        ++swaps;
      }
    });
    for (int rounds = 0; swaps < kSwaps || rounds < kRounds; ++rounds) work();
    stop = true;
    attacker.join();
  }

  static constexpr int kSwaps = 10'000;
  static constexpr int kRounds = 200;
  std::filesystem::path outside_ = temporary_.path() / "outside";
};

// T18. SPEC stx.md#files
TEST_F(Races, folder_swapped_for_a_link_never_leads_outside) {
  std::filesystem::create_directories(outside_ / "e");
  spill(outside_ / "e/f", "mine");
  policy_.on_conflict = OnConflict::overwrite;
  int good = 0;
  int refused = 0;
  std::uint32_t round = 0;
  while_swapping([&] {
    // By turns a file through a part, and a pack.
    const std::size_t size = ++round % 2 == 0 ? 20 * kBlock : 100;
    const ReceiveFolder where = folder();
    IncomingItem item = IncomingItem::admit(where, meta_of({file_entry("d/e/f", size)}));
    const std::string content = text(size, round);
    bool done = item.answer().code == Code::normal && item.start(0).has_value();
    for (std::size_t at = 0; done && at < size; at += kBlock) {
      done = item.write(at, as_bytes(std::string_view(content).substr(at, kBlock))).has_value();
    }
    if (done) done = finish(where, item, size).code == Code::normal;
    ++(done ? good : refused);
  });
  EXPECT_EQ(names_below(outside_), (std::set<std::string>{"e", "e/f"}));
  EXPECT_EQ(slurp(outside_ / "e/f"), "mine");
  EXPECT_GE(good + refused, kRounds);
}

// T23. SPEC stx.md#files
TEST_F(Races, full_disk_is_code_3_and_keeps_the_part) {
  if (!may_mount()) GTEST_SKIP() << "needs a mount of its own";
  const auto disk = temporary_.path() / "disk";
  std::filesystem::create_directory(disk);
  const int result = in_child([&] {
    if (!mount_small_disk(disk, "size=1m")) return false;
    const ReceiveRoot root = *ReceiveRoot::open(disk);
    Ledger ledger = *Ledger::open(disk);
    const ReceiveFolder where{root, ledger, "", space_, kPeer, policy_, quota_};
    // Known beforehand.
    const auto refused = IncomingItem::admit(where, meta_of({file_entry("a", 4U << 20U)}));
    if (refused.answer().code != Code::no_space) return false;
    // Found out on the way: the size is not announced, or others fill the disk.
    IncomingItem item = IncomingItem::admit(where, meta_of({file_entry("b", 40 * kBlock)}));
    if (item.answer().code != Code::normal || !item.start(0)) return false;
    spill(disk / "others", std::string(std::size_t{700} << 10U, 'x'));
    Result<> written;
    std::size_t blocks = 0;
    for (; written && blocks < 40; ++blocks) written = item.write(blocks * kBlock, pattern(kBlock));
    if (written || written.error().code != Errc::disk_full) return false;
    if (code_of(written.error()) != Code::no_space) return false;
    // A pack that does not fit is kept out, and leaves nothing.
    IncomingItem pack =
        IncomingItem::admit(where, meta_of({file_entry("c", 9), file_entry("d", 9)}));
    if (pack.answer().code == Code::normal) {
      (void)pack.start(0);
      const std::string nine(9, 'n');
      (void)pack.write(0, as_bytes(nine + nine));
      const Code code = finish(where, pack, 18).code;
      if (code != Code::no_space && code != Code::normal) return false;
    }
    if (!std::filesystem::exists(disk / ".b.stxpart")) return false;
    std::filesystem::remove(disk / "others");
    return item.write(0, pattern(kBlock)).has_value();
  });
  EXPECT_EQ(result, 0);
}

TEST_F(Races, folder_that_cannot_be_written_is_code_5) {
  if (!may_mount()) GTEST_SKIP() << "needs a mount of its own";
  const auto disk = temporary_.path() / "disk";
  std::filesystem::create_directory(disk);
  const int result = in_child([&] {
    if (!mount_small_disk(disk, "size=1m", MS_RDONLY)) return false;
    const ReceiveRoot root = *ReceiveRoot::open(disk);
    if (Ledger::open(disk).has_value()) return false;
    const ReceiveFolder where{root, ledger_, "", space_, kPeer, policy_, quota_};
    IncomingItem large = IncomingItem::admit(where, meta_of({file_entry("a", 20 * kBlock)}));
    const auto started = large.start(0);
    if (large.answer().code == Code::normal) {
      if (started || code_of(started.error()) != Code::io_error) return false;
      if (started.error() != Error{Errc::file_error, EROFS}) return false;
    }
    IncomingItem small = IncomingItem::admit(where, meta_of({file_entry("b", 0)}));
    return finish(where, small, 0).code == Code::io_error &&
           small.outcome().cause == Error{Errc::file_error, EROFS};
  });
  EXPECT_EQ(result, 0);
}

TEST_F(Races, limit_of_file_sizes_is_an_error_and_no_signal) {
  const int result = in_child([&] {
    const ::rlimit limit{1U << 20U, 1U << 20U};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    const ReceiveFolder where = folder();
    IncomingItem item = IncomingItem::admit(where, meta_of({file_entry("a", 2U << 20U)}));
    const auto started = item.start(0);
    if (started || started.error() != Error{Errc::file_error, EFBIG}) return false;
    Meta stream = meta_of({file_entry("s", 0)});
    stream.size_unknown = true;
    IncomingItem grown = IncomingItem::admit(where, stream);
    if (!grown.start(0)) return false;
    const auto written = grown.write((1U << 20U) + 1, as_bytes("x"));
    return !written && written.error() == Error{Errc::file_error, EFBIG} &&
           code_of(written.error()) == Code::io_error;
  });
  EXPECT_EQ(result, 0);
}

TEST_F(Races, no_descriptor_left_is_code_5) {
  const int result = in_child([&] {
    const ReceiveFolder where = folder();
    IncomingItem item = IncomingItem::admit(where, meta_of({file_entry("d/a", 3)}));
    if (item.answer().code != Code::normal || !item.start(0)) return false;
    const int next = ::dup(0);
    const ::rlimit limit{static_cast<::rlim_t>(next), static_cast<::rlim_t>(next)};
    ::close(next);
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
    item.stage(3);
    return finish(where, item, 3).code == Code::io_error &&
           item.outcome().cause == Error{Errc::file_error, EMFILE};
  });
  EXPECT_EQ(result, 0);
}

}  // namespace

}  // namespace sealine::io::stx::test
