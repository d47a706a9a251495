#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sealine::cli {

/// What a page and `web` say to one another on their streams: TLV values (stt.md, page).
struct WebFileHead {
  std::string name;
  std::uint64_t size = 0;
};

inline constexpr std::size_t kMostWebHeadBytes = 8192;

/// {t:"chat", text}
[[nodiscard]] std::vector<std::uint8_t> encode_chat(std::string_view text);
/// Errors: those of the format; bad_encoding for anything that is no chat.
[[nodiscard]] Result<std::string> parse_chat(ByteView message);
/// BE32 n and n bytes {t:"file", name, size}.
[[nodiscard]] std::vector<std::uint8_t> encode_file_head(const WebFileHead& head);
/// What stands behind the length. Errors: those of the format, bad_encoding, file_name_refused.
[[nodiscard]] Result<WebFileHead> parse_file_head(ByteView value);
/// {t:"done", sha256}
[[nodiscard]] std::vector<std::uint8_t> encode_file_done(FixedView<32> sha256);
/// Errors: those of the format, bad_encoding.
[[nodiscard]] Result<ByteArray<32>> parse_file_done(ByteView value);

/// A folder into which files of a page land: each under a name of its own until it is whole, and
/// never in place of another file.
class WebFolder final {
 public:
  /// Errors: file_error (detail = errno).
  [[nodiscard]] static Result<WebFolder> open(const std::filesystem::path& path);

  WebFolder(WebFolder&& other) noexcept;
  WebFolder& operator=(WebFolder&&) = delete;
  ~WebFolder();

  [[nodiscard]] int descriptor() const noexcept { return fd_; }

 private:
  explicit WebFolder(int fd) noexcept : fd_(fd) {}

  int fd_;
};

/// A file that is coming in. What is not kept is removed with it.
class WebFile final {
 public:
  /// Errors: file_error (detail = errno), disk_full where `size_bytes` are not to be had.
  [[nodiscard]] static Result<WebFile> create(const WebFolder& folder, std::uint64_t size_bytes);

  WebFile(WebFile&& other) noexcept;
  WebFile& operator=(WebFile&&) = delete;
  ~WebFile();

  /// Errors: file_error, disk_full.
  [[nodiscard]] Result<> write(ByteView bytes);
  /// On the disk, and under its name: `name`, or `name (2).ext` and so on where that is taken. The
  /// name that it got. Errors: file_error, file_exists.
  [[nodiscard]] Result<std::string> keep(std::string_view name);

 private:
  WebFile(int folder, int fd, std::string part) noexcept
      : folder_(folder), fd_(fd), part_(std::move(part)) {}

  int folder_;
  int fd_;
  std::string part_;  ///< its name until then; empty once it is kept
};

/// A file to be sent.
class WebSource final {
 public:
  /// Regular files only. Errors: file_error (detail = errno).
  [[nodiscard]] static Result<WebSource> open(const std::filesystem::path& path);

  WebSource(WebSource&& other) noexcept;
  WebSource& operator=(WebSource&&) = delete;
  ~WebSource();

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_; }

  /// 0 at the end. Errors: file_error.
  [[nodiscard]] Result<std::size_t> read(MutableBytes out);

 private:
  WebSource(int fd, std::uint64_t size) noexcept : fd_(fd), size_(size) {}

  int fd_;
  std::uint64_t size_;
};

}  // namespace sealine::cli
