#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>

namespace sealine::io::stx {

/// What one peer may have in a receive folder, by the ledger: unfinished items, and finished ones
/// for 30 days.
struct Quota {
  std::uint64_t bytes = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t files = std::numeric_limits<std::uint64_t>::max();
};

/// What has been promised to the open items of all sessions of a folder, so that two of them are
/// not promised the same free space or the same rest of a quota. Any thread.
class SpaceBook final {
 public:
  class Reservation;

  /// What an item needs that its peer does not have already.
  struct Need {
    std::uint64_t disk_bytes = 0;   ///< to be written
    std::uint64_t quota_bytes = 0;  ///< more in the usage
    std::uint64_t files = 0;
  };

  [[nodiscard]] bool knows(const ByteArray<16>& peer) const;
  /// What `peer` has already, by the ledger; to be told before its first reservation.
  void set_usage(const ByteArray<16>& peer, std::uint64_t bytes, std::uint64_t files);

  /// Promises space for an item. Errors: disk_full (more than `free_bytes` less what is promised),
  /// quota_full.
  [[nodiscard]] Result<Reservation> reserve(const ByteArray<16>& peer, const Quota& quota,
                                            const Need& need, std::uint64_t free_bytes);

 private:
  struct Usage {
    std::uint64_t bytes = 0;
    std::uint64_t files = 0;
  };

  struct Books {
    std::mutex mutex;
    std::map<ByteArray<16>, Usage> peers;
    std::uint64_t promised_bytes = 0;  ///< and not yet written
  };

  static Result<> add(Books& books, const ByteArray<16>& peer, const Quota& quota, const Need& need,
                      std::uint64_t free_bytes);

  std::shared_ptr<Books> books_ = std::make_shared<Books>();
};

/// One item's promise; what was not written, and what is not kept, is given back with it.
class SpaceBook::Reservation final {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  Reservation(const Reservation&) = delete;
  Reservation& operator=(const Reservation&) = delete;

  ~Reservation() { release(); }

  /// More of it, for an item whose size is not known. One thread at a time. Errors: as reserve.
  [[nodiscard]] Result<> grow(const Quota& quota, std::uint64_t bytes, std::uint64_t free_bytes);
  /// So much is on the disk now, and shows in its free space. Any thread.
  void spend(std::uint64_t bytes) noexcept;
  /// The item stays, with `unused_bytes` less than was promised: it remains in its peer's usage.
  void keep(std::uint64_t unused_bytes = 0) noexcept;

 private:
  friend class SpaceBook;
  void release() noexcept;

  std::shared_ptr<Books> books_;
  ByteArray<16> peer_{};
  Usage added_;
  std::uint64_t unwritten_bytes_ = 0;
};

}  // namespace sealine::io::stx
