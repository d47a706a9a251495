#pragma once

#include "sealine/io/stx_conflict.hpp"
#include "sealine/stx/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/stat.h>

namespace sealine::io::stx {

/// What a receiver decides about its disk.
struct ReceivePolicy {
  OnConflict on_conflict = OnConflict::fail;
  bool any_links = false;  ///< symlinks may be absolute or climb above the root
};

enum class PlaceVerdict : std::uint8_t {
  write,    ///< nothing stands there
  compare,  ///< a file of the same size, a link: no conflict if the content is the same
  merge,    ///< a folder where a folder is to be
  replace,
  rename,
  refuse,
};

/// What to do with `entry`, where `found` stands in its place (empty: nothing).
[[nodiscard]] PlaceVerdict judge_place(const sealine::stx::Entry& entry,
                                       const std::optional<struct ::stat>& found,
                                       OnConflict policy) noexcept;

/// The same once the contents were compared and differ: replace, rename or refuse.
[[nodiscard]] PlaceVerdict judge_difference(const sealine::stx::Entry& entry,
                                            const struct ::stat& found, OnConflict policy) noexcept;

/// The n-th (from 1) other name of a last component, cut to 255 bytes: `a (n).txt`.
[[nodiscard]] std::string other_leaf(std::string_view leaf, unsigned n);

/// Names that `rename` tries before it gives up with code 11.
inline constexpr unsigned kMaxOtherNames = 1000;

}  // namespace sealine::io::stx
