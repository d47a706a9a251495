#pragma once

#include "sealine/base/errc.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stcp_options.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

namespace sealine::io::detail {

/// What strangers may cost a listener: handshakes at once, in all and of one network, and
/// handshakes in a time of one address.   spec: stcp.md#limits
class HandshakeBudget {
 public:
  explicit HandshakeBudget(const stcp::ListenerLimits& limits) : limits_(limits) {}

  /// Takes one; or says why not: half_open_full (F10), too_many_handshakes.
  [[nodiscard]] std::optional<Errc> take(const net::ip::address& address, TimePoint now);

  /// A handshake is over.
  void give_back(const net::ip::address& address);

  [[nodiscard]] std::size_t half_open() const noexcept { return half_open_; }

 private:
  /// A bucket of `handshake_burst` that fills at `handshakes_per_second`.
  struct Bucket {
    double level = 0;
    TimePoint at{};
  };

  [[nodiscard]] bool take_from_bucket(std::uint64_t key, TimePoint now);
  void forget_full_buckets(TimePoint now);

  stcp::ListenerLimits limits_;
  std::size_t half_open_ = 0;
  std::unordered_map<std::uint64_t, std::uint32_t> of_network_;
  std::unordered_map<std::uint64_t, Bucket> of_address_;
};

}  // namespace sealine::io::detail
