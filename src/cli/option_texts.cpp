#include "cli/option_texts.hpp"

#include "cli/text.hpp"
#include "cli/units.hpp"

#include <fmt/format.h>

#include <string>

namespace sealine::cli {
namespace {

Outcome<Duration> duration(std::string_view flag, const std::string& text) {
  const auto value = parse_duration(text);
  if (!value) {
    return usage(
        fmt::format("{} takes a time such as 250ms, 10s or 10m, not {}", flag, in_quotes(text)));
  }
  return *value;
}

/// The limits of one channel of msg.
Outcome<> msg_numbers(const OptionTexts& t, MsgOptions& out) {
  if (!t.rotate_bytes.empty()) {
    const auto value = parse_size(t.rotate_bytes);
    if (!value || *value == 0) {
      return usage(fmt::format("--rotate-bytes takes a size such as 20M or 1GiB, not {}",
                               in_quotes(t.rotate_bytes)));
    }
    out.rotate_bytes = *value;
  }
  if (!t.rotate_after.empty()) {
    SEALINE_TRY(value, duration("--rotate-after", t.rotate_after));
    if (value == Duration::zero()) return usage("--rotate-after cannot be 0");
    out.rotate_after = value;
  }
  if (!t.max_rate.empty()) {
    const auto value = parse_count(t.max_rate, 1, 1'000'000'000);
    if (!value) {
      return usage(
          fmt::format("--max-rate takes messages a second from 1, not {}", in_quotes(t.max_rate)));
    }
    out.max_rate = static_cast<std::uint32_t>(*value);
  }
  return {};
}

}  // namespace

Outcome<NetworkOptions> network_options(const OptionTexts& t) {
  NetworkOptions out;
  if (t.v4 && t.v6) return usage("-4 and -6 exclude each other");
  if (t.v4) out.family = io::stcp::AddressFamily::ipv4;
  if (t.v6) out.family = io::stcp::AddressFamily::ipv6;
  if (!t.handshake_timeout.empty()) {
    SEALINE_TRY(value, duration("--handshake-timeout", t.handshake_timeout));
    if (value == Duration::zero()) return usage("--handshake-timeout cannot be 0");
    out.handshake_timeout = value;
  }
  if (!t.idle_timeout.empty()) {
    SEALINE_TRY(value, duration("--idle-timeout", t.idle_timeout));
    out.idle_timeout = value;
  }
  if (!t.retry.empty()) {
    SEALINE_TRY(value, duration("--retry", t.retry));
    out.retry = value;
  }
  if (!t.limit_rate.empty()) {
    const auto value = parse_size(t.limit_rate);
    if (!value || *value == 0) {
      return usage(fmt::format("--limit-rate takes bytes a second such as 20M or 1GiB, not {}",
                               in_quotes(t.limit_rate)));
    }
    out.limit_rate = *value;
  }
  return out;
}

Outcome<TrustOptions> trust_options(const OptionTexts& t) {
  TrustOptions out;
  if (!t.trust.empty()) {
    const auto policy = io::parse_trust_policy(t.trust);
    if (!policy) {
      return usage(fmt::format("--trust takes new, ask or pinned, not {}", in_quotes(t.trust)));
    }
    out.policy = *policy;
  }
  if (!t.pad.empty()) {
    const auto padding = stcp::parse_padding(t.pad);
    if (!padding) {
      return usage(fmt::format("--pad takes none, 256 or padme, not {}", in_quotes(t.pad)));
    }
    out.padding = *padding;
  }
  out.peer_key = t.peer_key;
  out.identity = t.identity;
  out.allow = t.allow;
  out.psk_file = t.psk_file;
  out.anonymous = t.anonymous;
  out.mutual = t.mutual;
  return out;
}

Outcome<CommonOptions> common_options(const OptionTexts& t, CommonOptions out) {
  out.state_dir = t.state_dir;
  out.yes = t.yes;
  out.output.is_json = t.json;
  out.output.is_quiet = t.quiet;
  out.output.verbosity = t.verbosity;
  if (t.color == "always" || t.color == "never") {
    out.output.color = t.color == "always" ? ColorChoice::always : ColorChoice::never;
  } else if (t.color != "auto") {
    return usage(fmt::format("--color takes auto, always or never, not {}", in_quotes(t.color)));
  }
  if (t.log_format == "text" || t.log_format == "json") {
    out.output.log_format = t.log_format == "text" ? LogFormat::text : LogFormat::json;
  } else if (!t.log_format.empty()) {
    return usage(fmt::format("--log-format takes text or json, not {}", in_quotes(t.log_format)));
  }
  return out;
}

Outcome<Command> pipe_options(const OptionTexts& t) {
  PipeOptions out;
  SEALINE_TRY(network, network_options(t));
  SEALINE_TRY(trust, trust_options(t));
  out.network = network;
  out.trust = trust;
  out.keep = t.keep;
  if (t.listen.empty() == t.peer.empty()) {
    return usage(t.peer.empty() ? "pipe needs -l [ADDR:]PORT to wait, or HOST:PORT to connect"
                                : "pipe takes -l [ADDR:]PORT or HOST:PORT, not both");
  }
  if (!t.listen.empty()) {
    SEALINE_TRY(address, parse_listen_address(t.listen));
    out.listen = address;
  } else {
    SEALINE_TRY(address, parse_peer_address(t.peer));
    out.peer = address;
    if (t.keep) return usage("--keep is for a listener: pipe -l");
  }
  return out;
}

Outcome<Command> tunnel_options(const OptionTexts& t) {
  TunnelOptions out;
  SEALINE_TRY(network, network_options(t));
  SEALINE_TRY(trust, trust_options(t));
  out.network = network;
  out.trust = trust;
  out.unsafe_listen = t.unsafe_listen;
  if (t.listen.empty() || t.to.empty()) {
    return usage(fmt::format("tunnel needs {} END", t.listen.empty() ? "--listen" : "--to"));
  }
  SEALINE_TRY(listen, parse_listen_end(t.listen));
  SEALINE_TRY(to, parse_target_end(t.to));
  if (listen.is_sealed == to.is_sealed) {
    return usage(listen.is_sealed ? "both ends are stcp://: one of them must be the plaintext side"
                                  : "exactly one END must be stcp://");
  }
  out.listen = listen;
  out.to = to;
  if (!t.max_connections.empty()) {
    const auto value = parse_count(t.max_connections, 1, 1'000'000);
    if (!value) {
      return usage(fmt::format("--max-connections takes a number from 1, not {}",
                               in_quotes(t.max_connections)));
    }
    out.max_connections = static_cast<std::size_t>(*value);
  }
  return out;
}

Outcome<Command> msg_options(const OptionTexts& t) {
  MsgOptions out;
  SEALINE_TRY(network, network_options(t));
  SEALINE_TRY(trust, trust_options(t));
  out.network = network;
  out.trust = trust;
  out.receipts = t.receipts;
  out.reconnect = t.reconnect;
  out.command = t.command;
  if (t.listen.empty() == t.peer.empty()) {
    return usage(t.peer.empty() ? "msg needs -l [ADDR:]PORT to wait, or HOST:PORT to connect"
                                : "msg takes -l [ADDR:]PORT or HOST:PORT, not both");
  }
  if (!t.listen.empty()) {
    SEALINE_TRY(address, parse_listen_address(t.listen));
    out.listen = address;
  } else {
    SEALINE_TRY(address, parse_peer_address(t.peer));
    out.peer = address;
  }
  if (t.has_command && t.command.empty()) return usage("--exec needs a command for sh -c");
  SEALINE_TRY(msg_numbers(t, out));
  return out;
}

Outcome<Command> key_new_options(const OptionTexts& t) {
  if (t.psk && t.new_identity) return usage("--psk and --identity exclude each other");
  if (t.json && t.output.empty()) {
    return usage("with --json the key needs a file of its own: -o FILE");
  }
  return KeyNewOptions{t.new_identity, t.output};
}

Outcome<Command> peers_options(const OptionTexts& t, PeersOptions::Action action) {
  const bool needs_key =
      action == PeersOptions::Action::add || action == PeersOptions::Action::replace;
  if (action != PeersOptions::Action::list && t.name.empty()) {
    return usage("the NAME of the peer is missing: HOST:PORT as in `sealine peers list`");
  }
  if (needs_key && t.key.empty()) return usage("the KEY of the peer is missing: its slp1 text");
  return PeersOptions{action, t.name, t.key};
}

Outcome<Command> legacy_options(const OptionTexts& t, bool is_sealing) {
  LegacyOptions out;
  out.is_sealing = is_sealing;
  out.key = t.key;
  if (!t.iv.empty()) {
    if (t.iv != "16" && t.iv != "24" && t.iv != "32") {
      return usage(fmt::format("--iv takes 16, 24 or 32, not {}", in_quotes(t.iv)));
    }
    out.iv_size = static_cast<std::size_t>(std::stoul(t.iv));
  }
  if (!t.role.empty()) {
    if (t.role != "client" && t.role != "server") {
      return usage(fmt::format("--role takes client or server, not {}", in_quotes(t.role)));
    }
    out.role = t.role == "server" ? stcp::LegacyRole::server : stcp::LegacyRole::client;
  }
  out.any_time = t.any_time;
  out.raw = t.raw;
  return out;
}

}  // namespace sealine::cli
