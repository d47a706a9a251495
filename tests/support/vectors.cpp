#include "support/vectors.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace sealine::test {
namespace {

nlohmann::json parse_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return nlohmann::json::parse(file);
}

}  // namespace

std::filesystem::path source_path(std::string_view relative) {
  const char* root = std::getenv("SEALINE_SOURCE_DIR");
  return std::filesystem::path(root != nullptr && *root != '\0' ? root : SEALINE_SOURCE_DIR) /
         relative;
}

nlohmann::json load_vectors(std::string_view name) {
  return parse_file(source_path("tests/vectors/sealine") / name);
}

std::optional<std::filesystem::path> external(std::string_view name) {
  const char* folder = std::getenv("SEALINE_VECTORS");
  if (folder == nullptr || *folder == '\0') folder = SEALINE_VECTORS_DIR;
  std::filesystem::path path = std::filesystem::path(folder) / name;
  if (!std::filesystem::is_regular_file(path)) return std::nullopt;
  return path;
}

std::optional<nlohmann::json> load_external(std::string_view name) {
  const auto path = external(name);
  if (!path) return std::nullopt;
  return parse_file(*path);
}

void report_vectors(std::string_view set, std::string_view name, std::size_t count) {
  std::printf("VECTORS %.*s %.*s %zu\n", static_cast<int>(set.size()), set.data(),
              static_cast<int>(name.size()), name.data(), count);
}

}  // namespace sealine::test
