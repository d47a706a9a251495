#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/x25519.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace sealine::io {

/// No file with secrets is longer: several thousand keys with names.
inline constexpr std::size_t kMaxSecretFileBytes = std::size_t{1} << 20U;

/// The content of a file that must be ours and closed to group and others; `-` is standard input.
/// Only a regular file is asked for its owner: a pipe (`<(...)`) belongs to who made it.
/// Errors: bad_secret_file (secret_file_hint says the way out), file_error (detail = errno),
/// value_too_large.
[[nodiscard]] SEALINE_API Result<SecretBytes> read_secret_file(
    const std::filesystem::path& path, std::size_t limit_bytes = kMaxSecretFileBytes);

/// What the user can do about bad_secret_file: "chmod 600 'FILE'", or that the file must be ours.
/// Empty if the file is in order.
[[nodiscard]] SEALINE_API std::string secret_file_hint(const std::filesystem::path& path);

/// A shared secret with the name that stands behind it in its file.
struct NamedPsk {
  crypto::Psk psk;
  std::string name;
};

/// A PSK file: exactly 32 bytes are one raw key; else lines `sls1... [name]` or 64 hex digits in
/// place of the first field, with comments and empty lines.   spec: stcp.md#files
/// Errors: those of read_secret_file; bad_file_line (detail = line), also if there is none.
[[nodiscard]] SEALINE_API Result<std::vector<NamedPsk>> read_psk_file(
    const std::filesystem::path& path);

/// A client's PSK file: exactly one key. Errors: as read_psk_file; bad_file_line for a second one.
[[nodiscard]] SEALINE_API Result<NamedPsk> read_one_psk_file(const std::filesystem::path& path);

/// Writes a new file with mode 0600 (O_EXCL, fsync). Errors: file_error, EEXIST among them.
[[nodiscard]] SEALINE_API Result<> write_secret_file(const std::filesystem::path& path,
                                                     ByteView content);

}  // namespace sealine::io
