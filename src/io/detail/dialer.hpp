#pragma once

#include "sealine/io/asio.hpp"
#include "sealine/io/stcp_options.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sealine::io::detail {

/// Resolves a name and connects to the first of its addresses that answers (RFC 8305): the families
/// take turns, the next address is tried `attempt_delay` after the last one or when that has
/// failed.
class Dialer : public std::enable_shared_from_this<Dialer> {
 public:
  using Socket = net::ip::tcp::socket;
  using Done = std::move_only_function<void(error_code, Socket)>;

  struct Timing {
    Duration attempt_delay{};
    Duration timeout{};
  };

  Dialer(const net::any_io_executor& executor, Timing timing, Done done);

  /// Resolves first. An address in numbers needs no resolver.
  void start(const std::string& host, std::uint16_t port, stcp::AddressFamily family);
  /// With addresses that are known, in this order.
  void start(std::vector<net::ip::tcp::endpoint> endpoints);
  void cancel();

 private:
  void resolved(const error_code& ec, const net::ip::tcp::resolver::results_type& results,
                stcp::AddressFamily family);
  void start_deadline();
  void try_next();
  void attempt_ended(std::size_t index, const error_code& ec);
  void finish(const error_code& ec, Socket socket);

  net::any_io_executor executor_;
  net::ip::tcp::resolver resolver_;
  net::steady_timer next_attempt_;
  net::steady_timer deadline_;
  std::vector<net::ip::tcp::endpoint> endpoints_;
  std::vector<Socket> attempts_;
  std::size_t pending_ = 0;
  error_code last_error_;
  Timing timing_;
  Done done_;
};

/// IPv6 and IPv4 in turn, beginning with the family that came first.
[[nodiscard]] std::vector<net::ip::tcp::endpoint> interleave(
    const std::vector<net::ip::tcp::endpoint>& endpoints);

}  // namespace sealine::io::detail
