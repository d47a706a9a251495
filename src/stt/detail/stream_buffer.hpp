#pragma once

#include "sealine/base/bytes.hpp"
#include "stt/detail/ring_pool.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sealine::stt::detail {

/// A half-open run of positions.
struct Span {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  friend bool operator==(const Span&, const Span&) = default;
};

/// Which positions are there: disjoint runs in rising order.
class SpanSet {
 public:
  /// Adds a run; returns how many of its positions are new.
  std::uint64_t add(Span span);
  /// End of the run that begins at or before `from` and reaches it; `from` if none does.
  [[nodiscard]] std::uint64_t contiguous_end(std::uint64_t from) const noexcept;
  /// Takes a run out.
  void remove(Span span);
  /// Takes all runs of another set out.
  void remove(const SpanSet& other);
  /// Forgets all positions below.
  void drop_below(std::uint64_t position);

  [[nodiscard]] std::size_t size() const noexcept { return spans_.size(); }

  [[nodiscard]] bool is_empty() const noexcept { return spans_.empty(); }

  /// The lowest run. Only of a set that is not empty.
  [[nodiscard]] const Span& front() const noexcept { return spans_.front(); }

  void clear() noexcept { spans_.clear(); }

  [[nodiscard]] bool would_grow(Span span) const noexcept;

 private:
  std::vector<Span> spans_;
};

/// A ring of bytes at positions [base, base + capacity) of a stream. Grows by doubling as far as
/// its caller lets positions run ahead of `base`: the credit bounds it. Gives its memory back when
/// asked, and begins at its front again then: what is drained often stays within few cache lines.
class StreamBuffer {
 public:
  /// Its memory comes from `pool`, which outlives it; without one, from the system.
  explicit StreamBuffer(RingPool* pool = nullptr) : pool_(pool) {}

  StreamBuffer(const StreamBuffer&) = delete;
  StreamBuffer& operator=(const StreamBuffer&) = delete;
  ~StreamBuffer();

  [[nodiscard]] std::uint64_t base() const noexcept { return base_; }

  /// Copies bytes to their place; position >= base().
  void write(std::uint64_t position, ByteView bytes);
  /// The longest run of bytes in one piece from `position` on, at most up to `end`.
  [[nodiscard]] ByteView piece(std::uint64_t position, std::uint64_t end) const noexcept;
  /// Positions below are over.
  void drop_below(std::uint64_t position) noexcept;
  /// Nothing is held any more: the memory goes back.
  void release() noexcept;

 private:
  void reserve(std::uint64_t bytes);

  [[nodiscard]] std::size_t index_of(std::uint64_t position) const noexcept {
    return static_cast<std::size_t>((position - origin_) & (ring_.size - 1));
  }

  RingPool* pool_ = nullptr;
  Ring ring_;  ///< a power of two long, or empty
  std::uint64_t base_ = 0;
  std::uint64_t origin_ = 0;  ///< the position that stands first: base_ as it was when last empty
};

}  // namespace sealine::stt::detail
