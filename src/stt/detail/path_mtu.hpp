#pragma once

#include "sealine/base/time.hpp"

#include <chrono>
#include <cstddef>
#include <optional>

namespace sealine::stt::detail {

/// How large a datagram the path takes, by probes of our own: ICMP is never trusted alone
/// (RFC 8899).                                                            spec: stt.md#mtu
class PathMtu {
 public:
  static constexpr std::size_t kBaseBytes = 1200;

  /// `ceiling_bytes`: the largest size to be tried (1472 IPv4, 1452 IPv6, 8972 where asked for);
  /// equal to `base_bytes` where the size is fixed.
  PathMtu(std::size_t base_bytes, std::size_t ceiling_bytes, TimePoint now);

  [[nodiscard]] std::size_t bytes() const noexcept;
  /// Size of a probe that should go now.
  [[nodiscard]] std::optional<std::size_t> poll_probe(TimePoint now) const;
  void handle_probe_sent(std::size_t bytes, TimePoint now);
  /// Acknowledged datagrams: a probe, or one that shows that its size passes.
  void handle_acked(std::size_t datagram_bytes, bool is_probe, TimePoint now);
  /// A black hole: three of full size lost while small ones pass brings the size back to the base,
  /// to be tried again after 600 s.
  void handle_lost(std::size_t datagram_bytes, bool is_probe, TimePoint now);
  /// When a finished search is to be tried again; nothing while one goes on.
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const;

 private:
  [[nodiscard]] std::size_t next_size() const noexcept;
  [[nodiscard]] bool is_searching() const noexcept;
  void finish_step(TimePoint now) noexcept;
  void check_black_hole(TimePoint now) noexcept;
  void restart() noexcept;

  static constexpr unsigned kMaxProbes = 3;  ///< of a size
  static constexpr unsigned kBlackHoleLosses = 3;
  static constexpr std::size_t kPrecision = 8;  ///< bytes not worth another probe
  static constexpr Duration kRetryAfter = std::chrono::seconds(600);

  std::size_t base_;
  std::size_t ceiling_;
  std::size_t low_;                   ///< passes
  std::size_t high_;                  ///< may pass
  std::optional<std::size_t> probe_;  ///< on its way
  unsigned probes_lost_ = 0;          ///< of the size tried now
  std::optional<TimePoint> retry_at_;

  unsigned full_lost_ = 0;  ///< since one larger than the base was acknowledged
  TimePoint first_lost_;    ///< the first of those
  std::optional<TimePoint> full_acked_;
  std::optional<TimePoint> small_acked_;
};

}  // namespace sealine::stt::detail
