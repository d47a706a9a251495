#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/base/secret.hpp"
#include "sealine/crypto/x25519.hpp"

#include <filesystem>

namespace sealine::io {

/// Reads an identity file: one line `slk1...` beside comments.   spec: stcp.md#files
/// Errors: those of read_secret_file; bad_file_line (detail = line).
[[nodiscard]] SEALINE_API Result<crypto::KeyPair> read_identity(const std::filesystem::path& path);

/// Reads it, or makes it where it is missing: of any number of processes that come at once, one
/// makes the file (complete before it has its name) and all read the same key.
[[nodiscard]] SEALINE_API Result<crypto::KeyPair> open_identity(const std::filesystem::path& path);

/// `identity` in the state directory, made at first need.
[[nodiscard]] SEALINE_API Result<crypto::KeyPair> open_default_identity(
    const std::filesystem::path& state_dir = {});

/// The text of an identity file: a comment with the public key, and the private key.
[[nodiscard]] SEALINE_API SecretBytes identity_text(const crypto::KeyPair& pair);

}  // namespace sealine::io
