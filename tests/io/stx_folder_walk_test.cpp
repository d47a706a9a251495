#include "io/stx/folder_walk.hpp"
#include "io/stx/item_plan.hpp"
#include "io/stx_files_fixture.hpp"
#include "sealine/stx/name.hpp"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <map>
#include <optional>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace sealine::io::stx::test {

namespace {

class Walk : public ::testing::Test {
 protected:
  [[nodiscard]] SourceRoots roots(const std::vector<std::filesystem::path>& paths) const {
    return *SourceRoots::create(paths);
  }

  struct Met {
    std::vector<WalkedEntry> entries;
    std::vector<SkippedEntry> skipped;

    [[nodiscard]] std::vector<std::string> names() const {
      std::vector<std::string> out;
      for (const auto& walked : entries) out.push_back(walked.entry.name);
      return out;
    }
  };

  static Met walk(const SourceRoots& roots, std::vector<Exclusion> exclude = {}) {
    FolderWalk walk(roots, std::move(exclude));
    Met met;
    while (auto step = walk.next()) {
      if (auto* walked = std::get_if<WalkedEntry>(&*step)) {
        met.entries.push_back(std::move(*walked));
      } else {
        met.skipped.push_back(std::get<SkippedEntry>(*step));
      }
    }
    return met;
  }

  void make(const std::string& name, std::string_view content = "x") const {
    std::filesystem::create_directories((tree_ / name).parent_path());
    spill(tree_ / name, content);
  }

