#pragma once

#include "sealine/stt/control.hpp"

#include <cstdint>
#include <optional>

namespace sealine::stt::detail {

/// Believes what a peer says about ECN marks as long as it can be true (RFC 9000, 13.4.2.1).
///                                                                            spec: stt.md#ecn
class EcnValidator {
 public:
  /// New CE marks that an ACK tells of, with a larger `largest` than any before; `newly_acked`
  /// packets by it, `sent` ones in all.
  std::uint64_t handle_ack(const std::optional<EcnCounts>& counts, std::uint64_t newly_acked,
                           std::uint64_t sent) noexcept {
    if (has_failed_) return 0;
    if (!counts) {
      has_failed_ = last_ != EcnCounts{};
      return 0;
    }
    const EcnCounts before = last_;
    last_ = *counts;
    has_failed_ = counts->ect0 < before.ect0 || counts->ect1 < before.ect1 ||
                  counts->ce < before.ce || counts->ect0 > sent || counts->ect1 > sent ||
                  counts->ce > sent;
    if (has_failed_) return 0;
    const std::uint64_t total = counts->ect0 + counts->ect1 + counts->ce;
    const std::uint64_t total_before = before.ect0 + before.ect1 + before.ce;
    // A path that clears marks on the way, or a count that forgets some.
    has_failed_ = total > sent || total - total_before < newly_acked;
    return has_failed_ ? 0 : counts->ce - before.ce;
  }

  /// Another path, another chance; the totals run on.
  void handle_new_path() noexcept { has_failed_ = false; }

 private:
  EcnCounts last_;
  bool has_failed_ = false;
};

}  // namespace sealine::stt::detail
