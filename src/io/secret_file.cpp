#include "sealine/io/secret_file.hpp"

#include "io/detail/file.hpp"
#include "io/detail/lines.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"

#include <algorithm>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <utility>

namespace sealine::io {

namespace {

constexpr mode_t kOpenToOthers = S_IRWXG | S_IRWXO;

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x20; });
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

Result<std::vector<NamedPsk>> parse_psk_lines(std::string_view text) {
  std::vector<NamedPsk> found;
  std::size_t lines = 0;
  SEALINE_TRY(detail::for_each_line(text, [&](detail::Line line) -> Result<> {
    lines = line.number;
    if (line.is_comment()) return {};
    const auto number = static_cast<std::uint32_t>(line.number);
    std::string_view rest = line.text;
    auto psk = crypto::parse_psk(thread_engine(), detail::take_field(rest));
    if (!psk || !is_printable(rest)) return fail(Errc::bad_file_line, number);
    found.push_back({std::move(*psk), std::string(rest)});
    return {};
  }));
  if (found.empty()) return fail(Errc::bad_file_line, static_cast<std::uint32_t>(lines + 1));
  return found;
}

}  // namespace

Result<SecretBytes> read_secret_file(const std::filesystem::path& path, std::size_t limit_bytes) {
  if (path == "-") return detail::read_to_end(STDIN_FILENO, limit_bytes);
  SEALINE_TRY(file, detail::open_file(path, O_RDONLY | O_NOCTTY));
  struct ::stat status{};
  if (::fstat(file.value(), &status) != 0) return detail::file_failure();
  if (S_ISREG(status.st_mode) &&
      (status.st_uid != ::geteuid() || (status.st_mode & kOpenToOthers) != 0)) {
    return fail(Errc::bad_secret_file);
  }
  return detail::read_to_end(file.value(), limit_bytes);
}

std::string secret_file_hint(const std::filesystem::path& path) {
  struct ::stat status{};
  if (path == "-" || ::stat(path.c_str(), &status) != 0) return {};
  const bool folder = S_ISDIR(status.st_mode);
  if (status.st_uid != ::geteuid()) {
    return quoted(path.string()) + " belongs to another user; use one of your own";
  }
  if ((status.st_mode & kOpenToOthers) == 0) return {};
  return (folder ? "chmod 700 " : "chmod 600 ") + quoted(path.string());
}

Result<std::vector<NamedPsk>> read_psk_file(const std::filesystem::path& path) {
  SEALINE_TRY(content, read_secret_file(path));
  if (content.size() == crypto::kKeyBytes) {
    std::vector<NamedPsk> one;
    one.push_back({crypto::Psk(content.expose().first<crypto::kKeyBytes>()), {}});
    return one;
  }
  return parse_psk_lines(as_text(content.expose()));
}

Result<NamedPsk> read_one_psk_file(const std::filesystem::path& path) {
  SEALINE_TRY(all, read_psk_file(path));
  if (all.size() != 1) return fail(Errc::bad_file_line, 2);
  return std::move(all.front());
}

Result<> write_secret_file(const std::filesystem::path& path, ByteView content) {
  SEALINE_TRY(file, detail::open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  SEALINE_TRY(detail::write_fully(file.value(), content));
  if (::fchmod(file.value(), 0600) != 0 || ::fsync(file.value()) != 0) {
    return detail::file_failure();
  }
  detail::sync_folder(path);
  return {};
}

}  // namespace sealine::io
