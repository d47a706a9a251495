#pragma once

#include "io/stx/conflict.hpp"
#include "io/stx/receive_root.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/stx/message.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <sys/stat.h>

namespace sealine::io::stx {

/// Says whether what stands at `leaf` has the content that is to be put there.
using HasContent =
    std::function<Result<bool>(int folder, const std::string& leaf, const struct ::stat& status)>;

/// Renames `part` to the entry's place, or to what the policy makes of it; gives the last component
/// it has now. What stands there with the same content gets mode and mtime, and the part is
/// deleted. Errors: file_exists (the policy keeps what is there), and those of the calls; then the
/// part stays.
[[nodiscard]] Result<std::string> settle(int folder, const std::string& part,
                                         const sealine::stx::Entry& entry, OnConflict policy,
                                         const HasContent& has_content);

/// One entry of a pack on its way: written beside its place first, renamed when all of the commit
/// is on stable storage.
class StagedEntry final {
 public:
  /// Writes it, unless its place has it already or keeps what it has. A folder is made at once.
  /// `root` outlives it. Any thread.
  static StagedEntry stage(FolderCache& folders, const ReceiveRoot& root, const ByteArray<16>& peer,
                           const ReceivePolicy& policy, const sealine::stx::Entry& entry,
                           ByteView content);
  /// One that is kept out without a look at the disk.
  static StagedEntry refused(const Error& cause);

  StagedEntry(StagedEntry&& other) noexcept;
  StagedEntry& operator=(StagedEntry&&) = delete;
  StagedEntry(const StagedEntry&) = delete;
  StagedEntry& operator=(const StagedEntry&) = delete;
  /// A part that was not put in place is deleted.
  ~StagedEntry();

  /// Renames it. `entry` and `content` as they were.
  void put_in_place(FolderCache& folders, const ReceivePolicy& policy,
                    const sealine::stx::Entry& entry, ByteView content);

  /// Nothing was kept out, and it needs no more renaming.
  [[nodiscard]] bool is_in_place() const noexcept { return state_ == State::in_place; }

  [[nodiscard]] bool is_written() const noexcept { return state_ == State::written; }

  /// Below the root; empty where it was kept out.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// Why it was kept out.
  [[nodiscard]] const Error& cause() const noexcept { return cause_; }

 private:
  enum class State : std::uint8_t { kept_out, written, in_place };

  StagedEntry() = default;
  [[nodiscard]] Result<> try_stage(FolderCache& folders, const ByteArray<16>& peer,
                                   const ReceivePolicy& policy, const sealine::stx::Entry& entry,
                                   ByteView content);
  [[nodiscard]] Result<> write(int folder, const ByteArray<16>& peer,
                               const sealine::stx::Entry& entry, ByteView content);
  [[nodiscard]] Result<> claim_part(int folder, const ByteArray<16>& peer,
                                    const sealine::stx::Entry& entry,
                                    const std::function<bool(const std::string& leaf)>& make);
  void release_part() noexcept;

  const ReceiveRoot* root_ = nullptr;
  std::string part_;  ///< below the root; claimed in root_->staging()
  std::string path_;
  Error cause_{};
  State state_ = State::kept_out;
};

}  // namespace sealine::io::stx