  MemoryFolder temporary_;
  std::filesystem::path tree_ = temporary_.path() / "tree";
};

using Names = std::vector<std::string>;

// SPEC stx.md#items
TEST_F(Walk, goes_in_byte_order_and_a_folder_comes_after_all_below_it) {
  for (const char* name : {"b", "a/z", "a/B", "a.txt", "a-", "\xff", "A", "a/empty/x", "Z/y"}) {
    make(name);
  }
  std::filesystem::remove(tree_ / "a/empty/x");
  const Names expected{"tree/A", "tree/Z/y", "tree/Z",     "tree/a/B", "tree/a/empty", "tree/a/z",
                       "tree/a", "tree/a-",  "tree/a.txt", "tree/b",   "tree/\xff",    "tree"};
  EXPECT_EQ(walk(roots({tree_})).names(), expected);
  EXPECT_EQ(walk(roots({tree_})).names(), expected);
}

TEST_F(Walk, tells_kind_mode_time_size_and_target) {
  make("f", "12345");
  ::chmod((tree_ / "f").c_str(), 06755);
  const struct ::timespec times[2] = {{0, UTIME_OMIT}, {-2, 999'999'999}};
  ::utimensat(AT_FDCWD, (tree_ / "f").c_str(), times, 0);
  std::filesystem::create_symlink("../any/where", tree_ / "l");
  const Met met = walk(roots({tree_}));
  ASSERT_EQ(met.names(), (Names{"tree/f", "tree/l", "tree"}));
  EXPECT_EQ(met.entries[0].entry, (Entry{EntryKind::file, 0755, -1'000'000'001, 5, "tree/f"}));
  EXPECT_EQ(met.entries[1].entry.kind, EntryKind::symlink);
  EXPECT_EQ(met.entries[1].entry.size_bytes, 12U);
  EXPECT_EQ(met.entries[1].target, "../any/where");
  EXPECT_EQ(met.entries[2].entry.kind, EntryKind::directory);
  EXPECT_EQ(met.entries[2].entry.size_bytes, 0U);
}

TEST_F(Walk, leaves_special_files_out_and_says_so) {
  make("f");
  ASSERT_EQ(::mkfifo((tree_ / "pipe").c_str(), 0600), 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ::sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = (tree_ / "sock").string();
  std::ranges::copy(path, address.sun_path);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const ::sockaddr*>(&address), sizeof address), 0);
  ::close(socket);
  make(".stx-ledger");
  make("a.stxpart");
  const Met met = walk(roots({tree_}));
  EXPECT_EQ(met.names(), (Names{"tree/f", "tree"}));
  std::map<std::string, SkipReason> skipped;
  for (const auto& one : met.skipped) skipped[one.name] = one.reason;
  EXPECT_EQ(skipped,
            (std::map<std::string, SkipReason>{{"tree/.stx-ledger", SkipReason::name_refused},
                                               {"tree/a.stxpart", SkipReason::name_refused},
                                               {"tree/pipe", SkipReason::fifo},
                                               {"tree/sock", SkipReason::socket}}));
}

TEST_F(Walk, reports_what_cannot_be_read_and_goes_on) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  make("a");
  make("b");
  make("d/x");
  make("e");
  ::chmod((tree_ / "a").c_str(), 0);
  ::chmod((tree_ / "d").c_str(), 0);
  const Met met = walk(roots({tree_}));
  ::chmod((tree_ / "d").c_str(), 0700);
  EXPECT_EQ(met.names(), (Names{"tree/b", "tree/e", "tree"}));
  ASSERT_EQ(met.skipped.size(), 2U);
  EXPECT_EQ(met.skipped[0].error, EACCES);
  EXPECT_EQ(met.skipped[1].reason, SkipReason::unreadable);
}

TEST_F(Walk, never_follows_a_link) {
  std::filesystem::create_directories(temporary_.path() / "other");
  spill(temporary_.path() / "other/secret", "x");
  make("f");
  std::filesystem::create_symlink("../other", tree_ / "link");
  std::filesystem::create_symlink(".", tree_ / "loop");
  const Met met = walk(roots({tree_}));
  EXPECT_EQ(met.names(), (Names{"tree/f", "tree/link", "tree/loop", "tree"}));
  // A PATH that is a link is a link too; with a slash it is the folder behind it.
  std::filesystem::create_symlink("tree", temporary_.path() / "l");
  EXPECT_EQ(walk(roots({temporary_.path() / "l"})).entries[0].entry.kind, EntryKind::symlink);
  EXPECT_EQ(walk(roots({temporary_.path() / "l/"})).names(),
            (Names{"l/f", "l/link", "l/loop", "l"}));
}

TEST_F(Walk, stops_where_no_receiver_goes) {
  std::string deep = "1";
  for (int i = 2; i <= 34; ++i) deep += "/" + std::to_string(i);
  make(deep + "/f");
  const Met met = walk(roots({tree_}));
  for (const auto& walked : met.entries) EXPECT_TRUE(sealine::stx::check_name(walked.entry.name));
  ASSERT_EQ(met.skipped.size(), 1U);
  EXPECT_EQ(met.skipped[0].reason, SkipReason::name_refused);
  EXPECT_EQ(std::ranges::count(met.skipped[0].name, '/'), 32);
}

TEST_F(Walk, paths_arrive_under_their_last_component) {
  make("d/f");
  const auto top = temporary_.path();
  EXPECT_EQ(walk(roots({tree_ / "d/f"})).names(), Names{"f"});
  EXPECT_EQ(walk(roots({tree_ / "d/"})).names(), (Names{"d/f", "d"}));
  EXPECT_EQ(walk(roots({tree_ / "d/."})).names(), (Names{"d/f", "d"}));
  EXPECT_EQ(walk(roots({tree_ / "d/.."})).names(), (Names{"tree/d/f", "tree/d", "tree"}));
  // In byte order, whatever the order they were given in.
  make("b");
  EXPECT_EQ(walk(roots({tree_ / "d", tree_ / "b"})).names(), (Names{"b", "d/f", "d"}));
  std::uint32_t bad = 9;
  std::vector<std::filesystem::path> paths{tree_ / "b", tree_ / "d", top / "tree/b"};
  EXPECT_EQ(SourceRoots::create(paths, &bad).error().code, Errc::usage);
  EXPECT_EQ(bad, 2U);
  paths = {tree_, "/"};
  EXPECT_EQ(SourceRoots::create(paths, &bad).error().code, Errc::usage);
  EXPECT_EQ(bad, 1U);
  paths = {top / "none"};
  EXPECT_EQ(SourceRoots::create(paths).error(), (Error{Errc::file_error, ENOENT}));
  spill(top / "x.stxpart", "");
  paths = {top / "x.stxpart"};
  EXPECT_EQ(SourceRoots::create(paths).error().code, Errc::file_name_refused);
}

TEST_F(Walk, exclusions_take_what_they_match) {
  for (const char* name :
       {"a.o", "a.c", "build/a.o", "build/x/b.c", "src/build", "src/k.o", "n/.git/c"}) {
    make(name);
  }
  const auto left = [&](std::vector<std::string> globs) {
    std::vector<Exclusion> exclude;
    for (auto& glob : globs) exclude.emplace_back(std::move(glob));
    Names names;
    for (auto& name : walk(roots({tree_}), std::move(exclude)).names()) {
      if (std::filesystem::is_regular_file(temporary_.path() / name))
        names.push_back(name.substr(5));
    }
    return names;
  };
  EXPECT_EQ(left({"*.o"}), (Names{"a.c", "build/x/b.c", "n/.git/c", "src/build"}));
  EXPECT_EQ(left({"build"}), (Names{"a.c", "a.o", "n/.git/c", "src/k.o"}));
  EXPECT_EQ(left({"build/"}), (Names{"a.c", "a.o", "n/.git/c", "src/build", "src/k.o"}));
  EXPECT_EQ(left({"build/*.o"}),
            (Names{"a.c", "a.o", "build/x/b.c", "n/.git/c", "src/build", "src/k.o"}));
  EXPECT_EQ(left({"/tree/src/*"}), (Names{"a.c", "a.o", "build/a.o", "build/x/b.c", "n/.git/c"}));
  EXPECT_EQ(left({".git", "?.c", "[bs]*"}), Names{"a.o"});
  EXPECT_EQ(left({"/a.o"}).size(), 7U) << "the whole name begins with tree/";
  EXPECT_TRUE(left({"tree"}).empty());
}

TEST_F(Walk, source_is_only_opened_as_what_it_was) {
  make("d/f", "12345");
  const SourceRoots from = roots({tree_});
  const Met met = walk(from);
  const WalkedEntry& f = met.entries[0];
  const auto open = [&] { return SourceFile::open(from, f.root, f.entry.name, f.identity); };
  EXPECT_TRUE(open());
  spill(temporary_.path() / "other", "54321");
  std::filesystem::rename(tree_ / "d/f", tree_ / "d/g");
  EXPECT_EQ(open().error().code, Errc::source_changed);
  std::filesystem::create_symlink("g", tree_ / "d/f");
  EXPECT_EQ(open().error().code, Errc::source_changed);
  std::filesystem::remove(tree_ / "d/f");
  std::filesystem::rename(tree_ / "d", tree_ / "e");
  std::filesystem::rename(tree_ / "e/g", tree_ / "e/f");
  std::filesystem::create_symlink("e", tree_ / "d");
  EXPECT_FALSE(open()) << "through a link";
}

TEST_F(Walk, change_while_it_is_read_is_noticed) {
  make("f", "12345");
  const SourceRoots from = roots({tree_});
  const WalkedEntry f = walk(from).entries[0];
  const SourceFile file = *SourceFile::open(from, f.root, f.entry.name, f.identity);
  std::array<std::uint8_t, 5> bytes{};
  EXPECT_TRUE(file.read(0, bytes));
  EXPECT_EQ(as_text(bytes), "12345");
  EXPECT_TRUE(file.check_unchanged());
  std::filesystem::resize_file(tree_ / "f", 4);
  EXPECT_EQ(file.read(0, bytes).error().code, Errc::source_changed);
  EXPECT_EQ(file.check_unchanged().error().code, Errc::source_changed);
  const auto again = walk_again(from, f);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->entry.size_bytes, 4U);
  EXPECT_TRUE(SourceFile::open(from, again->root, again->entry.name, again->identity));
  std::filesystem::remove(tree_ / "f");
  EXPECT_FALSE(walk_again(from, f));
}

TEST_F(Walk, holes_are_zero_blocks) {
  constexpr std::uint64_t kSize = (std::uint64_t{6} << 30U) + 100;
  make("s", "");
  std::filesystem::resize_file(tree_ / "s", kSize);
  const int fd = ::open((tree_ / "s").c_str(), O_WRONLY | O_CLOEXEC);
  constexpr std::uint64_t kAt = std::uint64_t{5} << 30U;
  ASSERT_EQ(::pwrite(fd, "data", 4, static_cast<::off_t>(kAt)), 4);
  ::close(fd);
  make("full", text_of(3 * kBlock));
  const SourceRoots from = roots({tree_});
  const Met met = walk(from);
  const auto open = [&](std::size_t i) {
    const WalkedEntry& walked = met.entries[i];
    return *SourceFile::open(from, walked.root, walked.entry.name, walked.identity);
  };
  const SourceFile full = open(0);
  EXPECT_EQ(full.zero_blocks(0, kBlock), 0U);
  EXPECT_EQ(full.zero_blocks(3, kBlock), 0U);
  const SourceFile sparse = open(1);
  constexpr std::uint32_t kMiB = 1U << 20U;
  EXPECT_EQ(sparse.zero_blocks(0, kMiB), 5120U);
  EXPECT_EQ(sparse.zero_blocks(5119, kMiB), 1U);
  EXPECT_EQ(sparse.zero_blocks(5120, kMiB), 0U);
  EXPECT_EQ(sparse.zero_blocks(5121, kMiB), 1024U) << "the last one is short";
  EXPECT_EQ(sparse.zero_blocks(6145, kMiB), 0U) << "behind the end";
  std::array<std::uint8_t, 4> bytes{};
  ASSERT_TRUE(sparse.read(kAt, bytes));
  EXPECT_EQ(as_text(bytes), "data");
}

// --- items and packs

class Plan : public Walk {
 protected:
  static std::vector<PlannedItem> plan(const SourceRoots& roots) {
    FolderWalk walk(roots, {});
    ItemPlan plan([&] { return walk.next(); });
    return all(plan);
  }

