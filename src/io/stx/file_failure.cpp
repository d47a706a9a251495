#include "io/stx/file_failure.hpp"

#include <cerrno>
#include <cstdint>

namespace sealine::io::stx {

using sealine::stx::Code;

Error file_error_of(int error_number) noexcept {
  const auto detail = static_cast<std::uint32_t>(error_number);
  switch (error_number) {
    case ENOSPC:
      return {Errc::disk_full, detail};
    case EDQUOT:
      return {Errc::quota_full, detail};
    case ENAMETOOLONG:
      return {Errc::file_name_refused, detail};
    default:
      return {Errc::file_error, detail};
  }
}

std::unexpected<Error> failed() { return std::unexpected(file_error_of(errno)); }

namespace {

/// Whether the errno says that something of another kind stands in the way.
bool is_in_the_way(std::uint32_t error_number) noexcept {
  switch (error_number) {
    case ELOOP:    // a link
    case EXDEV:    // one that leads out of the root
    case ENOTDIR:  // a file, where a folder is wanted
    case EISDIR:
    case EEXIST:
    case ENOTEMPTY:
      return true;
    default:
      return false;
  }
}

}  // namespace

Code code_of(const Error& error) noexcept {
  if (error.code == Errc::file_error && is_in_the_way(error.detail)) return Code::exists;
  if (error.code == Errc::file_name_refused) return Code::name;
  if (error.code == Errc::link_target_refused) return Code::refused;
  if (error.code == Errc::disk_full) return Code::no_space;
  if (error.code == Errc::quota_full) return Code::quota;
  if (error.code == Errc::file_exists) return Code::exists;
  if (error.code == Errc::source_changed) return Code::source_changed;
  if (error.code == Errc::item_busy || error.code == Errc::file_locked) return Code::busy;
  return Code::io_error;
}

}  // namespace sealine::io::stx
