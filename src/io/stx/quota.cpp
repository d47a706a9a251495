#include "io/stx/quota.hpp"

#include <algorithm>
#include <utility>

namespace sealine::io::stx {

namespace {

/// Whether `more` fits beside `used` under `limit`.
bool fits(std::uint64_t used, std::uint64_t more, std::uint64_t limit) noexcept {
  return used <= limit && more <= limit - used;
}

}  // namespace

bool SpaceBook::knows(const ByteArray<16>& peer) const {
  const std::scoped_lock lock(books_->mutex);
  return books_->peers.contains(peer);
}

void SpaceBook::set_usage(const ByteArray<16>& peer, std::uint64_t bytes, std::uint64_t files) {
  const std::scoped_lock lock(books_->mutex);
  books_->peers[peer] = {bytes, files};
}

Result<> SpaceBook::add(Books& books, const ByteArray<16>& peer, const Quota& quota,
                        const Need& need, std::uint64_t free_bytes) {
  Usage& usage = books.peers[peer];
  if (!fits(usage.bytes, need.quota_bytes, quota.bytes) ||
      !fits(usage.files, need.files, quota.files)) {
    return fail(Errc::quota_full);
  }
  if (!fits(books.promised_bytes, need.disk_bytes, free_bytes)) return fail(Errc::disk_full);
  usage.bytes += need.quota_bytes;
  usage.files += need.files;
  books.promised_bytes += need.disk_bytes;
  return {};
}

Result<SpaceBook::Reservation> SpaceBook::reserve(const ByteArray<16>& peer, const Quota& quota,
                                                  const Need& need, std::uint64_t free_bytes) {
  const std::scoped_lock lock(books_->mutex);
  SEALINE_TRY(add(*books_, peer, quota, need, free_bytes));
  Reservation reservation;
  reservation.books_ = books_;
  reservation.peer_ = peer;
  reservation.added_ = {need.quota_bytes, need.files};
  reservation.unwritten_bytes_ = need.disk_bytes;
  return reservation;
}

SpaceBook::Reservation::Reservation(Reservation&& other) noexcept
    : books_(std::move(other.books_)),
      peer_(other.peer_),
      added_(other.added_),
      unwritten_bytes_(other.unwritten_bytes_) {}

SpaceBook::Reservation& SpaceBook::Reservation::operator=(Reservation&& other) noexcept {
  if (this != &other) {
    release();
    books_ = std::move(other.books_);
    peer_ = other.peer_;
    added_ = other.added_;
    unwritten_bytes_ = other.unwritten_bytes_;
  }
  return *this;
}

Result<> SpaceBook::Reservation::grow(const Quota& quota, std::uint64_t bytes,
                                      std::uint64_t free_bytes) {
  if (!books_) return {};
  const std::scoped_lock lock(books_->mutex);
  SEALINE_TRY(add(*books_, peer_, quota, {bytes, bytes, 0}, free_bytes));
  added_.bytes += bytes;
  unwritten_bytes_ += bytes;
  return {};
}

void SpaceBook::Reservation::spend(std::uint64_t bytes) noexcept {
  if (!books_) return;
  const std::scoped_lock lock(books_->mutex);
  bytes = std::min(bytes, unwritten_bytes_);
  unwritten_bytes_ -= bytes;
  books_->promised_bytes -= bytes;
}

void SpaceBook::Reservation::keep(std::uint64_t unused_bytes) noexcept {
  if (!books_) return;
  const std::scoped_lock lock(books_->mutex);
  // Only what is given back stands in added_ when this goes.
  added_ = {std::min(unused_bytes, added_.bytes), 0};
}

void SpaceBook::Reservation::release() noexcept {
  if (!books_) return;
  {
    const std::scoped_lock lock(books_->mutex);
    Usage& usage = books_->peers[peer_];
    usage.bytes -= std::min(usage.bytes, added_.bytes);
    usage.files -= std::min(usage.files, added_.files);
    books_->promised_bytes -= unwritten_bytes_;
  }
  books_.reset();
}

}  // namespace sealine::io::stx
