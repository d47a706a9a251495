#include "io/detail/handshake_budget.hpp"

#include <algorithm>
#include <chrono>

namespace sealine::io::detail {

namespace {

constexpr std::size_t kMaxBuckets = 65536;

struct Keys {
  std::uint64_t network;  ///< /24 or /64
  std::uint64_t address;  ///< the address, or /64
};

Keys keys_of(const net::ip::address& address) {
  constexpr std::uint64_t kIpv4 = std::uint64_t{0xffff} << 48U;  // no IPv6 network in use begins so
  if (address.is_v4() || address.to_v6().is_v4_mapped()) {
    const std::uint32_t v4 =
        address.is_v4() ? address.to_v4().to_uint()
                        : net::ip::make_address_v4(net::ip::v4_mapped, address.to_v6()).to_uint();
    return {kIpv4 | (v4 >> 8U), kIpv4 | (std::uint64_t{1} << 40U) | v4};
  }
  const auto bytes = address.to_v6().to_bytes();
  std::uint64_t network = 0;
  for (std::size_t i = 0; i < 8; ++i) network = (network << 8U) | bytes[i];
  return {network, network};
}

}  // namespace

std::optional<Errc> HandshakeBudget::take(const net::ip::address& address, TimePoint now) {
  const Keys keys = keys_of(address);
  if (half_open_ >= limits_.half_open) return Errc::half_open_full;
  const auto network = of_network_.find(keys.network);
  if (network != of_network_.end() && network->second >= limits_.half_open_per_network) {
    return Errc::half_open_full;
  }
  if (!take_from_bucket(keys.address, now)) return Errc::too_many_handshakes;
  ++of_network_[keys.network];
  ++half_open_;
  return std::nullopt;
}

void HandshakeBudget::give_back(const net::ip::address& address) {
  --half_open_;
  const auto network = of_network_.find(keys_of(address).network);
  if (network != of_network_.end() && --network->second == 0) of_network_.erase(network);
}

bool HandshakeBudget::take_from_bucket(std::uint64_t key, TimePoint now) {
  if (limits_.handshakes_per_second == 0) return true;
  if (of_address_.size() >= kMaxBuckets) forget_full_buckets(now);
  const auto burst = static_cast<double>(limits_.handshake_burst);
  const auto [entry, fresh] = of_address_.try_emplace(key, Bucket{burst, now});
  Bucket& bucket = entry->second;
  const double passed = std::chrono::duration<double>(now - bucket.at).count();
  bucket.level = std::min(burst, bucket.level + passed * limits_.handshakes_per_second);
  bucket.at = now;
  if (bucket.level < 1.0) return false;
  bucket.level -= 1.0;
  return true;
}

void HandshakeBudget::forget_full_buckets(TimePoint now) {
  const auto fill_time = std::chrono::duration<double>(
      static_cast<double>(limits_.handshake_burst) / limits_.handshakes_per_second);
  std::erase_if(of_address_, [&](const auto& entry) { return now - entry.second.at > fill_time; });
  if (of_address_.size() >= kMaxBuckets) of_address_.clear();  // bounded first, exact second
}

}  // namespace sealine::io::detail
