#include "stt/detail/stream_buffer.hpp"

#include "sealine/base/assert.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace sealine::stt::detail {
namespace {

constexpr std::size_t kSmallestRing = 1024;

std::uint64_t length(const Span& span) noexcept { return span.end - span.begin; }

}  // namespace

std::uint64_t SpanSet::add(Span span) {
  if (span.begin >= span.end) return 0;
  // The usual case: in order, at the end.
  if (!spans_.empty() && spans_.back().end == span.begin) {
    spans_.back().end = span.end;
    return length(span);
  }
  const auto first = std::ranges::lower_bound(spans_, span.begin, {}, &Span::end);
  auto last = first;
  std::uint64_t known = 0;
  Span merged = span;
  while (last != spans_.end() && last->begin <= span.end) {
    const std::uint64_t from = std::max(last->begin, span.begin);
    const std::uint64_t to = std::min(last->end, span.end);
    known += to > from ? to - from : 0;
    merged.begin = std::min(merged.begin, last->begin);
    merged.end = std::max(merged.end, last->end);
    ++last;
  }
  if (first == last) {
    spans_.insert(first, merged);
  } else {
    *first = merged;
    spans_.erase(first + 1, last);
  }
  return length(span) - known;
}

std::uint64_t SpanSet::contiguous_end(std::uint64_t from) const noexcept {
  const auto at = std::ranges::upper_bound(spans_, from, {}, &Span::begin);
  if (at == spans_.begin()) return from;
  return std::max(from, (at - 1)->end);
}

void SpanSet::remove(Span span) {
  if (span.begin >= span.end) return;
  auto at = std::ranges::upper_bound(spans_, span.begin, {}, &Span::end);
  while (at != spans_.end() && at->begin < span.end) {
    const Span whole = *at;
    const bool keeps_low = whole.begin < span.begin;
    const bool keeps_high = whole.end > span.end;
    if (keeps_low && keeps_high) {
      at->end = span.begin;
      spans_.insert(at + 1, {.begin = span.end, .end = whole.end});
      return;
    }
    if (keeps_low) {
      (at++)->end = span.begin;
    } else if (keeps_high) {
      at->begin = span.end;
      return;
    } else {
      at = spans_.erase(at);
    }
  }
}

void SpanSet::remove(const SpanSet& other) {
  for (const Span& span : other.spans_) {
    if (spans_.empty()) return;
    remove(span);
  }
}

void SpanSet::drop_below(std::uint64_t position) {
  const auto first = std::ranges::upper_bound(spans_, position, {}, &Span::end);
  spans_.erase(spans_.begin(), first);
  if (!spans_.empty()) spans_.front().begin = std::max(spans_.front().begin, position);
}

bool SpanSet::would_grow(Span span) const noexcept {
  const auto first = std::ranges::lower_bound(spans_, span.begin, {}, &Span::end);
  return first == spans_.end() || first->begin > span.end;
}

StreamBuffer::~StreamBuffer() { release(); }

void StreamBuffer::reserve(std::uint64_t bytes) {
  if (bytes <= ring_.size) return;
  const auto size =
      static_cast<std::size_t>(std::max<std::uint64_t>(std::bit_ceil(bytes), kSmallestRing));
  Ring grown = pool_ == nullptr ? RingPool().take(size) : pool_->take(size);
  // Every byte to its place in the larger ring: those that were never written are copied too.
  for (std::uint64_t done = 0; done < ring_.size;) {
    const ByteView run = piece(base_ + done, base_ + ring_.size);
    const std::uint64_t to = (base_ + done - origin_) & (grown.size - 1);
    const auto count = std::min<std::uint64_t>(run.size(), grown.size - to);
    std::memcpy(grown.bytes.get() + to, run.data(), static_cast<std::size_t>(count));
    done += count;
  }
  std::swap(ring_, grown);
  if (pool_ != nullptr) pool_->give_back(std::move(grown));
}

void StreamBuffer::write(std::uint64_t position, ByteView bytes) {
  SEALINE_ASSERT(position >= base_);
  if (bytes.empty()) return;
  reserve(position + bytes.size() - base_);
  while (!bytes.empty()) {
    const auto at = index_of(position);
    const std::size_t count = std::min(bytes.size(), ring_.size - at);
    std::memcpy(ring_.bytes.get() + at, bytes.data(), count);
    bytes = bytes.subspan(count);
    position += count;
  }
}

ByteView StreamBuffer::piece(std::uint64_t position, std::uint64_t end) const noexcept {
  if (position >= end || ring_.size == 0) return {};
  const auto at = index_of(position);
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(end - position, ring_.size));
  return {ring_.bytes.get() + at, std::min(wanted, ring_.size - at)};
}

void StreamBuffer::drop_below(std::uint64_t position) noexcept {
  base_ = std::max(base_, position);
}

void StreamBuffer::release() noexcept {
  Ring ring = std::exchange(ring_, {});
  if (pool_ != nullptr && ring.size != 0) pool_->give_back(std::move(ring));
  origin_ = base_;
}

}  // namespace sealine::stt::detail
