#pragma once

#include "cli/failure.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace sealine::cli {

/// HOST and PORT as a user wrote them; IPv6 without its brackets. An empty host is "all addresses"
/// to a listener.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

/// HOST:PORT, with brackets around IPv6.
[[nodiscard]] std::string to_text(const HostPort& address);

struct UnixPath {
  std::string path;

  friend bool operator==(const UnixPath&, const UnixPath&) = default;
};

/// One end of a tunnel.
struct End {
  bool is_sealed = false;  ///< stcp://
  std::variant<HostPort, UnixPath> place;

  friend bool operator==(const End&, const End&) = default;
};

[[nodiscard]] std::string to_text(const End& end);

/// [ADDR:]PORT; port 0 is any free one. Errors: usage.
[[nodiscard]] Outcome<HostPort> parse_listen_address(std::string_view text);

/// HOST:PORT, to be connected to. Errors: usage.
[[nodiscard]] Outcome<HostPort> parse_peer_address(std::string_view text);

/// [ADDR:]PORT | unix:/path | stcp://[ADDR:]PORT. A plaintext end without an address is
/// on loopback. Errors: usage.
[[nodiscard]] Outcome<End> parse_listen_end(std::string_view text);

/// The same for the end that is dialled, where no address is this machine.
[[nodiscard]] Outcome<End> parse_target_end(std::string_view text);

}  // namespace sealine::cli
