#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/crypto/x25519.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace sealine::io {

/// The keys that a server accepts in mode mutual: lines `slp1... [name]`.   spec: stcp.md#files
///
/// reload() reads the file again (SIGHUP); where that fails the old list stays. Any thread.
class SEALINE_API AllowFile {
 public:
  struct Entry {
    crypto::PublicKey key;
    std::string name;
  };

  /// Errors: file_error (detail = errno), bad_file_line (detail = line).
  static Result<std::shared_ptr<AllowFile>> open(const std::filesystem::path& path);

  [[nodiscard]] Result<> reload();

  /// The name of a key that is on the list.
  [[nodiscard]] std::optional<std::string> find(const crypto::PublicKey& key) const;

  [[nodiscard]] std::size_t size() const;

 private:
  explicit AllowFile(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace sealine::io