  static std::vector<PlannedItem> all(ItemPlan& plan) {
    std::vector<PlannedItem> items;
    while (auto item = plan.next()) items.push_back(std::move(*item));
    return items;
  }

  /// A plan over names and sizes alone.
  static std::vector<PlannedItem> plan_of(
      const std::vector<std::pair<std::string, std::uint64_t>>& files) {
    std::size_t next = 0;
    ItemPlan plan([&]() -> std::optional<FolderWalk::Step> {
      if (next == files.size()) return std::nullopt;
      WalkedEntry walked;
      walked.entry = file_entry(files[next].first, files[next].second);
      ++next;
      return walked;
    });
    return all(plan);
  }
};

// SPEC stx.md#items
TEST_F(Plan, packs_keep_their_limits) {
  std::vector<std::pair<std::string, std::uint64_t>> files;
  const std::string longest = std::string(255, 'd') + "/" + std::string(200, 'd') + "/";
  for (int i = 0; i < 20'000; ++i) files.emplace_back("f" + std::to_string(100'000 + i), i % 5000);
  for (int i = 0; i < 9'000; ++i) files.emplace_back("g" + std::to_string(100'000 + i), 0);
  for (int i = 0; i < 9'000; ++i) files.emplace_back(longest + std::to_string(100'000 + i), 0);
  std::size_t count = 0;
  for (const PlannedItem& item : plan_of(files)) {
    ASSERT_GE(item.entries.size(), 1U);
    ASSERT_LE(item.entries.size(), sealine::stx::kMaxPackEntries);
    ASSERT_LE(item.total_bytes, sealine::stx::kMaxPackBytes);
    const Meta meta = item.meta(18, true);
    ASSERT_LE(sealine::stx::encoded_bytes(meta), sealine::stx::kMaxFrameBytes);
    ASSERT_EQ(*sealine::stx::total_bytes(meta), item.total_bytes);
    for (const WalkedEntry& walked : item.entries) {
      ASSERT_EQ(walked.entry.name, files[count++].first) << "in the order of the walk";
    }
  }
  EXPECT_EQ(count, files.size());
}

