#include "cli/transfer_keys.hpp"

#include "cli/secret_files.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/secret_file.hpp"

#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sealine::cli {
namespace {

constexpr const char* kKeyVariable = "STX_KEY";
constexpr std::string_view kWhat = "the shared key";

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::string_view without_blanks(std::string_view text) {
  static constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

Outcome<SharedKey> key_of_variable(Output& output) {
  output.warn(
      "STX_KEY stands in the environment, where every process of this user can read it; "
      "STX_KEY_FILE names a file instead");
  auto psk = crypto::parse_psk(io::thread_engine(), without_blanks(variable(kKeyVariable)));
  if (!psk) {
    return failure(psk.error(), "STX_KEY holds no key",
                   "it has 60 letters and begins with sls1, or has 64 hex digits; "
                   "`sealine key new` makes one");
  }
  return std::make_shared<const crypto::Psk>(std::move(*psk));
}

}  // namespace

KeySources key_sources(const std::vector<std::filesystem::path>& given, bool takes_environment) {
  if (!given.empty()) return {.files = given};
  if (!takes_environment) return {};
  for (const char* const name : {"SEALINE_KEY_FILE", "STX_KEY_FILE"}) {
    if (const auto path = variable(name); !path.empty()) return {.files = {path}};
  }
  if (!variable(kKeyVariable).empty()) return {.files = {}, .from_variable = true};
  if (const auto directory = variable("CREDENTIALS_DIRECTORY"); !directory.empty()) {
    std::filesystem::path path = std::filesystem::path(directory) / "sealine.key";
    std::error_code ec;
    if (std::filesystem::exists(path, ec)) return {.files = {std::move(path)}};
  }
  return {};
}

Outcome<SharedKey> load_sender_key(const KeySources& sources, Output& output) {
  if (sources.from_variable) return key_of_variable(output);
  const std::filesystem::path& path = sources.files.front();
  auto psk = io::read_one_psk_file(path);
  if (!psk) return std::unexpected(secret_file_failure(psk.error(), path, kWhat));
  return std::make_shared<const crypto::Psk>(std::move(psk->psk));
}

Outcome<std::vector<SharedKey>> load_receiver_keys(const KeySources& sources, Output& output) {
  std::vector<SharedKey> keys;
  if (sources.from_variable) {
    SEALINE_TRY(key, key_of_variable(output));
    keys.push_back(std::move(key));
  }
  for (const std::filesystem::path& path : sources.files) {
    auto psks = io::read_psk_file(path);
    if (!psks) return std::unexpected(secret_file_failure(psks.error(), path, kWhat));
    for (io::NamedPsk& psk : *psks) {
      keys.push_back(std::make_shared<const crypto::Psk>(std::move(psk.psk)));
    }
  }
  return keys;
}

}  // namespace sealine::cli
