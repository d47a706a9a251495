#include "cli/secret_files.hpp"

#include "cli/exit_code.hpp"
#include "cli/text.hpp"
#include "sealine/crypto/engine.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace sealine::cli {

Result<KeyFile> parse_key_file(ByteView content) {
  crypto::Engine& engine = io::thread_engine();
  KeyFile out;
  if (content.size() == crypto::kKeyBytes) {
    out.psks.push_back({crypto::Psk(content.first<crypto::kKeyBytes>()), {}});
    return out;
  }
  std::string_view rest = as_text(content);
  for (std::uint32_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t blank = std::min(line.find(' '), line.size());
    const std::string_view text = line.substr(0, blank);
    const std::string_view name = line.substr(std::min(blank + 1, line.size()));
    if (auto secret = crypto::parse_private_key(engine, text)) {
      if (out.identity || !out.psks.empty()) return fail(Errc::bad_file_line, number);
      out.identity = crypto::KeyPair::from_secret(engine, std::move(*secret));
    } else if (auto psk = crypto::parse_psk(engine, text)) {
      if (out.identity) return fail(Errc::bad_file_line, number);
      out.psks.push_back({std::move(*psk), std::string(name)});
    } else {
      return fail(Errc::bad_file_line, number);
    }
  }
  if (!out.identity && out.psks.empty()) return fail(Errc::bad_file_line, 1);
  return out;
}

Failure secret_file_failure(const Error& error, const std::filesystem::path& path,
                            std::string_view what) {
  const std::string name = path == "-" ? "standard input" : in_quotes(path.string());
  Failure out{error, {}, {}, {}, kExitUsage};
  if (error.code == Errc::bad_secret_file) {
    out.text = fmt::format("{} in {} may not be used: the file is not ours, or open to others",
                           what, name);
    out.hint = io::secret_file_hint(path);
  } else if (error.code == Errc::bad_file_line) {
    out.text = fmt::format("{} in {} cannot be read", what, name);
    out.hint = "sealine explain SL-M06";
  } else if (error.code == Errc::file_error) {
    out.text = fmt::format("{} cannot be read from {}", what, name);
  } else {
    out.text = fmt::format("{} in {}: {}", what, name, to_string(error.code));
  }
  return out;
}

}  // namespace sealine::cli
