#include "io/stx/incoming_item.hpp"
#include "io/stx/part_file.hpp"
#include "io/stx_files_fixture.hpp"

#include <array>
#include <fcntl.h>
#include <optional>

namespace sealine::io::stx::test {

namespace {

constexpr std::size_t kLarge = 40 * kBlock + 77;  // a part file; 41 blocks

/// An item whose blocks [0, blocks) are on the disk and in the ledger, as after a lost connection.
class ReceivingItems : public Receiving {
 protected:
  void leave_part(const Meta& meta, std::string_view content, std::uint32_t blocks,
                  const ByteArray<16>& peer = kPeer) {
    const ReceiveFolder where = folder(peer);
    IncomingItem item = IncomingItem::admit(where, meta);
    ASSERT_EQ(item.answer().code, Code::normal);
    ASSERT_TRUE(item.start(0));
    for (std::uint32_t i = 0; i < blocks; ++i) {
      ASSERT_TRUE(item.write(i * kBlock, as_bytes(content.substr(i * kBlock, kBlock))));
    }
    ASSERT_TRUE(item.sync());
    const LedgerChange change = *item.progress(blocks);
    ASSERT_TRUE(ledger_.commit({&change, 1}, Durability::power));
  }
};

TEST_F(ReceivingItems, small_file_gets_content_mode_and_mtime) {
  Entry entry = file_entry("d/e/a", 5);
  entry.mode = 0604;
  const auto outcome = receive(meta_of({entry}), "hello");
  EXPECT_EQ(outcome.code, Code::normal);
  EXPECT_EQ(outcome.paths, std::vector<std::string>{"d/e/a"});
  EXPECT_EQ(slurp(in_ / "d/e/a"), "hello");
  EXPECT_EQ(lstat_of(in_ / "d/e/a").st_mode, S_IFREG | 0604U);
  EXPECT_EQ(mtime_of(in_ / "d/e/a"), kTime);
  EXPECT_EQ(names_below(in_), (std::set<std::string>{"d", "d/e", "d/e/a"}));
}

// SPEC stx.md#files
TEST_F(ReceivingItems, never_gets_a_setuid_bit) {
  Entry entry = file_entry("a", 1);
  entry.mode = 07777;
  receive(meta_of({entry}), "x");
  EXPECT_EQ(lstat_of(in_ / "a").st_mode & 07777U, 0777U);
  Entry large = file_entry("b", kLarge);
  large.mode = 06755;
  receive(meta_of({large}), text(kLarge));
  EXPECT_EQ(lstat_of(in_ / "b").st_mode & 07777U, 0755U);
}

TEST_F(ReceivingItems, mtimes_before_1970_keep_their_nanoseconds) {
  for (const std::int64_t time : {std::int64_t{-1}, std::int64_t{-1'000'000'000},
                                  std::int64_t{-5'500'000'001}, std::int64_t{0}, std::int64_t{1}}) {
    Entry entry = file_entry("t" + std::to_string(time), 1);
    entry.mtime_ns = time;
    ASSERT_EQ(receive(meta_of({entry}), "x").code, Code::normal);
    EXPECT_EQ(mtime_of(in_ / entry.name), time);
  }
}

TEST_F(ReceivingItems, names_of_any_bytes_are_taken) {
  const std::string name = "\xff\xfe\x1b[2J\n/\xe2\x80\xae";
  EXPECT_EQ(receive(meta_of({file_entry(name, 1)}), "x").code, Code::normal);
  EXPECT_EQ(slurp(in_ / name), "x");
}

TEST_F(ReceivingItems, large_file_grows_as_a_part_and_is_renamed) {
  const ReceiveFolder where = folder();
  const std::string content = text(kLarge);
  IncomingItem item = IncomingItem::admit(where, meta_of({file_entry("d/a", kLarge)}));
  EXPECT_EQ(item.answer().have, 0U);
  EXPECT_TRUE(names_below(in_).empty()) << "META alone changes nothing";
  ASSERT_TRUE(item.start(0));
  EXPECT_EQ(names_below(in_), (std::set<std::string>{"d", "d/.a.stxpart"}));
  EXPECT_EQ(lstat_of(in_ / "d/.a.stxpart").st_mode & 0777U, 0600U);
  EXPECT_EQ(send(where, item, content).code, Code::normal);
  EXPECT_EQ(slurp(in_ / "d/a"), content);
  EXPECT_EQ(lstat_of(in_ / "d/a").st_mode & 0777U, 0640U);
  EXPECT_EQ(mtime_of(in_ / "d/a"), kTime);
  EXPECT_EQ(names_below(in_), (std::set<std::string>{"d", "d/a"}));
}

// SPEC stx.md#durability
TEST_F(ReceivingItems, lost_session_leaves_a_part_that_goes_on) {
  const std::string content = text(kLarge);
  const Meta meta = meta_of({file_entry("a", kLarge)});
  leave_part(meta, content, 7);
  const ReceiveFolder where = folder();
  IncomingItem item = IncomingItem::admit(where, meta);
  EXPECT_EQ(item.answer().have, 7U);
  EXPECT_FALSE(item.answer().in_place);
  std::vector<std::uint8_t> held(7 * kBlock);
  ASSERT_EQ(item.read(0, held), held.size());
  EXPECT_EQ(as_text(held), std::string_view(content).substr(0, held.size()));
  ASSERT_TRUE(item.start(7));
  for (std::size_t at = 7 * kBlock; at < kLarge; at += kBlock) {
    ASSERT_TRUE(item.write(at, as_bytes(std::string_view(content).substr(at, kBlock))));
  }
  EXPECT_EQ(finish(where, item, kLarge).code, Code::normal);
  EXPECT_EQ(slurp(in_ / "a"), content);
}

TEST_F(ReceivingItems, part_of_a_larger_file_is_cut_to_the_new_size) {
  leave_part(meta_of({file_entry("a", kLarge)}), text(kLarge), 30);
  constexpr std::size_t kSmaller = 20 * kBlock + 5;
  const std::string content = text(kSmaller);
  const ReceiveFolder where = folder();
  IncomingItem item = IncomingItem::admit(where, meta_of({file_entry("a", kSmaller)}));
  EXPECT_EQ(item.answer().have, 21U) << "at most as many as there are";
  ASSERT_TRUE(item.start(20));
  ASSERT_TRUE(item.write(20 * kBlock, as_bytes(std::string_view(content).substr(20 * kBlock))));
  EXPECT_EQ(finish(where, item, kSmaller).code, Code::normal);
  EXPECT_EQ(slurp(in_ / "a"), content);
}

TEST_F(ReceivingItems, part_that_is_gone_or_not_ours_alone_is_begun_anew) {
  const std::string content = text(kLarge);
  const Meta meta = meta_of({file_entry("a", kLarge)});
  const auto part = in_ / ".a.stxpart";
  const auto outside = temporary_.path() / "outside";
  for (int kind = 0; kind < 4; ++kind) {
    leave_part(meta, content, 5);
    spill(outside, "mine");
    std::filesystem::remove(part);
    if (kind == 1) std::filesystem::create_symlink(outside, part);
    if (kind == 2) std::filesystem::create_hard_link(outside, part);
    if (kind == 3 && ::mkfifo(part.c_str(), 0600) != 0) FAIL();
    const ReceiveFolder where = folder();
    IncomingItem item = IncomingItem::admit(where, meta);
    EXPECT_EQ(item.answer().code, Code::normal) << kind;
    EXPECT_EQ(item.answer().have, 0U) << kind;
    ASSERT_TRUE(item.start(0)) << kind;
    ASSERT_TRUE(item.write(0, as_bytes("x")));
    EXPECT_EQ(slurp(outside), "mine") << kind;
    EXPECT_TRUE(S_ISREG(lstat_of(part).st_mode));
    item.discard();
  }
}

TEST_F(ReceivingItems, finished_item_stands_in_place_until_size_or_mtime_differ) {
  const std::string content = text(kLarge);
  const Meta meta = meta_of({file_entry("a", kLarge)});
  ASSERT_EQ(receive(meta, content).code, Code::normal);
  const ReceiveFolder where = folder();
  {
    IncomingItem item = IncomingItem::admit(where, meta);
    EXPECT_EQ(item.answer().code, Code::normal);
    EXPECT_TRUE(item.answer().in_place);
    EXPECT_TRUE(item.answer().keep_old);
    EXPECT_EQ(item.answer().have, 41U);
    std::vector<std::uint8_t> held(kLarge + 10);
    EXPECT_EQ(item.read(0, held), kLarge);
    ASSERT_TRUE(item.start(41));
    ::chmod((in_ / "a").c_str(), 0600);
    EXPECT_EQ(finish(where, item, kLarge).code, Code::normal);
    EXPECT_EQ(lstat_of(in_ / "a").st_mode & 0777U, 0640U);
  }
  Meta touched = meta;
  touched.entries[0].mtime_ns += 1;
  EXPECT_FALSE(IncomingItem::admit(where, touched).answer().in_place);
  std::filesystem::resize_file(in_ / "a", 5);
  EXPECT_FALSE(IncomingItem::admit(where, meta).answer().in_place);
  // Nothing is said to another peer.
  EXPECT_FALSE(IncomingItem::admit(folder(kOtherPeer), meta).answer().in_place);
}

TEST_F(ReceivingItems, finished_pack_stands_in_place_as_a_whole) {
  const Meta meta = meta_of(
      {file_entry("t/a", 3), link_entry("t/l", 1), file_entry("t/z", 0), folder_entry("t")});
  const std::string content = "abca";
  ASSERT_EQ(receive(meta, content).code, Code::normal);
  const ReceiveFolder where = folder();
  IncomingItem item = IncomingItem::admit(where, meta);
  EXPECT_TRUE(item.answer().in_place);
  EXPECT_EQ(item.answer().have, 1U);
  std::array<std::uint8_t, 10> held{};
  ASSERT_EQ(item.read(0, held), 4U);
  EXPECT_EQ(as_text(held).substr(0, 4), content);
  ASSERT_TRUE(item.start(1));
  EXPECT_EQ(finish(where, item, 4).code, Code::normal);
  std::filesystem::remove(in_ / "t/z");
  EXPECT_FALSE(IncomingItem::admit(where, meta).answer().in_place);
}

TEST_F(ReceivingItems, folders_get_mode_and_mtime_last) {
  Entry closed = folder_entry("t", 0500);
  const ReceiveFolder where = folder();
  PendingFolders pending;
  IncomingItem large = IncomingItem::admit(where, meta_of({file_entry("t/big", kLarge)}, 0));
  ASSERT_TRUE(large.start(0));
  IncomingItem pack = IncomingItem::admit(where, meta_of({file_entry("t/a", 1), closed}, 1));
  ASSERT_TRUE(pack.start(0));
  ASSERT_TRUE(pack.write(0, as_bytes("x")));
  IncomingItem* one = &pack;
  IncomingItem::put_in_place(where, {&one, 1}, pending);
  EXPECT_EQ(pack.outcome().code, Code::normal);
  pending.apply_before(root_, 0);
  EXPECT_NE(mtime_of(in_ / "t"), kTime) << "item 0 is still being written into it";
  for (std::size_t at = 0; at < kLarge; at += kBlock) {
    ASSERT_TRUE(large.write(at, as_bytes(std::string_view(text(kLarge)).substr(at, kBlock))));
  }
  one = &large;
  IncomingItem::put_in_place(where, {&one, 1}, pending);
  pending.apply_before(root_, 2);
  EXPECT_EQ(mtime_of(in_ / "t"), kTime);
  EXPECT_EQ(lstat_of(in_ / "t").st_mode & 07777U, 0500U);
  ::chmod((in_ / "t").c_str(), 0700);
}

// SPEC stx.md#files
TEST_F(ReceivingItems, entries_with_bad_names_are_kept_out_alone) {
  const auto outcome =
      receive(meta_of({file_entry("../x", 1), file_entry("good", 1), file_entry("/etc/x", 1),
                       file_entry(".stx-ledger", 1), file_entry("a.stxpart", 1)}),
              "abcde");
  EXPECT_EQ(outcome.code, Code::normal);
  EXPECT_EQ(outcome.entries,
            (std::vector<sealine::stx::EntryCode>{
                {0, Code::name}, {2, Code::name}, {3, Code::name}, {4, Code::name}}));
  EXPECT_EQ(slurp(in_ / "good"), "b");
  EXPECT_EQ(names_below(temporary_.path()),
            (std::set<std::string>{"in", "in/good", "in/.stx-ledger", "in/.stx-ledger-shm",
                                   "in/.stx-ledger-wal"}));
  EXPECT_EQ(receive(meta_of({file_entry("..", 1), file_entry("", 1)}), "ab").code, Code::name);
}

// SPEC stx.md#files
TEST_F(ReceivingItems, links_are_made_as_links_and_none_leads_out) {
  const std::string content = "a../x/etcinside";
  const Meta meta = meta_of(
      {link_entry("ok", 1), link_entry("up", 4), link_entry("abs", 4), link_entry("d/in", 6)});
  auto outcome = receive(meta, content);
  EXPECT_EQ(outcome.entries,
            (std::vector<sealine::stx::EntryCode>{{1, Code::refused}, {2, Code::refused}}));
  EXPECT_EQ(std::filesystem::read_symlink(in_ / "ok"), "a");
  EXPECT_EQ(mtime_of(in_ / "ok"), kTime);
  EXPECT_EQ(names_below(in_), (std::set<std::string>{"d", "d/in", "ok"}));
  policy_.any_links = true;
  outcome = receive(meta, content);
  EXPECT_TRUE(outcome.entries.empty());
  EXPECT_EQ(std::filesystem::read_symlink(in_ / "up"), "../x");
  EXPECT_EQ(std::filesystem::read_symlink(in_ / "abs"), "/etc");
}

TEST_F(ReceivingItems, entry_below_a_link_is_refused_and_nothing_outside_changes) {
  const auto outside = temporary_.path() / "outside";
  std::filesystem::create_directory(outside);
  spill(outside / "there", "mine");
  std::filesystem::create_symlink(outside, in_ / "d");
  for (const std::size_t size : {std::size_t{4}, kLarge}) {
    EXPECT_EQ(receive(meta_of({file_entry("d/new", size)}), text(size)).code, Code::exists);
    EXPECT_EQ(receive(meta_of({file_entry("d/there", size)}), text(size)).code, Code::exists);
    EXPECT_EQ(receive(meta_of({file_entry("d/e/f", size)}), text(size)).code, Code::exists);
  }
  EXPECT_EQ(receive(meta_of({folder_entry("d/sub")}), "").code, Code::exists);
  EXPECT_EQ(names_below(outside), std::set<std::string>{"there"});
  EXPECT_EQ(slurp(outside / "there"), "mine");
  // A link in the place itself is replaced or kept, never followed.
  std::filesystem::create_symlink(outside / "there", in_ / "l");
  EXPECT_EQ(receive(meta_of({file_entry("l", 4)}), "evil").code, Code::exists);
  policy_.on_conflict = OnConflict::overwrite;
  EXPECT_EQ(receive(meta_of({file_entry("l", 4)}), "evil").code, Code::normal);
  EXPECT_EQ(slurp(outside / "there"), "mine");
  EXPECT_FALSE(std::filesystem::is_symlink(in_ / "l"));
}

TEST_F(ReceivingItems, fifo_in_the_place_is_not_opened) {
  ASSERT_EQ(::mkfifo((in_ / "f").c_str(), 0600), 0);
  EXPECT_EQ(receive(meta_of({file_entry("f", 4)}), "data").code, Code::exists);
  EXPECT_EQ(receive(meta_of({file_entry("f", 0)}), "").code, Code::exists);
  policy_.on_conflict = OnConflict::overwrite;
  EXPECT_EQ(receive(meta_of({file_entry("f", 4)}), "data").code, Code::normal);
  EXPECT_EQ(slurp(in_ / "f"), "data");
}

// SPEC stx.md#course
TEST_F(ReceivingItems, same_content_in_place_is_done_under_any_policy) {
  for (const OnConflict policy :
       {OnConflict::fail, OnConflict::rename, OnConflict::overwrite, OnConflict::newer}) {
    policy_.on_conflict = policy;
    for (const std::size_t size : {std::size_t{5}, kLarge}) {
      const std::string name =
          "a" + std::to_string(static_cast<int>(policy)) + std::to_string(size);
      spill(in_ / name, text(size));
      const auto inode = lstat_of(in_ / name).st_ino;
      EXPECT_EQ(receive(meta_of({file_entry(name, size)}), text(size)).code, Code::normal);
      EXPECT_EQ(lstat_of(in_ / name).st_ino, inode) << "nothing is rewritten";
      EXPECT_EQ(mtime_of(in_ / name), kTime);
      EXPECT_EQ(lstat_of(in_ / name).st_mode & 0777U, 0640U);
    }
  }
  EXPECT_EQ(names_below(in_).size(), 8U);
}

TEST_F(ReceivingItems, other_content_is_a_conflict_that_the_policy_decides) {
  const auto old_time =
      std::filesystem::file_time_type::clock::now() - std::chrono::hours(24 * 365 * 30);
  for (const std::size_t size : {std::size_t{5}, kLarge}) {
    const std::string content = text(size, 2);
    const auto attempt = [&](OnConflict policy, std::string_view old) {
      policy_.on_conflict = policy;
      spill(in_ / "a.txt", old);
      const auto code = receive(meta_of({file_entry("a.txt", size)}), content).code;
      return std::pair(code, slurp(in_ / "a.txt") == content);
    };
    for (const std::string& old : {text(size, 3), std::string("shorter")}) {
      EXPECT_EQ(attempt(OnConflict::fail, old), std::pair(Code::exists, false));
      EXPECT_EQ(attempt(OnConflict::newer, old), std::pair(Code::exists, false));
      EXPECT_EQ(attempt(OnConflict::overwrite, old), std::pair(Code::normal, true));
      std::filesystem::remove(in_ / "a.txt");
    }
    spill(in_ / "a.txt", "old");
    std::filesystem::last_write_time(in_ / "a.txt", old_time);
    policy_.on_conflict = OnConflict::newer;
    EXPECT_EQ(receive(meta_of({file_entry("a.txt", size)}), content).code, Code::normal);
    EXPECT_EQ(slurp(in_ / "a.txt"), content);
    std::filesystem::remove(in_ / "a.txt");
  }
  EXPECT_TRUE(names_below(in_).empty());
}

TEST_F(ReceivingItems, rename_finds_the_next_free_name_once) {
  policy_.on_conflict = OnConflict::rename;
  for (const std::size_t size : {std::size_t{5}, kLarge}) {
    const std::string name = "f" + std::to_string(size) + ".txt";
    const std::string stem = "f" + std::to_string(size);
    spill(in_ / name, "old");
    spill(in_ / (stem + " (1).txt"), "old too");
    const auto outcome = receive(meta_of({file_entry(name, size)}), text(size));
    EXPECT_EQ(outcome.paths, std::vector<std::string>{stem + " (2).txt"});
    EXPECT_EQ(slurp(in_ / (stem + " (2).txt")), text(size));
    EXPECT_EQ(slurp(in_ / name), "old");
    // Again, without the ledger's help: it is there already.
    EXPECT_EQ(receive(meta_of({file_entry(name, size)}), text(size), kOtherPeer).paths,
              std::vector<std::string>{stem + " (2).txt"});
    // And with it: it stands where it was put.
    IncomingItem again = IncomingItem::admit(folder(), meta_of({file_entry(name, size)}));
    EXPECT_TRUE(again.answer().in_place);
  }
  EXPECT_EQ(names_below(in_).size(), 6U);
}

TEST_F(ReceivingItems, folder_and_file_never_replace_each_other) {
  std::filesystem::create_directory(in_ / "d");
  spill(in_ / "f", "x");
  for (const OnConflict policy : {OnConflict::fail, OnConflict::overwrite, OnConflict::newer}) {
    policy_.on_conflict = policy;
    EXPECT_EQ(receive(meta_of({file_entry("d", 3)}), "abc").code, Code::exists);
    EXPECT_EQ(receive(meta_of({file_entry("d", kLarge)}), text(kLarge)).code, Code::exists);
    EXPECT_EQ(receive(meta_of({folder_entry("f")}), "").code, Code::exists);
    EXPECT_EQ(receive(meta_of({file_entry("f/x", 3)}), "abc").code, Code::exists);
  }
  EXPECT_EQ(slurp(in_ / "f"), "x");
}

TEST_F(ReceivingItems, file_with_a_second_name_elsewhere_keeps_its_attributes) {
  const auto outside = temporary_.path() / "outside";
  spill(outside, "same");
  ::chmod(outside.c_str(), 0600);
  const auto before = mtime_of(outside);
  std::filesystem::create_hard_link(outside, in_ / "a");
  EXPECT_EQ(receive(meta_of({file_entry("a", 4)}), "same").code, Code::normal);
  EXPECT_EQ(lstat_of(outside).st_mode & 0777U, 0600U);
  EXPECT_EQ(mtime_of(outside), before);
  policy_.on_conflict = OnConflict::overwrite;
  EXPECT_EQ(receive(meta_of({file_entry("a", 4)}), "evil", kOtherPeer).code, Code::normal);
  EXPECT_EQ(slurp(outside), "same");
  EXPECT_EQ(slurp(in_ / "a"), "evil");
}

TEST_F(ReceivingItems, one_commit_puts_many_items_in_place) {
  const ReceiveFolder where = folder();
  std::vector<IncomingItem> items;
  std::vector<IncomingItem*> pointers;
  for (sealine::stx::ItemId id = 0; id < 6; ++id) {
    const std::size_t size = id % 2 == 0 ? 100 : kLarge;
    const std::string content = text(size, id + 1);
    items.push_back(IncomingItem::admit(
        where, meta_of({file_entry("d" + std::to_string(id) + "/f", size)}, id)));
    ASSERT_TRUE(items.back().start(0));
    for (std::size_t at = 0; at < size; at += kBlock) {
      ASSERT_TRUE(items.back().write(at, as_bytes(std::string_view(content).substr(at, kBlock))));
    }
  }
  for (auto& item : items) pointers.push_back(&item);
  PendingFolders pending;
  IncomingItem::put_in_place(where, pointers, pending);
  for (sealine::stx::ItemId id = 0; id < 6; ++id) {
    EXPECT_EQ(items[id].outcome().code, Code::normal);
    EXPECT_EQ(slurp(in_ / ("d" + std::to_string(id)) / "f"),
              text(id % 2 == 0 ? 100 : kLarge, id + 1));
  }
  EXPECT_EQ(ledger_.list()->size(), 6U);
}

// SPEC stx.md#files
TEST_F(ReceivingItems, part_of_another_peer_is_left_alone) {
  const Meta meta = meta_of({file_entry("d/a", kLarge)});
  leave_part(meta, text(kLarge, 1), 5, kOtherPeer);
  leave_part(meta, text(kLarge, 2), 6);
  EXPECT_EQ(names_below(in_),
            (std::set<std::string>{"d", "d/.a.stxpart", part_name("d/a", kPeer, true)}));
  EXPECT_EQ(IncomingItem::admit(folder(kOtherPeer), meta).answer().have, 5U);
  EXPECT_EQ(IncomingItem::admit(folder(), meta).answer().have, 6U);
}

TEST_F(ReceivingItems, name_too_long_for_its_part_gets_a_hashed_one) {
  const std::string name(250, 'n');
  const std::string part = part_name(name, kPeer, false);
  EXPECT_TRUE(part.starts_with(".stx-"));
  EXPECT_EQ(part.size(), 21U);
  EXPECT_EQ(part_name(std::string(246, 'n'), kPeer, false),
            "." + std::string(246, 'n') + ".stxpart");
  EXPECT_EQ(receive(meta_of({file_entry(name, kLarge)}), text(kLarge)).code, Code::normal);
  EXPECT_EQ(slurp(in_ / name), text(kLarge));
  EXPECT_TRUE(is_part_name(part));
  EXPECT_TRUE(is_part_name("d/.a.stxpart"));
  for (const char* other : {"a", "", ".stxpart", "a.stxpart", ".stx-ledger",
                            ".stx-0123456789abcdeX", "..stxpart/x", ".stx-0123456789abcdef0"}) {
    EXPECT_FALSE(is_part_name(other)) << other;
  }
}

TEST_F(ReceivingItems, part_that_a_session_writes_is_busy) {
  const Meta meta = meta_of({file_entry("a", kLarge)});
  leave_part(meta, text(kLarge), 5);
  const ReceiveFolder where = folder();
  std::optional<IncomingItem> first = IncomingItem::admit(where, meta);
  EXPECT_EQ(IncomingItem::admit(where, meta).answer().code, Code::busy);
  EXPECT_EQ(discard_part(root_, ledger_, ledger_.list()->front()).error().code, Errc::item_busy);
  first.reset();
  EXPECT_EQ(IncomingItem::admit(where, meta).answer().have, 5U);
}

TEST_F(ReceivingItems, discard_takes_part_and_row) {
  leave_part(meta_of({file_entry("d/a", kLarge)}), text(kLarge), 5);
  ASSERT_TRUE(discard_part(root_, ledger_, ledger_.list()->front()));
  EXPECT_EQ(names_below(in_), std::set<std::string>{"d"});
  EXPECT_TRUE(ledger_.list()->empty());
  // A row that somebody else wrote does not make us delete what is no part.
  spill(in_ / "precious", "x");
  LedgerRow row;
  for (const char* part : {"precious", "../x", "d/../precious", ""}) {
    row.part = part;
    EXPECT_TRUE(discard_part(root_, ledger_, row));
  }
  EXPECT_TRUE(std::filesystem::exists(in_ / "precious"));
}

TEST_F(ReceivingItems, failed_item_takes_its_part_with_it) {
  const ReceiveFolder where = folder();
  IncomingItem item = IncomingItem::admit(where, meta_of({file_entry("a", kLarge)}));
  ASSERT_TRUE(item.start(0));
  item.discard();
  EXPECT_TRUE(names_below(in_).empty());
  EXPECT_TRUE(ledger_.list()->empty());
}

TEST_F(ReceivingItems, leftover_of_a_killed_process_is_used_up) {
  const std::string leaf = pack_part_leaf("d/a", kPeer);
  std::filesystem::create_directory(in_ / "d");
  spill(in_ / "d" / leaf, "half");
  EXPECT_EQ(receive(meta_of({file_entry("d/a", 4)}), "data").code, Code::normal);
  EXPECT_EQ(names_below(in_), (std::set<std::string>{"d", "d/a"}));
}

TEST_F(ReceivingItems, part_that_another_process_may_be_writing_is_left_to_it) {
  const ReceiveRoot other = *ReceiveRoot::open(in_);  // as another receiver on this folder
  const std::string leaf = pack_part_leaf("a", kPeer);
  spill(in_ / leaf, "theirs");
  EXPECT_EQ(receive(meta_of({file_entry("a", 4)}), "data").code, Code::normal);
  EXPECT_EQ(slurp(in_ / leaf), "theirs");
  EXPECT_EQ(slurp(in_ / "a"), "data");
}

TEST_F(ReceivingItems, staged_pack_that_is_dropped_leaves_nothing) {
  const ReceiveFolder where = folder();
  {
    IncomingItem item =
        IncomingItem::admit(where, meta_of({file_entry("a", 4), file_entry("b", 0)}));
    ASSERT_TRUE(item.start(0));
    item.stage(4);
    EXPECT_EQ(names_below(in_).size(), 2U);
  }
  EXPECT_TRUE(names_below(in_).empty());
}

// SPEC stx.md#files
TEST_F(ReceivingItems, quota_of_bytes_and_files_holds_over_sessions) {
  quota_ = {100, 3};
  EXPECT_EQ(receive(meta_of({file_entry("a", 60)}), text(60)).code, Code::normal);
  EXPECT_EQ(receive(meta_of({file_entry("b", 41)}), text(41)).code, Code::quota);
  EXPECT_EQ(receive(meta_of({file_entry("b", 40)}), text(40)).code, Code::normal);
  EXPECT_EQ(receive(meta_of({file_entry("c", 0), file_entry("d", 0)}), "").code, Code::quota);
  // The same item again costs nothing.
  EXPECT_EQ(receive(meta_of({file_entry("a", 60)}), text(60)).code, Code::normal);
  space_ = SpaceBook();  // another process: the ledger knows
  EXPECT_EQ(receive(meta_of({file_entry("e", 1)}), "x").code, Code::quota);
  EXPECT_EQ(receive(meta_of({file_entry("e", 1)}), "x", kOtherPeer).code, Code::normal);
}

TEST_F(ReceivingItems, open_items_share_what_is_left) {
  quota_ = {100, 10};
  const ReceiveFolder where = folder();
  std::optional<IncomingItem> first = IncomingItem::admit(where, meta_of({file_entry("a", 60)}));
  EXPECT_EQ(IncomingItem::admit(where, meta_of({file_entry("b", 60)})).answer().code, Code::quota);
  first.reset();
  EXPECT_EQ(IncomingItem::admit(where, meta_of({file_entry("b", 60)})).answer().code, Code::normal);
}

// SPEC stx.md#files
TEST_F(ReceivingItems, more_than_the_disk_holds_is_refused_before_it_comes) {
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 51U;
  Meta meta = meta_of({file_entry("a", kHuge)});
  meta.block_log2 = 20;
  IncomingItem item = IncomingItem::admit(folder(), meta);
  EXPECT_EQ(item.answer().code, Code::no_space);
  EXPECT_EQ(item.cause().code, Errc::disk_full);
  EXPECT_TRUE(names_below(in_).empty());
}

TEST_F(ReceivingItems, item_of_unknown_size_grows_within_its_quota) {
  quota_ = {3 * kBlock, 10};
  Meta meta = meta_of({file_entry("in", 0)});
  meta.size_unknown = true;
  const ReceiveFolder where = folder();
  IncomingItem item = IncomingItem::admit(where, meta);
  ASSERT_EQ(item.answer().code, Code::normal);
  ASSERT_TRUE(item.start(0));
  const std::string content = text(3 * kBlock - 10);
  for (std::size_t at = 0; at < content.size(); at += kBlock) {
    ASSERT_TRUE(item.write(at, as_bytes(std::string_view(content).substr(at, kBlock))));
  }
  EXPECT_EQ(item.write(3 * kBlock, as_bytes("x")).error().code, Errc::quota_full);
  EXPECT_EQ(finish(where, item, content.size()).code, Code::normal);
  EXPECT_EQ(slurp(in_ / "in"), content);
}

TEST_F(ReceivingItems, sparse_file_over_4_gib_takes_no_space_for_its_holes) {
  constexpr std::uint64_t kSize = (std::uint64_t{5} << 30U) + 100;
  constexpr std::uint64_t kTail = kSize / (1U << 20U) * (1U << 20U);
  Meta meta = meta_of({file_entry("s", kSize)});
  meta.block_log2 = 20;
  const ReceiveFolder where = folder();
  IncomingItem item = IncomingItem::admit(where, meta);
  ASSERT_EQ(item.answer().code, Code::normal);
  ASSERT_TRUE(item.start(0));
  ASSERT_TRUE(item.write(0, as_bytes("head")));
  ASSERT_TRUE(item.write_zeros(1U << 20U, kTail - (1U << 20U)));
  ASSERT_TRUE(item.write(kTail, as_bytes("tail")));
  EXPECT_EQ(finish(where, item, kSize).code, Code::normal);
  EXPECT_EQ(static_cast<std::uint64_t>(lstat_of(in_ / "s").st_size), kSize);
  EXPECT_LT(lstat_of(in_ / "s").st_blocks * 512, 4 << 20);
  std::ifstream file(in_ / "s", std::ios::binary);
  file.seekg(static_cast<std::streamoff>(kTail));
  std::string tail(4, ' ');
  file.read(tail.data(), 4);
  EXPECT_EQ(tail, "tail");
}

TEST_F(ReceivingItems, zeros_over_a_part_that_had_data_are_zeros) {
  const std::string content = text(kLarge);
  const Meta meta = meta_of({file_entry("a", kLarge)});
  leave_part(meta, content, 30);
  const ReceiveFolder where = folder();
  IncomingItem item = IncomingItem::admit(where, meta);
  ASSERT_TRUE(item.start(2));
  ASSERT_TRUE(item.write_zeros(2 * kBlock, kLarge - 2 * kBlock));
  EXPECT_EQ(finish(where, item, kLarge).code, Code::normal);
  EXPECT_EQ(slurp(in_ / "a"),
            content.substr(0, 2 * kBlock) + std::string(kLarge - 2 * kBlock, '\0'));
}

TEST_F(ReceivingItems, bytes_outside_of_the_item_are_refused) {
  const ReceiveFolder where = folder();
  IncomingItem small = IncomingItem::admit(where, meta_of({file_entry("a", 10)}));
  ASSERT_TRUE(small.start(0));
  EXPECT_EQ(small.write(5, as_bytes("123456")).error().code, Errc::protocol_broken);
  EXPECT_EQ(small.write_zeros(0, 11).error().code, Errc::protocol_broken);
  IncomingItem large = IncomingItem::admit(where, meta_of({file_entry("b", kLarge)}));
  ASSERT_TRUE(large.start(0));
  EXPECT_EQ(large.write(kLarge, as_bytes("1")).error().code, Errc::protocol_broken);
  EXPECT_EQ(large.write_zeros(~std::uint64_t{0}, 2).error().code, Errc::protocol_broken);
}

TEST_F(ReceivingItems, peers_may_have_folders_of_their_own_under_one_ledger) {
  const ReceiveRoot sub = *root_.below("0102");
  const ReceiveFolder where{sub, ledger_, "0102/", space_, kPeer, policy_, quota_};
  const Meta meta = meta_of({file_entry("a", kLarge)});
  IncomingItem item = IncomingItem::admit(where, meta);
  ASSERT_TRUE(item.start(0));
  EXPECT_EQ(ledger_.list()->front().part, "0102/.a.stxpart");
  EXPECT_EQ(send(where, item, text(kLarge)).code, Code::normal);
  EXPECT_EQ(slurp(in_ / "0102/a"), text(kLarge));
  EXPECT_EQ(ledger_.list()->front().path, "0102/a");
  EXPECT_TRUE(IncomingItem::admit(where, meta).answer().in_place);
}

}  // namespace

}  // namespace sealine::io::stx::test
