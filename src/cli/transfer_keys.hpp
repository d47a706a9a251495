#pragma once

#include "cli/failure.hpp"
#include "cli/output.hpp"
#include "sealine/crypto/x25519.hpp"

#include <filesystem>
#include <memory>
#include <vector>

namespace sealine::cli {

using SharedKey = std::shared_ptr<const crypto::Psk>;

/// Where the shared keys of the key form come from.
struct KeySources {
  std::vector<std::filesystem::path> files;
  bool from_variable = false;  ///< STX_KEY itself

  [[nodiscard]] bool empty() const { return files.empty() && !from_variable; }
};

/// The --key files; without any the environment: SEALINE_KEY_FILE, STX_KEY_FILE, STX_KEY, and
/// sealine.key in $CREDENTIALS_DIRECTORY. A flag for the other form turns the environment off.
[[nodiscard]] KeySources key_sources(const std::vector<std::filesystem::path>& given,
                                     bool takes_environment);

/// Reads them. A sender has one key, a receiver any number. STX_KEY is warned about: every process
/// of this user can read it. Errors: bad_secret_file, file_error, bad_file_line, bad_key_text.
[[nodiscard]] Outcome<SharedKey> load_sender_key(const KeySources& sources, Output& output);
[[nodiscard]] Outcome<std::vector<SharedKey>> load_receiver_keys(const KeySources& sources,
                                                                 Output& output);

}  // namespace sealine::cli
