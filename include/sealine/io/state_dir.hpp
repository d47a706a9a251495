#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"

#include <filesystem>

namespace sealine::io {

/// Where identity, known_peers and known_clients live: `chosen` if not empty, else
/// $SEALINE_STATE_DIR, else $XDG_STATE_HOME/sealine, else ~/.local/state/sealine. Nothing is made.
/// Errors: file_error where none of them says a place.
[[nodiscard]] SEALINE_API Result<std::filesystem::path> state_dir_path(
    const std::filesystem::path& chosen = {});

/// The same, made with its parents where it is missing (the last one 0700).
/// Errors: file_error (detail = errno); bad_secret_file if it is not ours or others may write in
/// it.
[[nodiscard]] SEALINE_API Result<std::filesystem::path> open_state_dir(
    const std::filesystem::path& chosen = {});

}  // namespace sealine::io
