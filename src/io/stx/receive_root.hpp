#pragma once

#include "io/detail/file.hpp"
#include "sealine/base/error.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unordered_set>
#include <vector>

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

  /// What happens to folders that are not there; `make_durable`: each is synced into its parent.
  enum class Missing : std::uint8_t { fail, make, make_durable };

  /// The folder `name` (empty: the root itself), to be used by the *at calls with one component
  /// behind it. Folders are made with mode 0777 less the umask.
  [[nodiscard]] Result<detail::FileDescriptor> open_folder(std::string_view name,
                                                           Missing missing) const;

  /// Opens an existing regular file; O_NOFOLLOW, O_NONBLOCK and O_CLOEXEC are added. What is no
  /// regular file: file_error with EINVAL.
  [[nodiscard]] Result<detail::FileDescriptor> open_file(std::string_view name, int flags) const;

  /// lstat. file_error with ENOENT where nothing is there.
  [[nodiscard]] Result<struct ::stat> status(std::string_view name) const;

  /// Syncs the whole file system that the root lies on.
  [[nodiscard]] Result<> sync() const;

  /// Bytes that we may still write.
  [[nodiscard]] Result<std::uint64_t> free_bytes() const;

  /// Whether no other process has this folder open as its root (nor another ReceiveRoot of this
  /// one): then a part that nobody here has staged is a leftover. False where that cannot be known.
  [[nodiscard]] bool is_alone() const noexcept;

  /// The parts of packs that are being written just now, so that two sessions never write one.
  class Staging final {
   public:
    [[nodiscard]] bool insert(const std::string& part);
    void erase(const std::string& part) noexcept;

   private:
    std::mutex mutex_;
    std::unordered_set<std::string> parts_;
  };

  [[nodiscard]] Staging& staging() const noexcept { return *staging_; }

  /// The folder's path, links resolved when it was opened.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  [[nodiscard]] int descriptor() const noexcept { return root_.value(); }

  /// Of the root: another file system that is mounted below it is not synced with it.
  [[nodiscard]] std::uint64_t device() const noexcept { return device_; }

 private:
  ReceiveRoot(detail::FileDescriptor root, std::filesystem::path path) noexcept;
  [[nodiscard]] Result<detail::FileDescriptor> make_folders(std::string_view name,
                                                            bool durable) const;

  detail::FileDescriptor root_;
  std::filesystem::path path_;
  std::uint64_t device_ = 0;
  std::unique_ptr<Staging> staging_ = std::make_unique<Staging>();
};

/// Some folders below a root that are kept open, so that many files of one folder cost one lookup.
/// Lives for one call: a folder that is moved away in the meantime is written to where it is now.
/// One thread.
class FolderCache final {
 public:
  explicit FolderCache(const ReceiveRoot& root) : root_(&root) {}

  /// As ReceiveRoot::open_folder; the descriptor is good until the next call.
  [[nodiscard]] Result<int> open(std::string_view name, ReceiveRoot::Missing missing);

 private:
  struct Folder {
    std::string name;
    detail::FileDescriptor descriptor;
  };

  const ReceiveRoot* root_;
  std::vector<Folder> folders_;
  std::size_t next_ = 0;  ///< to be replaced
};

/// openat2 of `name` beneath `folder`, without a symbolic link on the way. O_CLOEXEC is added.
[[nodiscard]] Result<detail::FileDescriptor> open_beneath(int folder, const std::string& name,
                                                          int flags);

}  // namespace sealine::io::stx
