#include "io/stx/conflict.hpp"

#include "io/stx/place.hpp"
#include "sealine/stx/name.hpp"

#include <algorithm>
#include <cstddef>

namespace sealine::io::stx {

using sealine::stx::Entry;
using sealine::stx::EntryKind;

PlaceVerdict judge_place(const Entry& entry, const std::optional<struct ::stat>& found,
                         OnConflict policy) noexcept {
  if (!found) return PlaceVerdict::write;
  if (entry.kind == EntryKind::directory) {
    return S_ISDIR(found->st_mode) ? PlaceVerdict::merge : PlaceVerdict::refuse;
  }
  const bool same_size = static_cast<std::uint64_t>(found->st_size) == entry.size_bytes;
  const bool same_kind =
      entry.kind == EntryKind::file ? S_ISREG(found->st_mode) != 0 : S_ISLNK(found->st_mode) != 0;
  return same_kind && same_size ? PlaceVerdict::compare : judge_difference(entry, *found, policy);
}

PlaceVerdict judge_difference(const Entry& entry, const struct ::stat& found,
                              OnConflict policy) noexcept {
  const bool is_folder = S_ISDIR(found.st_mode);
  switch (policy) {
    case OnConflict::fail:
      return PlaceVerdict::refuse;
    case OnConflict::rename:
      return PlaceVerdict::rename;
    case OnConflict::overwrite:
      return is_folder ? PlaceVerdict::refuse : PlaceVerdict::replace;
    case OnConflict::newer:
      return !is_folder && entry.mtime_ns > mtime_ns_of(found) ? PlaceVerdict::replace
                                                               : PlaceVerdict::refuse;
  }
  return PlaceVerdict::refuse;
}

std::string other_leaf(std::string_view leaf, unsigned n) {
  // ".profile" has no extension, "a.tar.gz" the last one.
  const std::size_t dot = leaf.rfind('.');
  const bool has_extension = dot != std::string_view::npos && dot > 0 && dot + 1 < leaf.size();
  std::string_view extension = has_extension ? leaf.substr(dot) : std::string_view();
  const std::string number = " (" + std::to_string(n) + ")";
  const std::size_t room = sealine::stx::kMaxComponentBytes - number.size();
  if (extension.size() > room / 2) extension = {};
  const std::string_view stem =
      leaf.substr(0, std::min(leaf.size() - extension.size(), room - extension.size()));
  return std::string(stem) + number + std::string(extension);
}

}  // namespace sealine::io::stx
