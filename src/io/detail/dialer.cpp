#include "io/detail/dialer.hpp"

#include "io/detail/clock.hpp"
#include "sealine/base/error.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace sealine::io::detail {

using net::ip::tcp;

std::vector<tcp::endpoint> interleave(const std::vector<tcp::endpoint>& endpoints) {
  std::vector<tcp::endpoint> first;
  std::vector<tcp::endpoint> second;
  for (const tcp::endpoint& endpoint : endpoints) {
    const bool same = endpoint.protocol() == endpoints.front().protocol();
    (same ? first : second).push_back(endpoint);
  }
  std::vector<tcp::endpoint> mixed;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) mixed.push_back(first[i]);
    if (i < second.size()) mixed.push_back(second[i]);
  }
  return mixed;
}

Dialer::Dialer(const net::any_io_executor& executor, Timing timing, Done done)
    : executor_(executor),
      resolver_(executor),
      next_attempt_(executor),
      deadline_(executor),
      timing_(timing),
      done_(std::move(done)) {}

void Dialer::start(const std::string& host, std::uint16_t port, stcp::AddressFamily family) {
  start_deadline();
  const auto handler = [self = shared_from_this(), family](const error_code& ec,
                                                           const auto& results) {
    self->resolved(ec, results, family);
  };
  const auto flags = tcp::resolver::numeric_service;
  const std::string service = std::to_string(port);
  error_code ec;
  const net::ip::address literal = net::ip::make_address(host, ec);
  if (!ec) {
    const bool wrong_family = (family == stcp::AddressFamily::ipv4 && !literal.is_v4()) ||
                              (family == stcp::AddressFamily::ipv6 && !literal.is_v6());
    if (wrong_family) {
      net::post(executor_, [self = shared_from_this()] {
        self->finish(net::error::host_not_found, Socket(self->executor_));
      });
      return;
    }
    endpoints_ = {tcp::endpoint(literal, port)};
    return try_next();
  }
  switch (family) {
    case stcp::AddressFamily::any:
      resolver_.async_resolve(host, service, flags, handler);
      break;
    case stcp::AddressFamily::ipv4:
      resolver_.async_resolve(tcp::v4(), host, service, flags, handler);
      break;
    case stcp::AddressFamily::ipv6:
      resolver_.async_resolve(tcp::v6(), host, service, flags, handler);
      break;
  }
}

void Dialer::start(std::vector<tcp::endpoint> endpoints) {
  start_deadline();
  endpoints_ = std::move(endpoints);
  try_next();
}

void Dialer::start_deadline() {
  if (timing_.timeout <= Duration{}) return;
  deadline_.expires_after(timing_.timeout);
  deadline_.async_wait([self = shared_from_this()](const error_code& ec) {
    if (ec || !self->done_) return;
    self->finish(make_error_code(Errc::connect_timeout), Socket(self->executor_));
  });
}

void Dialer::cancel() {
  if (done_) finish(net::error::operation_aborted, Socket(executor_));
}

void Dialer::resolved(const error_code& ec, const tcp::resolver::results_type& results,
                      stcp::AddressFamily /*family*/) {
  if (!done_) return;
  if (ec) return finish(ec, Socket(executor_));
  std::vector<tcp::endpoint> endpoints;
  for (const auto& entry : results) endpoints.push_back(entry.endpoint());
  endpoints_ = interleave(endpoints);
  try_next();
}

void Dialer::try_next() {
  const std::size_t index = attempts_.size();
  if (index == endpoints_.size()) {
    if (pending_ == 0) {
      finish(last_error_ ? last_error_ : error_code(net::error::host_not_found), Socket(executor_));
    }
    return;
  }
  attempts_.reserve(endpoints_.size());  // a pending connect must keep its socket's address
  Socket& socket = attempts_.emplace_back(executor_);
  ++pending_;
  socket.async_connect(endpoints_[index], [self = shared_from_this(), index](const error_code& ec) {
    self->attempt_ended(index, ec);
  });
  if (attempts_.size() == endpoints_.size()) return;
  next_attempt_.expires_after(timing_.attempt_delay);
  next_attempt_.async_wait([self = shared_from_this()](const error_code& ec) {
    if (!ec && self->done_) self->try_next();
  });
}

void Dialer::attempt_ended(std::size_t index, const error_code& ec) {
  --pending_;
  if (!done_) return;
  if (!ec) return finish({}, std::move(attempts_[index]));
  last_error_ = ec;
  if (attempts_.size() == endpoints_.size() && pending_ != 0) return;
  next_attempt_.cancel();
  try_next();
}

void Dialer::finish(const error_code& ec, Socket socket) {
  Done done = std::exchange(done_, nullptr);
  resolver_.cancel();
  next_attempt_.cancel();
  deadline_.cancel();
  for (Socket& attempt : attempts_) {
    error_code ignored;
    attempt.close(ignored);
  }
  done(ec, std::move(socket));
}

}  // namespace sealine::io::detail
