#pragma once

#include "io/stx/conflict.hpp"
#include "io/stx/ledger.hpp"
#include "io/stx/quota.hpp"
#include "io/stx/receive_root.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/stx/code.hpp"
#include "sealine/stx/message.hpp"
#include "sealine/stx/receiver.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sealine::io::stx {

/// Where the items of one session go. All of it outlives the items.
struct ReceiveFolder {
  const ReceiveRoot& root;
  Ledger& ledger;
  std::string ledger_prefix;  ///< of `root` in the ledger's folder: empty, or `sub-folder/`
  SpaceBook& space;
  ByteArray<16> peer{};
  ReceivePolicy policy;
  Quota quota;
};

/// Folders whose mode and mtime wait until nothing below them is open any more.
///
/// A folder comes after everything below it in the order of META, but items end in any order: a
/// file that is put into it later would change its mtime, or could not be made in it. One thread.
class PendingFolders final {
 public:
  void add(sealine::stx::ItemId item, const sealine::stx::Entry& entry);
  /// Sets those of items before `oldest_open`, deepest first. Best effort: the next run of the
  /// sender sees what is wrong and sends it again.
  void apply_before(const ReceiveRoot& root, sealine::stx::ItemId oldest_open);
  /// Sets all: the session is over.
  void apply_all(const ReceiveRoot& root);

 private:
  struct Folder {
    std::string name;
    std::uint16_t mode;
    std::int64_t mtime_ns;
  };

  // Within an item, and from item to item, a folder comes after those that are in it; a multimap
  // keeps the order in which the folders of an item were added.
  using Waiting = std::multimap<sealine::stx::ItemId, Folder>;

  void apply(const ReceiveRoot& root, const Waiting::const_iterator& end);

  Waiting waiting_;
};

/// How an item ended: what DONE says.
struct ItemOutcome {
  sealine::stx::Code code = sealine::stx::Code::normal;
  std::vector<sealine::stx::EntryCode> entries;  ///< of a pack: what was kept out
  std::vector<std::string> paths;  ///< where each entry stands; empty where it was kept out
  std::vector<Error> causes;       ///< what exactly, one for each of `entries`
  Error cause{};                   ///< the same where `code` is not normal
};

/// The files of one item at the end that receives: a single file through its part, a pack (up to
/// 1 MiB, or no file at all) from memory. Nothing but this knows the difference.
///
/// Order of calls: admit; answer(); read() for LeavesWanted; start() at Receiving; write() and
/// write_zeros() from any threads; sync() and progress() for the blocks that are there, as often as
/// a commit is due; at ItemComplete stage() and put_in_place(). discard() at ItemFailed and when it
/// is refused later; an item that is only destroyed keeps its part for the next session.
class IncomingItem final {
 public:
  /// Judges META: names, what stands in place, space, quota, and what the ledger knows. The disk
  /// is not changed. Never fails: the answer has the code.
  static IncomingItem admit(const ReceiveFolder& folder, sealine::stx::Meta meta);
  IncomingItem(IncomingItem&&) noexcept;
  IncomingItem& operator=(IncomingItem&&) noexcept;
  ~IncomingItem();

  [[nodiscard]] const sealine::stx::MetaAnswer& answer() const noexcept;
  [[nodiscard]] const sealine::stx::Meta& meta() const noexcept;
  /// Why the answer's code is what it is, where an error of ours was the reason.
  [[nodiscard]] const Error& cause() const noexcept;
  [[nodiscard]] bool is_pack() const noexcept;

  /// What the disk holds of the item's bytes now; less than asked, where it ends.
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, MutableBytes out);
  /// Blocks before `first_block` were proved; 0 makes a part anew. `first_block` = all of an item
  /// that stands in place: nothing will be written.
  [[nodiscard]] Result<> start(std::uint32_t first_block);
  /// Bytes of the item; a pack's are kept in memory. Any thread, for bytes that no other writes.
  [[nodiscard]] Result<> write(std::uint64_t offset, ByteView bytes);
  [[nodiscard]] Result<> write_zeros(std::uint64_t offset, std::uint64_t bytes);

  /// What was written is on stable storage; nothing to do for a pack.
  [[nodiscard]] Result<> sync();
  /// The row that says so, for Ledger::commit; none for a pack.
  [[nodiscard]] std::optional<LedgerChange> progress(std::uint32_t have) const;

  /// END agrees: writes a pack's files beside their places, gives a part its size, mode and mtime.
  /// Any thread. An error shows in the outcome.
  void stage(std::uint64_t size_bytes);

  /// Makes staged items durable and puts them in place, all of them with one sync of the file
  /// system (or of the parts alone), one of each folder and one commit of the ledger. Then
  /// outcome() says how each ended. One call at a time for a root.
  static void put_in_place(const ReceiveFolder& folder, std::span<IncomingItem* const> items,
                           PendingFolders& folders);
  [[nodiscard]] const ItemOutcome& outcome() const noexcept;

  /// Deletes the part and its row: its content is worth nothing.
  void discard();

 private:
  struct State;
  explicit IncomingItem(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

/// Deletes the part file of a row and the row (`recv --discard`). A path in it that no part file
/// can have is left alone. Errors: item_busy (a session is writing to it), file_error.
[[nodiscard]] Result<> discard_part(const ReceiveRoot& root, Ledger& ledger, const LedgerRow& row);

}  // namespace sealine::io::stx
