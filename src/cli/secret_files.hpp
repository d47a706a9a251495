#pragma once

#include "cli/failure.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/crypto/x25519.hpp"
#include "sealine/io/secret_file.hpp"

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace sealine::cli {

/// What a file with keys holds: one identity, or shared secrets.
struct KeyFile {
  std::optional<crypto::KeyPair> identity;
  std::vector<io::NamedPsk> psks;
};

/// Tells the kinds apart: 32 raw bytes, lines `sls1...` or 64 hex digits, or one line `slk1...`.
/// Errors: bad_file_line (detail = line).
[[nodiscard]] Result<KeyFile> parse_key_file(ByteView content);

/// The words for a key file that cannot be used: exit code 2, with the `chmod` as hint.
/// `what` is "the shared secret" or alike.
[[nodiscard]] Failure secret_file_failure(const Error& error, const std::filesystem::path& path,
                                          std::string_view what);

}  // namespace sealine::cli
