#include "io/detail/acceptors.hpp"

#include <utility>

namespace sealine::io::detail {

using net::ip::tcp;
using stcp::AddressFamily;

namespace {

/// One socket; null where `ec` says why not.
std::unique_ptr<tcp::acceptor> open(const net::any_io_executor& executor,
                                    const tcp::endpoint& endpoint, bool both_families, int backlog,
                                    error_code& ec) {
  auto acceptor = std::make_unique<tcp::acceptor>(executor);
  acceptor->open(endpoint.protocol(), ec);
  if (!ec) acceptor->set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec && endpoint.protocol() == tcp::v6()) {
    acceptor->set_option(net::ip::v6_only(!both_families), ec);
  }
  if (!ec) acceptor->bind(endpoint, ec);
  if (!ec) acceptor->listen(backlog, ec);
  if (ec) acceptor.reset();
  return acceptor;
}

Acceptors open_everywhere(const net::any_io_executor& executor, const ListenAt& where,
                          error_code& ec) {
  Acceptors opened;
  std::unique_ptr<tcp::acceptor> acceptor;
  if (where.family != AddressFamily::ipv4) {
    const bool both = where.family == AddressFamily::any;
    acceptor = open(executor, tcp::endpoint(tcp::v6(), where.port), both, where.backlog, ec);
  }
  if (!acceptor && where.family != AddressFamily::ipv6) {
    acceptor = open(executor, tcp::endpoint(tcp::v4(), where.port), false, where.backlog, ec);
  }
  if (acceptor) opened.push_back(std::move(acceptor));
  return opened;
}

}  // namespace

Acceptors open_acceptors(const net::any_io_executor& executor, const ListenAt& where,
                         error_code& ec) {
  ec = {};
  const std::string& host = where.host;
  if (host.empty()) return open_everywhere(executor, where, ec);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string name = bracketed ? host.substr(1, host.size() - 2) : host;
  tcp::resolver resolver(executor);
  const auto results =
      resolver.resolve(name, std::to_string(where.port),
                       tcp::resolver::numeric_service | tcp::resolver::passive, ec);
  Acceptors opened;
  if (ec) return opened;
  error_code last = net::error::host_not_found;
  for (const auto& entry : results) {
    tcp::endpoint endpoint = entry.endpoint();
    const bool v4 = endpoint.protocol() == tcp::v4();
    const bool is_wanted =
        where.family == AddressFamily::any || v4 == (where.family == AddressFamily::ipv4);
    if (!is_wanted) continue;
    if (where.port == 0 && !opened.empty()) {
      error_code gone;
      endpoint.port(opened.front()->local_endpoint(gone).port());
    }
    if (auto acceptor = open(executor, endpoint, false, where.backlog, last)) {
      opened.push_back(std::move(acceptor));
    }
  }
  if (opened.empty()) ec = last;
  return opened;
}

std::vector<tcp::endpoint> local_endpoints(const Acceptors& acceptors) {
  std::vector<tcp::endpoint> endpoints;
  for (const auto& acceptor : acceptors) {
    error_code ec;
    const tcp::endpoint endpoint = acceptor->local_endpoint(ec);
    if (!ec) endpoints.push_back(endpoint);
  }
  return endpoints;
}

}  // namespace sealine::io::detail
