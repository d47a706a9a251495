#pragma once

#include "io/stx/incoming_item.hpp"
#include "io/stx/part_file.hpp"
#include "io/stx/staged_entry.hpp"

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace sealine::io::stx {

/// What an IncomingItem knows. Its making is in incoming_admission.cpp, its data in
/// incoming_item.cpp, its end in incoming_placement.cpp.
struct IncomingItem::State {
  State(const ReceiveFolder& where, sealine::stx::Meta what)
      : folder(&where), meta(std::move(what)) {}

  const ReceiveFolder* folder;
  sealine::stx::Meta meta;
  sealine::stx::MetaAnswer answer;
  Error cause{};
  bool is_pack = true;
  std::uint64_t total_bytes = 0;  ///< 0 if it is unknown
  std::uint32_t blocks = 0;

  ItemKey key;
  std::optional<LedgerRow> row;  ///< as the ledger knew it
  SpaceBook::Reservation reservation;
  std::mutex growing;  ///< of an item of unknown size: guards the next two
  std::uint64_t promised_bytes = 0;
  std::uint64_t written_end = 0;

  std::optional<PartFile> part;          ///< of a single file
  std::string standing;                  ///< answer.in_place: the single file's name below the root
  detail::FileDescriptor standing_file;  ///< opened when it is read
  std::vector<std::uint8_t> content;     ///< of a pack
  bool content_is_read = false;          ///< from the disk, for LeavesWanted
  bool stays = false;                    ///< all of it was proved in its place

  std::vector<StagedEntry> staged;  ///< of a pack, one for each entry
  std::optional<Error> stage_error;
  bool is_staged = false;
  ItemOutcome outcome;

  [[nodiscard]] const sealine::stx::Entry& first() const { return meta.entries.front(); }

  [[nodiscard]] std::uint64_t block_bytes() const { return std::uint64_t{1} << meta.block_log2; }

  /// A name below the root as the ledger has it, and back; nothing for a name outside of it.
  [[nodiscard]] std::string in_ledger(std::string_view name) const;
  [[nodiscard]] std::optional<std::string> below_root(std::string_view path) const;
  /// The row of this item as a part.
  [[nodiscard]] LedgerRow part_row(std::uint32_t have) const;

  [[nodiscard]] Result<> admit();
  [[nodiscard]] Result<> find_standing();
  [[nodiscard]] Result<> find_part();
  [[nodiscard]] Result<> reserve();
  [[nodiscard]] bool stands(const sealine::stx::Entry& entry, const std::string& name) const;

  [[nodiscard]] Result<> make_part();
  [[nodiscard]] Result<> read_content();
  [[nodiscard]] Result<> promise(std::uint64_t end_bytes);

  [[nodiscard]] Result<> settle_part();
  void settle_pack(FolderCache& folders);
  void adopt_standing(FolderCache& folders);
  void keep_out(const Error& error);
  void conclude_pack();
  [[nodiscard]] std::optional<LedgerChange> last_change() const;
};

/// Calls `visit(entry number, its content)` for each entry of a pack.
template <class Visit>
void for_each_content(const sealine::stx::Meta& meta, ByteView content, Visit visit) {
  for (std::size_t i = 0; i < meta.entries.size(); ++i) {
    const auto size = static_cast<std::size_t>(meta.entries[i].size_bytes);
    visit(i, content.first(size));
    content = content.subspan(size);
  }
}

}  // namespace sealine::io::stx
