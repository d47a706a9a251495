#pragma once

#include "io/detail/file.hpp"
#include "io/stx/source_file.hpp"
#include "sealine/stx/message.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sealine::io::stx {

/// A file, folder or symlink that was met.
struct WalkedEntry {
  sealine::stx::Entry entry;
  std::size_t root = 0;  ///< of SourceRoots
  FileIdentity identity;
  std::string target;  ///< of a symlink
};

enum class SkipReason : std::uint8_t {
  device,
  socket,
  fifo,
  unreadable,    ///< `error` says why
  name_refused,  ///< no receiver takes it: too long, too deep, reserved
};

/// Something that is not sent; the rest goes on.
struct SkippedEntry {
  std::string name;
  SkipReason reason{};
  int error = 0;  ///< errno
};

[[nodiscard]] std::string_view to_string(SkipReason reason) noexcept;

/// A GLOB of --exclude: `*`, `?`, `[a-z]`; `*` does not cross a `/`. Without `/` it is compared
/// with the last component, with one inside with the end of the name from any component on, with
/// one at the front with the whole name. A `/` at its end: folders alone.
class Exclusion final {
 public:
  explicit Exclusion(std::string glob);
  [[nodiscard]] bool matches(std::string_view name, bool is_directory) const;

 private:
  std::string glob_;
  bool folders_only_ = false;
  bool anchored_ = false;
  bool has_slash_ = false;
};

/// Walks the roots in byte order of the names, each folder after everything below it: alike at
/// every run over the same tree. Links are not followed. Keeps the names of the folders it is in,
/// and no more. One thread.
class FolderWalk final {
 public:
  using Step = std::variant<WalkedEntry, SkippedEntry>;

  /// `roots` must outlive the walk.
  FolderWalk(const SourceRoots& roots, std::vector<Exclusion> exclude);

  /// The next; nothing at the end.
  [[nodiscard]] std::optional<Step> next();

 private:
  [[nodiscard]] std::optional<Step> visit(int folder, const char* leaf, std::string name);
  [[nodiscard]] std::optional<Step> enter(detail::FileDescriptor folder, std::string name);
  [[nodiscard]] bool is_excluded(std::string_view name, bool is_directory) const;

  const SourceRoots* roots_;
  std::vector<Exclusion> exclude_;
  std::size_t next_root_ = 0;
  std::size_t root_ = 0;  ///< the one we are in

  /// A folder that we are in: its names, sorted, one after another, each with a NUL behind it.
  struct Level {
    detail::FileDescriptor folder;
    std::string name;
    struct ::stat status{};
    std::string names;
    std::vector<std::uint32_t> order;  ///< where each name begins
    std::size_t next = 0;
  };

  std::vector<Level> levels_;
};

}  // namespace sealine::io::stx
