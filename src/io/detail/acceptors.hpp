#pragma once

#include "sealine/io/asio.hpp"
#include "sealine/io/stcp_options.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sealine::io::detail {

using Acceptors = std::vector<std::unique_ptr<net::ip::tcp::acceptor>>;

/// Where to listen. An empty host is every address of this machine; brackets around IPv6 are taken.
struct ListenAt {
  std::string host;
  std::uint16_t port = 0;  ///< 0: any; several addresses of one name share it
  stcp::AddressFamily family = stcp::AddressFamily::any;
  int backlog = 0;
};

/// Opens what can be opened of `where`: at least one, or `ec` says why there is none.
[[nodiscard]] Acceptors open_acceptors(const net::any_io_executor& executor, const ListenAt& where,
                                       error_code& ec);

/// Where `acceptors` listen, those that are closed left out.
[[nodiscard]] std::vector<net::ip::tcp::endpoint> local_endpoints(const Acceptors& acceptors);

}  // namespace sealine::io::detail