TEST_F(Plan, large_files_travel_alone_and_their_folder_after_them) {
  make("a", "small");
  make("big", text_of(kSmallFileBytes + 1));
  make("c", text_of(kSmallFileBytes));
  const SourceRoots from = roots({tree_});
  const auto items = plan(from);
  ASSERT_EQ(items.size(), 2U);
  EXPECT_TRUE(items[0].is_large_file());
  EXPECT_EQ(items[0].entries[0].entry.name, "tree/big");
  EXPECT_EQ(items[1].entries.size(), 3U);
  EXPECT_EQ(items[1].entries.back().entry.name, "tree");
  EXPECT_FALSE(items[1].is_large_file());
}

TEST_F(Plan, file_more_changes_the_packs_around_it_alone) {
  std::vector<std::pair<std::string, std::uint64_t>> files;
  for (int i = 0; i < 10'000; ++i) files.emplace_back("f" + std::to_string(100'000 + i), 4096);
  const auto key = [](const PlannedItem& item) {
    std::string names;
    for (const auto& walked : item.entries) names += walked.entry.name + "\n";
    return names;
  };
  std::set<std::string> before;
  for (const auto& item : plan_of(files)) before.insert(key(item));
  EXPECT_LE(before.size(), 85U);
  EXPECT_GE(before.size(), 40U);
  files.insert(files.begin() + 700, {"f100700-new", 4096});
  std::size_t changed = 0;
  for (const auto& item : plan_of(files)) changed += before.contains(key(item)) ? 0U : 1U;
  EXPECT_LE(changed, 6U);
}

