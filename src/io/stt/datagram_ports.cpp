#include "io/stt/datagram_ports.hpp"

#include <array>
#include <cerrno>
#include <linux/filter.h>
#include <sys/socket.h>
#include <utility>

namespace sealine::io::stt {

namespace {

/// Of Linux 4.5; older headers do not name it.
constexpr int kAttachReuseportFilter = 51;
/// Of a frame: the last four bytes of its session id.
constexpr std::uint32_t kLowIdAt = 7;

error_code failed_call() { return {errno, net::error::get_system_category()}; }

// The first socket of an address opens it alone, so that one that is in use is refused, by another
// listener of ours as by anybody's; only then it is shared.
DatagramPort open_port(std::span<const net::any_io_executor> workers, UdpAddress place,
                       bool both_families, error_code& ec) {
  DatagramPort port;
  for (const net::any_io_executor& worker : workers) {
    const bool is_first = port.empty();
    auto socket =
        std::make_shared<DatagramSocket>(worker, DatagramSettings{.shares_address = !is_first});
    socket->bind(place, both_families, ec);
    if (ec) return {};
    if (is_first && workers.size() > 1) {
      place.port(socket->local_endpoint().port());
      const int on = 1;
      if (::setsockopt(socket->native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
        ec = failed_call();
        return {};
      }
    }
    port.push_back(std::move(socket));
  }
  return port;
}

}  // namespace

std::vector<DatagramPort> open_datagram_ports(std::span<const net::any_io_executor> workers,
                                              const DatagramPlaces& places, error_code& ec) {
  std::vector<DatagramPort> opened;
  for (UdpAddress place : places.addresses) {
    if (place.port() == 0 && !opened.empty()) {
      place.port(opened.front().front()->local_endpoint().port());
    }
    auto port = open_port(workers, place, places.both_families, ec);
    if (ec && places.need == DatagramPlaces::Need::all) return {};
    if (!ec) opened.push_back(std::move(port));
  }
  if (!opened.empty()) ec = {};
  return opened;
}

// Loads are big-endian and count from the first byte behind UDP's head; what is shorter goes to the
// first socket. The others are numbered in the order in which they were bound.
void steer_datagrams(const DatagramPort& port, error_code& ec) {
  ec = {};
  std::array<sock_filter, 3> code{
      {{.code = BPF_LD | BPF_W | BPF_ABS, .jt = 0, .jf = 0, .k = kLowIdAt},
       {.code = BPF_ALU | BPF_MOD | BPF_K,
        .jt = 0,
        .jf = 0,
        .k = static_cast<std::uint32_t>(port.size())},
       {.code = BPF_RET | BPF_A, .jt = 0, .jf = 0, .k = 0}}};
  const sock_fprog program{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
  if (::setsockopt(port.front()->native_handle(), SOL_SOCKET, kAttachReuseportFilter, &program,
                   sizeof program) != 0) {
    ec = failed_call();
  }
}

}  // namespace sealine::io::stt
