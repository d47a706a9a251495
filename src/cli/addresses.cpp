#include "cli/addresses.hpp"

#include "cli/text.hpp"
#include "cli/units.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sealine::cli {
namespace {

constexpr std::string_view kLoopback = "127.0.0.1";
constexpr std::string_view kSealed = "stcp://";
constexpr std::string_view kUnix = "unix:";
constexpr std::size_t kLongestHost = 255;
constexpr std::size_t kLongestUnixPath = 107;  // sun_path with its final NUL

bool is_host(std::string_view host) {
  return host.size() <= kLongestHost && std::ranges::all_of(host, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
         });
}

/// What stands before the last colon, and the port behind it. Without a colon all is the port.
Outcome<HostPort> split(std::string_view text, std::string_view wanted) {
  const auto refuse = [&](std::string_view why) {
    return usage(fmt::format("{} is no {}: {}", in_quotes(text), wanted, why));
  };
  std::string_view host;
  std::string_view port = text;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return refuse("a bracket is not closed");
    host = text.substr(1, close - 1);
    if (host.find(':') == std::string_view::npos) return refuse("brackets are for IPv6");
    port = text.substr(close + 1);
    if (!port.starts_with(':')) return refuse("the port is missing");
    port.remove_prefix(1);
  } else if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.find(':') != std::string_view::npos) {
      return refuse("IPv6 addresses stand in brackets, as in [::1]:9000");
    }
  }
  if (!is_host(host)) return refuse("no host has such a name");
  const auto number = parse_count(port, 0, 65535);
  if (!number) return refuse("the port is a number of 0 to 65535");
  return HostPort{std::string(host), static_cast<std::uint16_t>(*number)};
}

Outcome<End> parse_end(std::string_view text) {
  if (text.starts_with(kUnix)) {
    const std::string_view path = text.substr(kUnix.size());
    if (path.empty() || path.size() > kLongestUnixPath ||
        path.find('\0') != std::string_view::npos) {
      return usage(fmt::format("{} names no socket: 1 to {} bytes of path are needed",
                               in_quotes(text), kLongestUnixPath));
    }
    return End{false, UnixPath{std::string(path)}};
  }
  if (text.starts_with(kSealed)) {
    SEALINE_TRY(place, split(text.substr(kSealed.size()), "stcp://[ADDR:]PORT"));
    return End{true, std::move(place)};
  }
  if (text.find("://") != std::string_view::npos) {
    return usage(fmt::format(
        "{} is no end of a tunnel: [ADDR:]PORT, unix:/path, stcp://[ADDR:]PORT", in_quotes(text)));
  }
  SEALINE_TRY(place, split(text, "[ADDR:]PORT"));
  if (place.host.empty()) place.host = kLoopback;
  return End{false, std::move(place)};
}

}  // namespace

std::string to_text(const HostPort& address) {
  const bool is_v6 = address.host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", address.host, address.port)
               : fmt::format("{}:{}", address.host, address.port);
}

std::string to_text(const End& end) {
  if (const auto* path = std::get_if<UnixPath>(&end.place)) return "unix:" + path->path;
  const std::string text = to_text(std::get<HostPort>(end.place));
  return end.is_sealed ? std::string(kSealed) + text : text;
}

Outcome<HostPort> parse_listen_address(std::string_view text) { return split(text, "[ADDR:]PORT"); }

Outcome<HostPort> parse_peer_address(std::string_view text) {
  SEALINE_TRY(address, split(text, "HOST:PORT"));
  if (address.host.empty()) {
    return usage(fmt::format("{} is no HOST:PORT: the host is missing", in_quotes(text)),
                 "to wait for a connection instead: sealine pipe -l PORT");
  }
  if (address.port == 0) {
    return usage(fmt::format("{} is no HOST:PORT: port 0 cannot be dialled", in_quotes(text)));
  }
  return address;
}

Outcome<End> parse_listen_end(std::string_view text) { return parse_end(text); }

Outcome<End> parse_target_end(std::string_view text) {
  SEALINE_TRY(end, parse_end(text));
  if (auto* place = std::get_if<HostPort>(&end.place)) {
    if (place->port == 0) {
      return usage(fmt::format("{} cannot be dialled: its port is 0", in_quotes(text)));
    }
    if (place->host.empty()) place->host = "localhost";
  }
  return end;
}

}  // namespace sealine::cli
