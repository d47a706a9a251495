#include "cli/plain_socket.hpp"

#include "cli/report.hpp"
#include "cli/sealed_listener.hpp"
#include "cli/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sealine::cli {
namespace {

using net::ip::tcp;

constexpr std::chrono::milliseconds kNextAttempt{250};
constexpr std::chrono::seconds kConnectTimeout{10};
constexpr std::chrono::milliseconds kNoDescriptorPause{100};

std::string service(std::uint16_t port) { return std::to_string(port); }

bool fits(const tcp::endpoint& endpoint, io::stcp::AddressFamily family) {
  using enum io::stcp::AddressFamily;
  if (family == ipv4) return endpoint.address().is_v4();
  if (family == ipv6) return endpoint.address().is_v6();
  return true;
}

std::vector<tcp::endpoint> chosen(const tcp::resolver::results_type& results,
                                  io::stcp::AddressFamily family) {
  std::vector<tcp::endpoint> out;
  for (const auto& result : results) {
    if (fits(result.endpoint(), family)) out.push_back(result.endpoint());
  }
  return out;
}

/// Attempts side by side; the first that connects wins.
struct Race {
  explicit Race(const net::any_io_executor& executor) : changed(executor) {}

  std::vector<std::unique_ptr<tcp::socket>> sockets;
  std::optional<std::size_t> winner;
  std::size_t running = 0;
  error_code last = net::error::host_not_found;
  net::steady_timer changed;
};

net::awaitable<void> attempt(std::shared_ptr<Race> race, std::size_t index, tcp::endpoint to) {
  error_code ec;
  co_await race->sockets[index]->async_connect(to, net::redirect_error(net::use_awaitable, ec));
  --race->running;
  if (!ec && !race->winner) {
    race->winner = index;
  } else if (ec) {
    race->last = ec;
  }
  race->changed.cancel();
}

net::awaitable<Result<PlainSocket>> connect_tcp(HostPort place, io::stcp::AddressFamily family) {
  const auto executor = co_await net::this_coro::executor;
  error_code ec;
  tcp::resolver resolver(executor);
  const auto results = co_await resolver.async_resolve(place.host, service(place.port),
                                                       net::redirect_error(net::use_awaitable, ec));
  if (ec) co_return std::unexpected(io::to_error(ec));
  const std::vector<tcp::endpoint> endpoints = chosen(results, family);
  if (endpoints.empty()) co_return fail(Errc::name_not_found);
  const auto race = std::make_shared<Race>(executor);
  const auto deadline = std::chrono::steady_clock::now() + kConnectTimeout;
  std::size_t next = 0;
  while (!race->winner && (next < endpoints.size() || race->running > 0)) {
    if (std::chrono::steady_clock::now() >= deadline) break;
    auto until = deadline;
    if (next < endpoints.size()) {
      race->sockets.push_back(std::make_unique<tcp::socket>(executor));
      ++race->running;
      net::co_spawn(executor, attempt(race, next, endpoints[next]), net::detached);
      ++next;
      if (next < endpoints.size()) until = std::chrono::steady_clock::now() + kNextAttempt;
    }
    race->changed.expires_at(until);
    co_await race->changed.async_wait(net::redirect_error(net::use_awaitable, ec));
  }
  for (std::size_t i = 0; i < race->sockets.size(); ++i) {
    if (race->winner != i) static_cast<void>(race->sockets[i]->close(ec));
  }
  if (!race->winner) {
    if (race->running > 0) co_return fail(Errc::connect_timeout);
    co_return std::unexpected(io::to_error(race->last));
  }
  tcp::socket won = std::move(*race->sockets[*race->winner]);
  static_cast<void>(won.set_option(tcp::no_delay(true), ec));
  co_return PlainSocket(std::move(won));
}

net::awaitable<Result<PlainSocket>> connect_unix(std::string path) {
  net::local::stream_protocol::socket socket(co_await net::this_coro::executor);
  error_code ec;
  co_await socket.async_connect(net::local::stream_protocol::endpoint(path),
                                net::redirect_error(net::use_awaitable, ec));
  if (ec) co_return std::unexpected(io::to_error(ec));
  co_return PlainSocket(std::move(socket));
}

/// Removes a socket that nobody serves any more. False if somebody does.
bool clear_stale(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return true;
  if (!S_ISSOCK(status.st_mode)) return false;
  net::io_context context;
  net::local::stream_protocol::socket probe(context);
  error_code ec;
  static_cast<void>(probe.connect(net::local::stream_protocol::endpoint(path), ec));
  if (!ec) return false;
  return ::unlink(path.c_str()) == 0;
}

template <class Acceptor>
net::awaitable<void> accept_loop(Acceptor& acceptor,
                                 std::function<net::awaitable<void>(PlainSocket)> take) {
  const auto executor = co_await net::this_coro::executor;
  while (acceptor.is_open()) {
    error_code ec;
    auto socket = co_await acceptor.async_accept(net::redirect_error(net::use_awaitable, ec));
    if (ec == net::error::operation_aborted || !acceptor.is_open()) co_return;
    if (ec) {  // no descriptor left, or a client that is gone already
      net::steady_timer pause(executor, kNoDescriptorPause);
      co_await pause.async_wait(net::redirect_error(net::use_awaitable, ec));
      continue;
    }
    co_await take(PlainSocket(std::move(socket)));
  }
}

}  // namespace

