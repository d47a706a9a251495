#pragma once

#include "io/detail/file.hpp"
#include "sealine/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/stat.h>

namespace sealine::io::stx {

/// The folder below which everything of a peer stays.   spec: stx.md#files
///
/// Every path is resolved by openat2 from the folder's descriptor, beneath it and without any
/// symbolic link, so that neither a name nor somebody who swaps a folder for a link meanwhile leads
/// out of it. Names are checked by sealine::stx::check_name before they come here; an unchecked one
/// is as safe, only the error differs. Errors: file_error with ELOOP or EXDEV where a link stands
/// in the way, ENOSYS where the kernel has no openat2 (before Linux 5.6): there is no weaker way.
/// Any thread.
class ReceiveRoot final {
 public:
  /// Opens `folder`, made with its parents where missing; links on the way to it are followed, for
  /// they are the user's own.
  static Result<ReceiveRoot> open(const std::filesystem::path& folder);

  /// A root of its own below this one, made where missing: a sub-folder for one peer.
  [[nodiscard]] Result<ReceiveRoot> below(std::string_view name) const;

  enum class Missing : std::uint8_t { fail, make };

  /// The folder `name` (empty: the root itself), to be used by the *at calls with one component
  /// behind it. `make`: with all folders on the way, mode 0777 less the umask.
  [[nodiscard]] Result<detail::FileDescriptor> open_folder(std::string_view name,
                                                           Missing missing) const;

  /// Opens an existing regular file; O_NOFOLLOW, O_NONBLOCK and O_CLOEXEC are added. What is no
  /// regular file: file_error with EINVAL.
  [[nodiscard]] Result<detail::FileDescriptor> open_file(std::string_view name, int flags) const;

  /// lstat. file_error with ENOENT where nothing is there.
  [[nodiscard]] Result<struct ::stat> status(std::string_view name) const;

  /// Removes a file or link, not a folder. Nothing there is no error.
  [[nodiscard]] Result<> remove(std::string_view name) const;

  /// Syncs the whole file system that the root lies on.
  [[nodiscard]] Result<> sync() const;

  /// Bytes that we may still write.
  [[nodiscard]] Result<std::uint64_t> free_bytes() const;

  /// The folder's path, links resolved when it was opened.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  [[nodiscard]] int descriptor() const noexcept { return root_.value(); }

 private:
  ReceiveRoot(detail::FileDescriptor root, std::filesystem::path path) noexcept;

  detail::FileDescriptor root_;
  std::filesystem::path path_;
};

}  // namespace sealine::io::stx
