#include "sealine/io/state_dir.hpp"

#include "io/detail/file.hpp"

#include <cstdlib>
#include <pwd.h>
#include <string>
#include <sys/stat.h>
#include <system_error>

namespace sealine::io {

namespace {

std::filesystem::path from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::filesystem::path() : std::filesystem::path(value);
}

}  // namespace

Result<std::filesystem::path> state_dir_path(const std::filesystem::path& chosen) {
  if (!chosen.empty()) return chosen;
  if (auto set = from_environment("SEALINE_STATE_DIR"); !set.empty()) return set;
  // The XDG specification: a relative path counts as none.
  if (const auto xdg = from_environment("XDG_STATE_HOME"); xdg.is_absolute()) {
    return xdg / "sealine";
  }
  std::filesystem::path home = from_environment("HOME");
  if (home.empty()) {
    if (const ::passwd* entry = ::getpwuid(::geteuid()); entry != nullptr) home = entry->pw_dir;
  }
  if (home.empty()) return fail(Errc::file_error, ENOENT);
  return home / ".local" / "state" / "sealine";
}

Result<std::filesystem::path> open_state_dir(const std::filesystem::path& chosen) {
  SEALINE_TRY(path, state_dir_path(chosen));
  struct ::stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) return detail::file_failure();
    std::error_code ec;
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ec);
    if (ec) return fail(Errc::file_error, static_cast<std::uint32_t>(ec.value()));
    // Another process may make it at the same moment.
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return detail::file_failure();
    if (::stat(path.c_str(), &status) != 0) return detail::file_failure();
  }
  if (!S_ISDIR(status.st_mode)) return fail(Errc::file_error, ENOTDIR);
  if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(Errc::bad_secret_file);
  }
  return path;
}

}  // namespace sealine::io