TEST_F(Plan, pack_is_read_whole_and_in_order) {
  make("a", "aaa");
  make("b", "");
  make("c", "cc");
  std::filesystem::create_symlink("to", tree_ / "l");
  const SourceRoots from = roots({tree_});
  const auto items = plan(from);
  ASSERT_EQ(items.size(), 1U);
  const SourceItem item = *SourceItem::open(from, items[0]);
  EXPECT_EQ(item.size_bytes(), 7U);
  std::array<std::uint8_t, 5> bytes{};
  ASSERT_TRUE(item.read(1, bytes));
  EXPECT_EQ(as_text(bytes), "aacct");
  EXPECT_FALSE(item.read(3, bytes)) << "behind the end";
  EXPECT_TRUE(item.check_unchanged());
  EXPECT_EQ(item.zero_blocks(0, kBlock), 0U);
  for (const auto& [name, text] : {std::pair("c", "other"), std::pair("b", "x")}) {
    spill(tree_ / name, text);
    std::size_t bad = 99;
    EXPECT_EQ(SourceItem::open(from, items[0], &bad).error().code, Errc::source_changed);
    EXPECT_EQ(items[0].entries[bad].entry.name, std::string("tree/") + name);
  }
}

TEST_F(Plan, skipped_entries_are_told) {
  make("f");
  ASSERT_EQ(::mkfifo((tree_ / "p").c_str(), 0600), 0);
  const SourceRoots from = roots({tree_});
  FolderWalk walk(from, {});
  ItemPlan plan([&] { return walk.next(); });
  EXPECT_EQ(all(plan).size(), 1U);
  ASSERT_EQ(plan.take_skipped().size(), 1U);
  EXPECT_TRUE(plan.take_skipped().empty());
}

// A walk, sent and received: everything that arrives is as it was.
TEST_F(Plan, whole_tree_arrives) {
  make("a/b/c", text_of(100));
  make("a/big", text_of(40 * kBlock + 3));
  make("\xff\n", "odd");
  make("e/x");
  std::filesystem::remove(tree_ / "e/x");
  std::filesystem::create_symlink("a/b", tree_ / "l");
  ::chmod((tree_ / "a/b").c_str(), 0511);
  const auto in = temporary_.path() / "in";
  const ReceiveRoot root = *ReceiveRoot::open(in);
  Ledger ledger = *Ledger::open(in);
  SpaceBook space;
  const ReceiveFolder where{root, ledger, "", space, kPeer, {}, {}};
  const SourceRoots from = roots({tree_});
  const Met met = walk(from);
  PendingFolders pending;
  for (int run = 0; run < 2; ++run) {
    sealine::stx::ItemId number = 0;
    for (const PlannedItem& planned : plan(from)) {
      const SourceItem source = *SourceItem::open(from, planned);
      Meta meta = planned.meta(14, false);
      meta.item = number++;
      IncomingItem item = IncomingItem::admit(where, meta);
      ASSERT_EQ(item.answer().code, Code::normal);
      ASSERT_EQ(item.answer().in_place, run == 1);
      const std::uint32_t have = item.answer().have;
      ASSERT_TRUE(item.start(have));
      if (run == 0) {
        std::vector<std::uint8_t> bytes(planned.total_bytes);
        ASSERT_TRUE(source.read(0, bytes));
        ASSERT_TRUE(item.write(0, bytes));
      }
      item.stage(planned.total_bytes);
      IncomingItem* const one = &item;
      IncomingItem::put_in_place(where, {&one, 1}, pending);
      ASSERT_EQ(item.outcome().code, Code::normal);
      ASSERT_TRUE(item.outcome().entries.empty());
    }
    pending.apply_all(root);
    for (const WalkedEntry& walked : met.entries) {
      const auto there = in / walked.entry.name;
      const auto status = lstat_of(there);
      EXPECT_EQ(mtime_of(there), walked.entry.mtime_ns) << walked.entry.name;
      if (walked.entry.kind != EntryKind::symlink) {
        EXPECT_EQ(status.st_mode & 07777U, walked.entry.mode) << walked.entry.name;
      }
      if (walked.entry.kind == EntryKind::file) {
        EXPECT_EQ(slurp(there), slurp(temporary_.path() / walked.entry.name));
      }
    }
    EXPECT_EQ(names_below(in).size(), met.entries.size());
  }
}

}  // namespace

}  // namespace sealine::io::stx::test
