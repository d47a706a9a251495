#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace sealine::test {

/// tests/vectors/sealine/NAME, parsed. Throws if it is not there: these files are part of the
/// project.
[[nodiscard]] nlohmann::json load_vectors(std::string_view name);

/// The place of a file in this source tree.
[[nodiscard]] std::filesystem::path source_path(std::string_view relative);

/// A file of another project's vectors, such as "wycheproof/aes_gcm_test.json", if it is there.
/// Looked for in the environment's SEALINE_VECTORS, else in the folder that the build was told of.
[[nodiscard]] std::optional<std::filesystem::path> external(std::string_view name);

/// external(), parsed; see SEALINE_LOAD_OR_SKIP.
[[nodiscard]] std::optional<nlohmann::json> load_external(std::string_view name);

/// Prints `VECTORS <set> <name> <count>`, the line that reports collect.
void report_vectors(std::string_view set, std::string_view name, std::size_t count);

}  // namespace sealine::test

/// Declares `var`, the parsed external file, or skips the test by the file's name.
#define SEALINE_LOAD_OR_SKIP(var, name)                                                 \
  const auto var##_loaded = ::sealine::test::load_external(name);                       \
  if (!var##_loaded) GTEST_SKIP() << "SKIPPED: no " << (name) << " in SEALINE_VECTORS"; \
  const nlohmann::json& var = *var##_loaded