net::awaitable<Result<PlainSocket>> connect_plain(const End& target,
                                                  io::stcp::AddressFamily family) {
  if (const auto* path = std::get_if<UnixPath>(&target.place)) {
    co_return co_await connect_unix(path->path);
  }
  co_return co_await connect_tcp(std::get<HostPort>(target.place), family);
}

PlainListener::~PlainListener() { close(); }

Outcome<> PlainListener::listen(const End& end, io::stcp::AddressFamily family, bool is_open) {
  if (const auto* path = std::get_if<UnixPath>(&end.place)) return listen_unix(path->path);
  return listen_tcp(std::get<HostPort>(end.place), family, is_open);
}

Outcome<> PlainListener::listen_unix(const std::string& path) {
  const std::string place = "unix:" + path;
  if (!clear_stale(path)) {
    return std::unexpected(listen_failure(error_code(EADDRINUSE, net::error::get_system_category()),
                                          printable(place)));
  }
  error_code ec;
  net::local::stream_protocol::acceptor acceptor(executor_);
  static_cast<void>(acceptor.open(net::local::stream_protocol(), ec));
  if (!ec) static_cast<void>(acceptor.bind(net::local::stream_protocol::endpoint(path), ec));
  if (!ec) unix_path_ = path;
  if (!ec) static_cast<void>(acceptor.listen(net::socket_base::max_listen_connections, ec));
  if (ec) return std::unexpected(listen_failure(ec, printable(place)));
  unix_.push_back(std::move(acceptor));
  places_.push_back(printable(place));
  return {};
}

Outcome<> PlainListener::listen_tcp(const HostPort& place, io::stcp::AddressFamily family,
                                    bool is_open) {
  error_code ec;
  net::io_context context;
  tcp::resolver resolver(context);
  const auto results =
      resolver.resolve(place.host, service(place.port), tcp::resolver::passive, ec);
  if (ec) return std::unexpected(listen_failure(ec, to_text(place)));
  std::vector<tcp::endpoint> endpoints = chosen(results, family);
  if (endpoints.empty()) {
    return std::unexpected(listen_failure(net::error::host_not_found, to_text(place)));
  }
  // Port 0 of two addresses would be two ports.
  if (place.port == 0) endpoints.resize(1);
  for (const tcp::endpoint& endpoint : endpoints) {
    if (!is_open && !endpoint.address().is_loopback()) {
      return failure(Errc::plaintext_off_loopback,
                     fmt::format("{} is not on loopback: whoever reaches it would use the tunnel "
                                 "without encryption",
                                 endpoint_text(endpoint)),
                     "listen on 127.0.0.1 or unix:/path; --unsafe-listen allows it all the same");
    }
  }
  for (const tcp::endpoint& endpoint : endpoints) {
    tcp::acceptor acceptor(executor_);
    static_cast<void>(acceptor.open(endpoint.protocol(), ec));
    if (!ec) static_cast<void>(acceptor.set_option(net::socket_base::reuse_address(true), ec));
    if (!ec && endpoint.address().is_v6())
      static_cast<void>(acceptor.set_option(net::ip::v6_only(true), ec));
    if (!ec) static_cast<void>(acceptor.bind(endpoint, ec));
    if (!ec) static_cast<void>(acceptor.listen(net::socket_base::max_listen_connections, ec));
    if (ec) return std::unexpected(listen_failure(ec, endpoint_text(endpoint)));
    places_.push_back(endpoint_text(acceptor.local_endpoint()));
    tcp_.push_back(std::move(acceptor));
  }
  return {};
}

void PlainListener::start(const std::function<net::awaitable<void>(PlainSocket)>& take) {
  for (auto& acceptor : tcp_) {
    net::co_spawn(executor_, accept_loop(acceptor, take), net::detached);
  }
  for (auto& acceptor : unix_) {
    net::co_spawn(executor_, accept_loop(acceptor, take), net::detached);
  }
}

void PlainListener::close() {
  error_code ec;
  for (auto& acceptor : tcp_) static_cast<void>(acceptor.close(ec));
  for (auto& acceptor : unix_) static_cast<void>(acceptor.close(ec));
  if (!unix_path_.empty()) ::unlink(unix_path_.c_str());
  unix_path_.clear();
}

}  // namespace sealine::cli
