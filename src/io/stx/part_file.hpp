#pragma once

#include "io/detail/file.hpp"
#include "io/stx/receive_root.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sealine::io::stx {

/// The part file of `name` beside its place: `.NAME.stxpart`, or, where that is too long or
/// `is_taken` by another peer, `.stx-` and 16 hex digits of H(peer id || name).
[[nodiscard]] std::string part_name(std::string_view name, const ByteArray<16>& peer,
                                    bool is_taken);

/// The part of a pack's entry: `.stx-` and 16 hex digits, never the same as a part_name.
[[nodiscard]] std::string pack_part_leaf(std::string_view name, const ByteArray<16>& peer);

/// Whether a path ends in a name that only a part file has: what may be deleted on the word of the
/// ledger.
[[nodiscard]] bool is_part_name(std::string_view path) noexcept;

/// A file on its way: written under the name of a part, put in place when all of it is proved.
///
/// It is locked (flock) while it is open; the one who comes second gets item_busy. Blocks may be
/// written from several threads at a time; everything else is for one. A write over RLIMIT_FSIZE is
/// file_error with EFBIG and no signal.
class PartFile final {
 public:
  /// Opens a part to go on with. One that is not ours alone (no regular file, another owner, a
  /// second hard link): file_error with EINVAL. Errors: item_busy, file_error.
  static Result<PartFile> open(const ReceiveRoot& root, std::string part);
  /// Makes it anew (O_EXCL), after an old one was removed; folders on the way are made. Mode 0600.
  static Result<PartFile> create(const ReceiveRoot& root, std::string part);

  /// Gives it the size that was announced, all of it a hole; space is then set aside ahead of the
  /// writes where the file system can. Before the first write; not for an item of unknown size.
  [[nodiscard]] Result<> set_size(std::uint64_t size_bytes);

  /// Writes at `offset`.
  [[nodiscard]] Result<> write(std::uint64_t offset, ByteView bytes);
  /// The same of zero bytes: a hole, where set_size was called and the file system has them.
  [[nodiscard]] Result<> write_zeros(std::uint64_t offset, std::uint64_t bytes);
  /// Reads what is there, less than asked only at the end of the file.
  [[nodiscard]] Result<std::size_t> read(std::uint64_t offset, MutableBytes out) const;
  /// The data is on stable storage (fdatasync).
  [[nodiscard]] Result<> sync() const;
  /// The same of all that is known about the file (fsync).
  [[nodiscard]] Result<> sync_all() const;
  /// Final length, mode (the low 9 bits alone) and mtime.
  [[nodiscard]] Result<> complete(std::uint64_t size_bytes, std::uint16_t mode,
                                  std::int64_t mtime_ns);
  /// Renames it, within its folder. Not `replace`: file_exists where something stands there.
  [[nodiscard]] Result<> rename(const std::string& leaf, bool replace) const;
  /// Deletes it.
  [[nodiscard]] Result<> remove() const;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  [[nodiscard]] int folder() const noexcept { return folder_.value(); }

  [[nodiscard]] int descriptor() const noexcept { return file_.value(); }

 private:
  PartFile(detail::FileDescriptor folder, detail::FileDescriptor file, std::string name);
  void set_aside(std::uint64_t offset, std::uint64_t bytes) noexcept;

  detail::FileDescriptor folder_;
  detail::FileDescriptor file_;
  std::string name_;  ///< below the root
  std::uint64_t size_bytes_ = 0;
  bool can_set_aside_ = false;
  std::unique_ptr<std::atomic<std::uint64_t>> set_aside_end_;
};

}  // namespace sealine::io::stx
