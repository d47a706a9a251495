#pragma once

#include "cli/asio.hpp"
#include "cli/plain_socket.hpp"
#include "cli/rate_limit.hpp"
#include "sealine/io/stcp_stream.hpp"

#include <cstdint>
#include <optional>

namespace sealine::cli {

/// What a tunnel has carried: into the sealed side and out of it.
struct Traffic {
  std::uint64_t bytes_sealed = 0;
  std::uint64_t bytes_opened = 0;
};

/// One connection of a tunnel: copies both ways until both directions have ended.
///
/// An end of data on one side becomes one on the other. What is no clean end stays none: a sealed
/// side that is cut resets the plain one, a plain side that fails aborts the sealed one.
class Relay final {
 public:
  struct Shared {
    RateLimit& up;
    RateLimit& down;
    Traffic& traffic;
  };

  Relay(io::stcp::Stream sealed, PlainSocket plain, const Shared& shared);

  [[nodiscard]] net::awaitable<void> run();

  [[nodiscard]] const io::stcp::Stream& sealed() const noexcept { return sealed_; }

  /// What ended it, if not both ends of data.
  [[nodiscard]] std::optional<Error> error() const noexcept { return error_; }

 private:
  [[nodiscard]] net::awaitable<void> seal();
  [[nodiscard]] net::awaitable<void> open();
  void sealed_failed(const error_code& ec);
  [[nodiscard]] net::awaitable<void> plain_failed(const error_code& ec);
  void reset_plain();

  io::stcp::Stream sealed_;
  PlainSocket plain_;
  Shared shared_;
  std::optional<Error> error_;
};

}  // namespace sealine::cli
