#pragma once

#include "cli/addresses.hpp"
#include "cli/asio.hpp"
#include "cli/failure.hpp"
#include "sealine/io/stcp_options.hpp"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sealine::cli {

/// The plaintext side of a tunnel: TCP or Unix.
using PlainSocket = net::generic::stream_protocol::socket;

/// Connects to the target of a tunnel. Names are looked up each time; of several addresses the
/// next is tried 250 ms after the last, or as soon as that has failed (RFC 8305).
/// Errors: name_not_found, unreachable, connection_refused, connect_timeout, system_error.
[[nodiscard]] net::awaitable<Result<PlainSocket>> connect_plain(const End& target,
                                                                io::stcp::AddressFamily family);

/// Accepts on the plaintext side.
class PlainListener final {
 public:
  explicit PlainListener(net::any_io_executor executor) : executor_(std::move(executor)) {}

  ~PlainListener();
  PlainListener(const PlainListener&) = delete;
  PlainListener& operator=(const PlainListener&) = delete;

  /// Begins to listen; a bare name may mean several addresses. A Unix socket that nobody serves is
  /// replaced, and removed at the end. Errors: plaintext_off_loopback unless `is_open`, and those
  /// of the system, with words.
  [[nodiscard]] Outcome<> listen(const End& end, io::stcp::AddressFamily family, bool is_open);

  /// ADDR:PORT or unix:/path of each.
  [[nodiscard]] const std::vector<std::string>& places() const noexcept { return places_; }

  /// One accept loop for each place, until close(): each socket goes to `take`, which says when the
  /// next one may come.
  void start(const std::function<net::awaitable<void>(PlainSocket)>& take);

  void close();

 private:
  [[nodiscard]] Outcome<> listen_unix(const std::string& path);
  [[nodiscard]] Outcome<> listen_tcp(const HostPort& place, io::stcp::AddressFamily family,
                                     bool is_open);

  net::any_io_executor executor_;
  std::vector<net::ip::tcp::acceptor> tcp_;
  std::vector<net::local::stream_protocol::acceptor> unix_;
  std::string unix_path_;
  std::vector<std::string> places_;
};

}  // namespace sealine::cli
