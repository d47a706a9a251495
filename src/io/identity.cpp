#include "sealine/io/identity.hpp"

#include "io/detail/file.hpp"
#include "io/detail/lines.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/secret_file.hpp"
#include "sealine/io/state_dir.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sealine::io {

namespace {

/// Writes the file under a name of its own, then links it: whoever sees the name sees all of it.
/// Errors: file_error with EEXIST where another was first.
Result<> make_identity(const std::filesystem::path& path) {
  const crypto::KeyPair pair = crypto::KeyPair::generate(thread_engine(), system_rng());
  const SecretBytes text = identity_text(pair);
  std::filesystem::path temporary = path;
  temporary += ".new-" + crypto::public_key_text(thread_engine(), pair.public_key).substr(4, 16);
  SEALINE_TRY(write_secret_file(temporary, text.expose()));
  const int linked = ::link(temporary.c_str(), path.c_str());
  const int why = errno;
  ::unlink(temporary.c_str());
  if (linked != 0) return fail(Errc::file_error, static_cast<std::uint32_t>(why));
  detail::sync_folder(path);
  return {};
}

bool is_missing(const Error& error) {
  return error.code == Errc::file_error && error.detail == ENOENT;
}

}  // namespace

Result<crypto::KeyPair> read_identity(const std::filesystem::path& path) {
  SEALINE_TRY(content, read_secret_file(path));
  std::optional<crypto::KeyPair> pair;
  std::size_t lines = 0;
  SEALINE_TRY(detail::for_each_line(as_text(content.expose()), [&](detail::Line line) -> Result<> {
    lines = line.number;
    if (line.is_comment()) return {};
    auto secret = crypto::parse_private_key(thread_engine(), line.text);
    if (!secret || pair) {
      return fail(Errc::bad_file_line, static_cast<std::uint32_t>(line.number));
    }
    pair = crypto::KeyPair::from_secret(thread_engine(), std::move(*secret));
    return {};
  }));
  if (!pair) return fail(Errc::bad_file_line, static_cast<std::uint32_t>(lines + 1));
  return std::move(*pair);
}

Result<crypto::KeyPair> open_identity(const std::filesystem::path& path) {
  auto present = read_identity(path);
  if (present || !is_missing(present.error())) return present;
  if (auto made = make_identity(path); !made && made.error().detail != EEXIST) {
    return std::unexpected(made.error());
  }
  return read_identity(path);
}

Result<crypto::KeyPair> open_default_identity(const std::filesystem::path& state_dir) {
  SEALINE_TRY(folder, open_state_dir(state_dir));
  return open_identity(folder / "identity");
}

SecretBytes identity_text(const crypto::KeyPair& pair) {
  const std::string comment =
      "# " + crypto::public_key_text(thread_engine(), pair.public_key) + "\n";
  const SecretBytes key = crypto::private_key_text(thread_engine(), pair.secret);
  SecretBytes text(comment.size() + key.size() + 1);
  const MutableBytes out = text.writable();
  std::ranges::copy(as_bytes(comment), out.begin());
  std::ranges::copy(key.expose(), out.subspan(comment.size()).begin());
  out.back() = '\n';
  return text;
}

}  // namespace sealine::io
