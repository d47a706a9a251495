#include "stt/detail/path_mtu.hpp"

#include <algorithm>
#include <array>

namespace sealine::stt::detail {
namespace {

// What most paths take: UDP on IPv4 and on IPv6 over Ethernet. The search tries these before it
// halves.
constexpr std::array<std::size_t, 2> kUsualSizes = {1472, 1452};

}  // namespace

PathMtu::PathMtu(std::size_t base_bytes, std::size_t ceiling_bytes, TimePoint /*now*/)
    : base_(base_bytes),
      ceiling_(std::max(base_bytes, ceiling_bytes)),
      low_(base_bytes),
      high_(ceiling_) {}

std::size_t PathMtu::bytes() const noexcept { return low_; }

std::optional<std::size_t> PathMtu::poll_probe(TimePoint now) const {
  if (probe_) return std::nullopt;
  if (retry_at_) return now >= *retry_at_ ? std::optional(ceiling_) : std::nullopt;
  if (!is_searching()) return std::nullopt;
  return next_size();
}

void PathMtu::handle_probe_sent(std::size_t bytes, TimePoint now) {
  if (retry_at_ && now >= *retry_at_) restart();
  probe_ = bytes;
}

void PathMtu::handle_acked(std::size_t datagram_bytes, bool is_probe, TimePoint now) {
  if (datagram_bytes > base_) {
    full_lost_ = 0;
    full_acked_ = now;
  } else {
    small_acked_ = now;
    check_black_hole(now);
  }
  if (!is_probe || probe_ != datagram_bytes) return;
  probe_.reset();
  probes_lost_ = 0;
  low_ = std::max(low_, datagram_bytes);
  finish_step(now);
}

void PathMtu::handle_lost(std::size_t datagram_bytes, bool is_probe, TimePoint now) {
  if (is_probe) {
    if (probe_ != datagram_bytes) return;
    probe_.reset();
    if (++probes_lost_ < kMaxProbes) return;
    probes_lost_ = 0;
    high_ = std::max(low_, datagram_bytes - 1);
    finish_step(now);
    return;
  }
  // What is lost was sent before what was acknowledged in the same moment: if that was as large,
  // the path takes the size.
  if (low_ <= base_ || datagram_bytes <= base_ || full_acked_ == now) return;
  if (full_lost_++ == 0) first_lost_ = now;
  check_black_hole(now);
}

std::optional<TimePoint> PathMtu::poll_timeout() const { return probe_ ? std::nullopt : retry_at_; }

std::size_t PathMtu::next_size() const noexcept {
  if (high_ == ceiling_) return ceiling_;
  for (const std::size_t size : kUsualSizes)
    if (size > low_ && size <= high_) return size;
  return low_ + ((high_ - low_ + 1) / 2);
}

// A size between is worth a probe. The ceiling itself, and a usual size, always is.
bool PathMtu::is_searching() const noexcept {
  if (low_ >= high_) return false;
  if (high_ == ceiling_) return true;
  return high_ - low_ >= kPrecision || std::ranges::any_of(kUsualSizes, [this](std::size_t size) {
           return size > low_ && size <= high_;
         });
}

void PathMtu::finish_step(TimePoint now) noexcept {
  if (!is_searching() && low_ < ceiling_ && !retry_at_) retry_at_ = now + kRetryAfter;
}

void PathMtu::check_black_hole(TimePoint now) noexcept {
  if (full_lost_ < kBlackHoleLosses || !small_acked_ || *small_acked_ < first_lost_) return;
  low_ = base_;
  probe_.reset();
  full_lost_ = 0;
  retry_at_ = now + kRetryAfter;
}

void PathMtu::restart() noexcept {
  retry_at_.reset();
  high_ = ceiling_;
  probes_lost_ = 0;
}

}  // namespace sealine::stt::detail
