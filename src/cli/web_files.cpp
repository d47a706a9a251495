#include "cli/web_files.hpp"

#include "cli/stdio.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/stx/name.hpp"
#include "sealine/wire/tlv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <utility>

namespace sealine::cli {
namespace {

using wire::Tag;

/// Names that are tried where the first is taken.
constexpr unsigned kMostNames = 1000;

std::unexpected<Error> file_failure(int number) {
  return fail(number == ENOSPC || number == EDQUOT ? Errc::disk_full : Errc::file_error,
              static_cast<std::uint32_t>(number));
}

/// A dict with exactly `members` keys whose t is `kind`.
Result<wire::Value> decode(ByteView bytes, std::string_view kind, std::size_t members) {
  SEALINE_TRY(value, wire::Value::decode(bytes));
  const wire::Value* const t = value.tag() == Tag::dict ? value.find("t") : nullptr;
  const bool is_it = t != nullptr && t->tag() == Tag::text && as_text(t->run()) == kind &&
                     value.keys().size() == members;
  if (!is_it) return fail(Errc::bad_encoding);
  return value;
}

Result<ByteView> member(const wire::Value& dict, std::string_view key, Tag tag) {
  const wire::Value* const found = dict.find(key);
  if (found == nullptr || found->tag() != tag) return fail(Errc::bad_encoding);
  return found->run();
}

/// `a (n).txt`, cut to what a name may have.
std::string other_name(std::string_view name, unsigned n) {
  const std::string mark = fmt::format(" ({})", n);
  const std::size_t dot = name.rfind('.');
  const bool has_ending = dot != std::string_view::npos && dot > 0 && name.size() - dot <= 16;
  const std::string_view ending = has_ending ? name.substr(dot) : std::string_view();
  std::string_view stem = name.substr(0, name.size() - ending.size());
  stem = stem.substr(0, stx::kMaxComponentBytes - mark.size() - ending.size());
  return fmt::format("{}{}{}", stem, mark, ending);
}

}  // namespace

// --- what is said --------------------------------------------------------------------------------

std::vector<std::uint8_t> encode_chat(std::string_view text) {
  return wire::Value::dict({{"t", wire::Value::text("chat")}, {"text", wire::Value::text(text)}})
      .encode();
}

Result<std::string> parse_chat(ByteView message) {
  SEALINE_TRY(value, decode(message, "chat", 2));
  SEALINE_TRY(text, member(value, "text", Tag::text));
  return std::string(as_text(text));
}

std::vector<std::uint8_t> encode_file_head(const WebFileHead& head) {
  const auto value = wire::Value::dict({{"t", wire::Value::text("file")},
                                        {"name", wire::Value::text(head.name)},
                                        {"size", wire::Value::u64(head.size)}})
                         .encode();
  std::vector<std::uint8_t> out;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    out.push_back(static_cast<std::uint8_t>((value.size() >> shift) & 0xFFU));
  }
  out.insert(out.end(), value.begin(), value.end());
  return out;
}

Result<WebFileHead> parse_file_head(ByteView bytes) {
  SEALINE_TRY(value, decode(bytes, "file", 3));
  SEALINE_TRY(name, member(value, "name", Tag::text));
  SEALINE_TRY(size, member(value, "size", Tag::u64));
  static_cast<void>(size);
  WebFileHead out{std::string(as_text(name)), value.find("size")->bits()};
  // One component: a page has no folders to send.
  if (out.name.find('/') != std::string::npos) return fail(Errc::file_name_refused);
  SEALINE_TRY(stx::check_name(out.name));
  return out;
}

std::vector<std::uint8_t> encode_file_done(FixedView<32> sha256) {
  return wire::Value::dict(
             {{"t", wire::Value::text("done")}, {"sha256", wire::Value::bytes(sha256)}})
      .encode();
}

Result<ByteArray<32>> parse_file_done(ByteView bytes) {
  SEALINE_TRY(value, decode(bytes, "done", 2));
  SEALINE_TRY(hash, member(value, "sha256", Tag::bytes));
  ByteArray<32> out{};
  if (hash.size() != out.size()) return fail(Errc::bad_encoding);
  std::ranges::copy(hash, out.begin());
  return out;
}

// --- WebFolder -----------------------------------------------------------------------------------

Result<WebFolder> WebFolder::open(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return file_failure(errno);
  return WebFolder(fd);
}

WebFolder::WebFolder(WebFolder&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

WebFolder::~WebFolder() {
  if (fd_ >= 0) ::close(fd_);
}

// --- WebFile -------------------------------------------------------------------------------------

Result<WebFile> WebFile::create(const WebFolder& folder, std::uint64_t size_bytes) {
  struct ::statvfs room{};
  if (::fstatvfs(folder.descriptor(), &room) == 0 &&
      size_bytes / std::max<std::uint64_t>(room.f_frsize, 1) > room.f_bavail) {
    return fail(Errc::disk_full, ENOSPC);
  }
  std::array<std::uint8_t, 8> random{};
  io::system_rng().fill(random);
  std::string part = std::string(stx::kReservedPrefix) + "web-";
  for (const std::uint8_t byte : random) part += fmt::format("{:02x}", byte);
  part += stx::kPartSuffix;
  const int fd = ::openat(folder.descriptor(), part.c_str(),
                          O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) return file_failure(errno);
  return WebFile(folder.descriptor(), fd, std::move(part));
}

WebFile::WebFile(WebFile&& other) noexcept
    : folder_(other.folder_),
      fd_(std::exchange(other.fd_, -1)),
      part_(std::exchange(other.part_, {})) {}

WebFile::~WebFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!part_.empty()) ::unlinkat(folder_, part_.c_str(), 0);
}

Result<> WebFile::write(ByteView bytes) {
  const auto written = write_descriptor(fd_, bytes);
  if (!written) return file_failure(static_cast<int>(written.error().detail));
  return {};
}

Result<std::string> WebFile::keep(std::string_view name) {
  if (::fsync(fd_) != 0) return file_failure(errno);
  for (unsigned n = 1; n <= kMostNames; ++n) {
    std::string wanted = n == 1 ? std::string(name) : other_name(name, n);
    if (::renameat2(folder_, part_.c_str(), folder_, wanted.c_str(), RENAME_NOREPLACE) == 0) {
      part_.clear();
      static_cast<void>(::fsync(folder_));
      return wanted;
    }
    if (errno != EEXIST) return file_failure(errno);
  }
  return fail(Errc::file_exists);
}

// --- WebSource -----------------------------------------------------------------------------------

Result<WebSource> WebSource::open(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return file_failure(errno);
  struct ::stat status{};
  const bool is_file = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  if (!is_file) {
    ::close(fd);
    return file_failure(S_ISDIR(status.st_mode) ? EISDIR : EINVAL);
  }
  return WebSource(fd, static_cast<std::uint64_t>(status.st_size));
}

WebSource::WebSource(WebSource&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

WebSource::~WebSource() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::size_t> WebSource::read(MutableBytes out) { return read_descriptor(fd_, out); }

}  // namespace sealine::cli
