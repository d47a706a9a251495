#pragma once

#include "io/stt/datagram_socket.hpp"
#include "sealine/io/asio.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sealine::io::stt {

/// Where a listener opens its sockets.
struct DatagramPlaces {
  enum class Need : std::uint8_t { all, one };

  std::vector<UdpAddress> addresses;  ///< port 0: any, for all of them the same
  bool both_families = false;         ///< a socket of IPv6 takes IPv4 as well
  Need need = Need::one;
};

/// The sockets at one address: one for each worker, in their order.
using DatagramPort = std::vector<std::shared_ptr<DatagramSocket>>;

/// Opens a socket for each of `workers` at every place, or at least at one of them; else `ec` says
/// why not. Of many at one address the kernel does not choose yet: see steer_datagrams.
[[nodiscard]] std::vector<DatagramPort> open_datagram_ports(
    std::span<const net::any_io_executor> workers, const DatagramPlaces& places, error_code& ec);

/// Has the kernel give every datagram to the socket of its worker (worker_of), by a filter of three
/// instructions. spec: stt.md#session-ids. `ec`: this kernel does not, or not for us.
void steer_datagrams(const DatagramPort& port, error_code& ec);

}  // namespace sealine::io::stt
