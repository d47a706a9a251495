#include "sealine/io/allow_file.hpp"

#include "io/detail/file.hpp"
#include "io/detail/lines.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"

#include <fcntl.h>
#include <string_view>
#include <utility>

namespace sealine::io {

namespace {

constexpr std::size_t kMaxAllowFileBytes = std::size_t{16} << 20U;

Result<std::vector<AllowFile::Entry>> read_entries(const std::filesystem::path& path) {
  SEALINE_TRY(file, detail::open_file(path, O_RDONLY));
  SEALINE_TRY(content, detail::read_to_end(file.value(), kMaxAllowFileBytes));
  std::vector<AllowFile::Entry> entries;
  SEALINE_TRY(detail::for_each_line(as_text(content.expose()), [&](detail::Line line) -> Result<> {
    if (line.is_comment()) return {};
    std::string_view rest = line.text;
    const auto key = crypto::parse_public_key(thread_engine(), detail::take_field(rest));
    if (!key) return fail(Errc::bad_file_line, static_cast<std::uint32_t>(line.number));
    entries.push_back({*key, std::string(rest)});
    return {};
  }));
  return entries;
}

}  // namespace

Result<std::shared_ptr<AllowFile>> AllowFile::open(const std::filesystem::path& path) {
  std::shared_ptr<AllowFile> file(new AllowFile(path));
  SEALINE_TRY(file->reload());
  return file;
}

Result<> AllowFile::reload() {
  SEALINE_TRY(entries, read_entries(path_));
  const std::scoped_lock lock(mutex_);
  entries_ = std::move(entries);
  return {};
}

std::optional<std::string> AllowFile::find(const crypto::PublicKey& key) const {
  const std::scoped_lock lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.key == key) return entry.name;
  }
  return std::nullopt;
}

std::size_t AllowFile::size() const {
  const std::scoped_lock lock(mutex_);
  return entries_.size();
}

}  // namespace sealine::io
