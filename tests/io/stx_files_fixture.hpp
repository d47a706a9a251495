#pragma once

#include "io/stcp_fixture.hpp"
#include "io/stx/incoming_item.hpp"
#include "io/stx/ledger.hpp"
#include "io/stx/quota.hpp"
#include "io/stx/receive_root.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/stx/message.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <utility>
#include <vector>

namespace sealine::io::stx::test {

using io::test::pattern;
using io::test::TemporaryFolder;
using sealine::stx::Code;
using sealine::stx::Entry;
using sealine::stx::EntryKind;
using sealine::stx::Meta;

inline constexpr ByteArray<16> kPeer{1, 2, 3};
inline constexpr ByteArray<16> kOtherPeer{9, 9, 9};
inline constexpr std::int64_t kTime = 1'700'000'000'123'456'789;
inline constexpr std::size_t kBlock = std::size_t{1} << 14U;

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void spill(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline struct ::stat lstat_of(const std::filesystem::path& path) {
  struct ::stat status{};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status;
}

inline std::int64_t mtime_of(const std::filesystem::path& path) {
  const auto status = lstat_of(path);
  return status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec;
}

/// All names below, relative, but for the ledger's.
inline std::set<std::string> names_below(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (!name.starts_with(".stx-ledger")) names.insert(name);
  }
  return names;
}

inline Entry file_entry(std::string name, std::uint64_t size) {
  return {EntryKind::file, 0640, kTime, size, std::move(name)};
}

inline Entry folder_entry(std::string name, std::uint16_t mode = 0750) {
  return {EntryKind::directory, mode, kTime, 0, std::move(name)};
}

inline Entry link_entry(std::string name, std::size_t target_bytes) {
  return {EntryKind::symlink, 0777, kTime, target_bytes, std::move(name)};
}

inline Meta meta_of(std::vector<Entry> entries, sealine::stx::ItemId item = 0) {
  Meta meta;
  meta.item = item;
  meta.block_log2 = 14;
  meta.entries = std::move(entries);
  return meta;
}

inline std::string text_of(std::size_t size, std::uint32_t seed = 1) {
  return std::string(as_text(pattern(size, seed)));
}

/// A folder in memory, where there is such a place: most tests sync often. Gone with the object.
class MemoryFolder {
 public:
  MemoryFolder() {
    const std::filesystem::path memory = "/dev/shm";
    std::error_code none;
    const bool in_memory = std::filesystem::is_directory(memory, none);
    const auto base = in_memory ? memory : std::filesystem::temp_directory_path();
    std::string form = (base / "sealine-test-XXXXXX").string();
    path_ = ::mkdtemp(form.data());
  }

  MemoryFolder(const MemoryFolder&) = delete;
  MemoryFolder& operator=(const MemoryFolder&) = delete;

  ~MemoryFolder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A receive folder as a session sees it.
class Receiving : public ::testing::Test {
 protected:
  [[nodiscard]] ReceiveFolder folder(const ByteArray<16>& peer = kPeer) {
    return {root_, ledger_, "", space_, peer, policy_, quota_};
  }

  /// Offers, sends and finishes an item; its outcome.
  ItemOutcome receive(Meta meta, std::string_view content, const ByteArray<16>& peer = kPeer) {
    const ReceiveFolder where = folder(peer);
    IncomingItem item = IncomingItem::admit(where, std::move(meta));
    if (item.answer().code != Code::normal) return {item.answer().code, {}, {}, {}, item.cause()};
    return send(where, item, content);
  }

  ItemOutcome send(const ReceiveFolder& where, IncomingItem& item, std::string_view content) {
    EXPECT_TRUE(item.start(0));
    for (std::size_t at = 0; at < content.size(); at += kBlock) {
      EXPECT_TRUE(item.write(at, as_bytes(content.substr(at, kBlock))));
    }
    return finish(where, item, content.size());
  }

  ItemOutcome finish(const ReceiveFolder& where, IncomingItem& item, std::uint64_t size) {
    item.stage(size);
    IncomingItem* const one = &item;
    PendingFolders folders;
    IncomingItem::put_in_place(where, {&one, 1}, folders);
    folders.apply_all(root_);
    return item.outcome();
  }

  [[nodiscard]] static std::string text(std::size_t size, std::uint32_t seed = 1) {
    return text_of(size, seed);
  }

  MemoryFolder temporary_;
  std::filesystem::path in_ = temporary_.path() / "in";
  ReceiveRoot root_ = *ReceiveRoot::open(in_);
  Ledger ledger_ = *Ledger::open(in_);
  SpaceBook space_;
  ReceivePolicy policy_;
  Quota quota_;
};

}  // namespace sealine::io::stx::test
