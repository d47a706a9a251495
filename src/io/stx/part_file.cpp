#include "io/stx/part_file.hpp"

#include "io/stx/file_failure.hpp"
#include "io/stx/place.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/stx/name.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <limits>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <utility>

namespace sealine::io::stx {

using detail::FileDescriptor;
using sealine::stx::kMaxComponentBytes;
using sealine::stx::kPartSuffix;
using sealine::stx::kReservedPrefix;
using sealine::stx::leaf_of;
using sealine::stx::parent_of;

namespace {

constexpr std::size_t kHexDigits = 16;
constexpr std::string_view kHex = "0123456789abcdef";
/// Space is set aside in steps, so that a sparse file does not get all of its size.
constexpr std::uint64_t kSetAsideBytes = std::uint64_t{64} << 20U;
constexpr std::size_t kZeroBytes = std::size_t{64} << 10U;

/// `.stx-` and hex digits of H(peer || name || more).
std::string hashed_leaf(std::string_view name, const ByteArray<16>& peer, ByteView more) {
  ByteArray<crypto::kHashBytes> hash{};
  thread_engine().sha256({peer, as_bytes(name), more}, hash);
  std::string leaf(kReservedPrefix);
  for (std::size_t i = 0; i < kHexDigits / 2; ++i) {
    leaf += kHex[hash[i] >> 4U];
    leaf += kHex[hash[i] & 15U];
  }
  return leaf;
}

/// A regular file of ours with no other name, locked.
Result<> take(int file) {
  struct ::stat status{};
  if (::fstat(file, &status) != 0) return failed();
  if (!S_ISREG(status.st_mode) || status.st_nlink != 1 || status.st_uid != ::geteuid()) {
    return std::unexpected(file_error_of(EINVAL));
  }
  if (::flock(file, LOCK_EX | LOCK_NB) == 0) return {};
  if (errno == EWOULDBLOCK) return fail(Errc::item_busy);
  return failed();
}

FileDescriptor open_leaf(int folder, const std::string& leaf, int flags) {
  return FileDescriptor(
      ::openat(folder, leaf.c_str(), flags | O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
}

/// tmpfs gives its pages when they are written; to ask for them before only takes twice as long.
bool sets_aside(int file) noexcept {
  struct ::statfs status{};
  return ::fstatfs(file, &status) == 0 && status.f_type != TMPFS_MAGIC;
}

}  // namespace

std::string part_name(std::string_view name, const ByteArray<16>& peer, bool is_taken) {
  const std::string_view leaf = leaf_of(name);
  std::string part(name.substr(0, name.size() - leaf.size()));
  if (is_taken || leaf.size() + 1 + kPartSuffix.size() > kMaxComponentBytes) {
    return part + hashed_leaf(name, peer, {});
  }
  return part.append(".").append(leaf).append(kPartSuffix);
}

std::string pack_part_leaf(std::string_view name, const ByteArray<16>& peer) {
  // No name has a NUL.
  static constexpr ByteArray<1> kPack{0};
  return hashed_leaf(name, peer, kPack);
}

bool is_part_name(std::string_view path) noexcept {
  const std::string_view leaf = leaf_of(path);
  if (leaf.starts_with('.') && leaf.ends_with(kPartSuffix)) {
    return leaf.size() > 1 + kPartSuffix.size();
  }
  return leaf.starts_with(kReservedPrefix) && leaf.size() == kReservedPrefix.size() + kHexDigits &&
         std::ranges::all_of(leaf.substr(kReservedPrefix.size()),
                             [](char c) { return kHex.find(c) != std::string_view::npos; });
}

PartFile::PartFile(FileDescriptor folder, FileDescriptor file, std::string name)
    : folder_(std::move(folder)),
      file_(std::move(file)),
      name_(std::move(name)),
      set_aside_end_(std::make_unique<std::atomic<std::uint64_t>>(0)) {}

Result<PartFile> PartFile::open(const ReceiveRoot& root, std::string part) {
  SEALINE_TRY(folder, root.open_folder(parent_of(part), ReceiveRoot::Missing::fail));
  FileDescriptor file = open_leaf(folder.value(), std::string(leaf_of(part)), 0);
  if (!file.is_open()) return failed();
  SEALINE_TRY(take(file.value()));
  return PartFile(std::move(folder), std::move(file), std::move(part));
}

Result<PartFile> PartFile::create(const ReceiveRoot& root, std::string part) {
  SEALINE_TRY(folder, root.open_folder(parent_of(part), ReceiveRoot::Missing::make_durable));
  const std::string leaf(leaf_of(part));
  // An old one goes, whatever it is, unless a session is writing to it.
  const FileDescriptor old = open_leaf(folder.value(), leaf, 0);
  if (old.is_open()) {
    const auto taken = take(old.value());
    if (!taken && taken.error().code == Errc::item_busy) return std::unexpected(taken.error());
  }
  SEALINE_TRY(remove_at(folder.value(), leaf));
  FileDescriptor file = open_leaf(folder.value(), leaf, O_CREAT | O_EXCL);
  if (!file.is_open()) return failed();
  SEALINE_TRY(take(file.value()));
  return PartFile(std::move(folder), std::move(file), std::move(part));
}

Result<> PartFile::set_size(std::uint64_t size_bytes) {
  const FileSizeSignalGuard guard;
  if (::ftruncate(file_.value(), static_cast<::off_t>(size_bytes)) != 0) return failed();
  size_bytes_ = size_bytes;
  can_set_aside_ = sets_aside(file_.value());
  return {};
}

void PartFile::set_aside(std::uint64_t offset, std::uint64_t bytes) noexcept {
  if (!can_set_aside_) return;
  std::uint64_t end = set_aside_end_->load(std::memory_order_relaxed);
  while (offset + bytes > end) {
    const std::uint64_t next = std::min(size_bytes_, offset + std::max(bytes, kSetAsideBytes));
    if (!set_aside_end_->compare_exchange_weak(end, next, std::memory_order_relaxed)) continue;
    const std::uint64_t from = std::max(offset, end);
    // Not possible here, or no space: the write itself will say so.
    (void)::fallocate(file_.value(), FALLOC_FL_KEEP_SIZE, static_cast<::off_t>(from),
                      static_cast<::off_t>(next - from));
    return;
  }
}

Result<> PartFile::write(std::uint64_t offset, ByteView bytes) {
  const FileSizeSignalGuard guard;
  set_aside(offset, bytes.size());
  return write_at(file_.value(), offset, bytes);
}

Result<> PartFile::write_zeros(std::uint64_t offset, std::uint64_t bytes) {
  const FileSizeSignalGuard guard;
  // A file with holes gets its space as it is written: a block that is late would fill them again.
  set_aside_end_->store(std::numeric_limits<std::uint64_t>::max(), std::memory_order_relaxed);
  const bool within_size = size_bytes_ > 0 && offset + bytes <= size_bytes_;
  if (within_size && ::fallocate(file_.value(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 static_cast<::off_t>(offset), static_cast<::off_t>(bytes)) == 0) {
    return {};
  }
  static constexpr std::array<std::uint8_t, kZeroBytes> kZeros{};
  while (bytes > 0) {
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kZeros.size()));
    SEALINE_TRY(write_at(file_.value(), offset, ByteView(kZeros).first(n)));
    offset += n;
    bytes -= n;
  }
  return {};
}

Result<std::size_t> PartFile::read(std::uint64_t offset, MutableBytes out) const {
  return read_at(file_.value(), offset, out);
}

Result<> PartFile::sync() const {
  if (::fdatasync(file_.value()) != 0) return failed();
  return {};
}

Result<> PartFile::sync_all() const {
  if (::fsync(file_.value()) != 0) return failed();
  return {};
}

Result<> PartFile::complete(std::uint64_t size_bytes, std::uint16_t mode, std::int64_t mtime_ns) {
  const FileSizeSignalGuard guard;
  if (::ftruncate(file_.value(), static_cast<::off_t>(size_bytes)) != 0) return failed();
  return set_attributes(file_.value(), mode, mtime_ns);
}

Result<> PartFile::rename(const std::string& leaf, bool replace) const {
  return move_into_place(folder_.value(), std::string(leaf_of(name_)), leaf, replace);
}

Result<> PartFile::remove() const {
  return remove_at(folder_.value(), std::string(leaf_of(name_)));
}

}  // namespace sealine::io::stx
