#include "cli/option_texts.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace sealine::cli {
namespace {

using Role = SttOptions::Role;
using Work = SttOptions::Work;

Outcome<io::stt::Url> stt_url(const std::string& text, Role role) {
  if (text.empty()) return usage("the URL is missing, such as stt://HOST:PORT");
  if (role == Role::listen && text.starts_with("wss://")) {
    return usage(
        fmt::format("{}: listen takes no TLS; put a proxy with TLS, such as nginx, in front",
                    in_quotes(text)),
        "listen on ws://127.0.0.1:8080 and have the proxy forward to it: docs/spec/websocket.md");
  }
  auto url = io::stt::Url::parse(text);
  if (!url) {
    return usage(fmt::format(
        "{} is no URL such as udp://HOST:PORT, ws(s)://HOST:PORT[/path] or stt://HOST:PORT",
        in_quotes(text)));
  }
  if (role == Role::listen) return std::move(*url);
  if (url->host.empty() || url->port == 0) {
    return usage(fmt::format("{} cannot be dialled: it needs a host and a port", in_quotes(text)));
  }
  return std::move(*url);
}

Outcome<io::stt::Padding> stt_padding(const std::string& text) {
  using io::stt::Padding;
  static constexpr std::array<std::pair<std::string_view, Padding>, 6> kPaddings{
      {{"none", Padding::none},
       {"128", Padding::fixed_128},
       {"256", Padding::fixed_256},
       {"512", Padding::fixed_512},
       {"1024", Padding::fixed_1024},
       {"full", Padding::full}}};
  if (text.empty()) return Padding::none;
  const auto* const found =
      std::ranges::find(kPaddings, text, &std::pair<std::string_view, Padding>::first);
  if (found != kPaddings.end()) return found->second;
  return usage(
      fmt::format("--pad takes none, 128, 256, 512, 1024 or full, not {}", in_quotes(text)));
}

Outcome<stt::CongestionControl> congestion_control(const std::string& text) {
  using ::sealine::stt::CongestionControl;
  if (text.empty() || text == "cubic") return CongestionControl::cubic;
  if (text == "bbr") return CongestionControl::bbr;
  if (text == "new-reno") return CongestionControl::new_reno;
  return usage(fmt::format("--congestion takes cubic, bbr or new-reno, not {}", in_quotes(text)));
}

/// 0 where it is to be found out.
Outcome<std::size_t> path_mtu(const std::string& text) {
  if (text.empty()) return std::size_t{0};
  const auto bytes = parse_count(text, io::stt::kMinMtuBytes, io::stt::kMaxMtuBytes);
  if (bytes) return static_cast<std::size_t>(*bytes);
  return usage(fmt::format("--mtu takes bytes from {} to {}, not {}", io::stt::kMinMtuBytes,
                           io::stt::kMaxMtuBytes, in_quotes(text)));
}

/// Threads that listen: where nothing else is shared between sessions.
Outcome<std::size_t> worker_count(const SttTexts& s, const SttOptions& out) {
  if (s.workers.empty()) return std::size_t{1};
  const auto count = parse_count(s.workers, 1, io::stt::kMaxWorkers);
  if (!count) {
    return usage(fmt::format("--workers takes a number from 1 to {}, not {}", io::stt::kMaxWorkers,
                             in_quotes(s.workers)));
  }
  if (*count == 1) return std::size_t{1};
  if (out.work != Work::echo && out.work != Work::targets) {
    return usage("--workers is for stt listen with --echo or --forward");
  }
  if (out.network.limit_rate != 0) return usage("--workers and --limit-rate exclude each other");
  return static_cast<std::size_t>(*count);
}

/// scheme://host[:port], as a browser sends it.
Outcome<std::vector<std::string>> origins_of(const SttTexts& s) {
  for (const std::string& origin : s.origins) {
    const std::size_t mark = origin.find("://");
    const bool has_host = mark != std::string::npos && mark > 0 && mark + 3 < origin.size();
    if (!has_host || origin.find_first_of("/ \t", mark + 3) != std::string::npos) {
      return usage(fmt::format("--origin takes scheme://host[:port] without a path, not {}",
                               in_quotes(origin)));
    }
  }
  return s.origins;
}

Outcome<SeedOptions> seed_options(const SttTexts& s) {
  if (s.passphrase && !s.seed_file.empty()) {
    return usage("--seed-file and --passphrase exclude each other");
  }
  return SeedOptions{s.seed_file, s.passphrase};
}

/// [ADDR:]PORT:HOST:PORT; IPv6 in brackets.
Outcome<PortForward> port_forward(const std::string& text) {
  const auto refused = [&] {
    return usage(fmt::format("-L takes [ADDR:]PORT:HOST:PORT, not {}", in_quotes(text)));
  };
  const std::size_t last = text.rfind(':');
  if (last == std::string::npos || last == 0) return refused();
  std::size_t begin = 0;  // of HOST
  if (text[last - 1] == ']') {
    begin = text.rfind('[', last);
    if (begin == std::string::npos || begin == 0) return refused();
  } else {
    const std::size_t colon = text.rfind(':', last - 1);
    if (colon == std::string::npos) return refused();
    begin = colon + 1;
  }
  if (begin < 2 || text[begin - 1] != ':') return refused();
  auto listen = parse_listen_address(text.substr(0, begin - 1));
  auto target = parse_peer_address(text.substr(begin));
  if (!listen || !target) return refused();
  if (listen->host.empty()) listen->host = "127.0.0.1";
  return PortForward{std::move(*listen), std::move(*target)};
}

Outcome<> choose_work(const SttTexts& s, SttOptions& out) {
  if (s.has_command && s.command.empty()) return usage("--exec needs a command for sh -c");
  if ((s.echo ? 1 : 0) + (s.has_command ? 1 : 0) + (s.targets.empty() ? 0 : 1) > 1) {
    return usage("--echo, --exec and --forward exclude each other");
  }
  if (out.role != Role::listen && (s.echo || !s.targets.empty())) {
    return usage(fmt::format("{} is for stt listen", s.echo ? "--echo" : "--forward"));
  }
  if (out.role == Role::forward && s.has_command) return usage("--exec is not for stt forward");
  if (s.echo) out.work = Work::echo;
  if (s.has_command) out.work = Work::command;
  out.command = s.command;
  for (const std::string& text : s.targets) {
    SEALINE_TRY(target, parse_peer_address(text));
    out.work = Work::targets;
    out.targets.push_back(std::move(target));
  }
  return {};
}

}  // namespace

Outcome<Command> stt_options(const OptionTexts& t, SttOptions::Role role) {
  const SttTexts& s = t.stt;
  SttOptions out;
  out.role = role;
  SEALINE_TRY(url, stt_url(s.url, role));
  SEALINE_TRY(network, network_options(t));
  SEALINE_TRY(seed, seed_options(s));
  SEALINE_TRY(padding, stt_padding(t.pad));
  SEALINE_TRY(origins, origins_of(s));
  SEALINE_TRY(congestion, congestion_control(s.congestion));
  SEALINE_TRY(mtu_bytes, path_mtu(s.mtu));
  const bool is_websocket = url.scheme == io::stt::Scheme::ws || url.scheme == io::stt::Scheme::wss;
  if (is_websocket && !(s.congestion.empty() && s.mtu.empty() && s.workers.empty())) {
    const std::string_view refused = !s.mtu.empty()      ? "--mtu"
                                     : s.workers.empty() ? "--congestion"
                                                         : "--workers";
    return usage(fmt::format("{} is for udp:// and stt://", refused));
  }
  out.congestion = congestion;
  out.mtu_bytes = mtu_bytes;
  out.url = std::move(url);
  out.network = network;
  out.seed = std::move(seed);
  out.padding = padding;
  out.origins = std::move(origins);
  out.unsafe_listen = t.unsafe_listen;
  SEALINE_TRY(choose_work(s, out));
  SEALINE_TRY(workers, worker_count(s, out));
  out.workers = workers;
  if (!out.origins.empty() && role != Role::listen) return usage("--origin is for stt listen");
  for (const std::string& text : s.forwards) {
    SEALINE_TRY(forward, port_forward(text));
    out.forwards.push_back(std::move(forward));
  }
  if (role == Role::forward && out.forwards.empty()) {
    return usage("stt forward needs -L [ADDR:]PORT:HOST:PORT, once or more");
  }
  return out;
}

Outcome<Command> web_options(const OptionTexts& t) {
  const SttTexts& s = t.stt;
  WebOptions out;
  SEALINE_TRY(network, network_options(t));
  SEALINE_TRY(padding, stt_padding(t.pad));
  SEALINE_TRY(origins, origins_of(s));
  if (!t.listen.empty()) {
    SEALINE_TRY(listen, parse_listen_address(t.listen));
    if (listen.host.empty()) listen.host = "127.0.0.1";
    out.listen = std::move(listen);
  }
  if (s.new_seed && !s.seed_file.empty()) {
    return usage("--seed-file and --new-seed exclude each other");
  }
  if (s.has_dir && s.dir.empty()) return usage("--dir needs a directory");
  if (s.has_dir) out.directory = s.dir;
  out.makes_seed = s.new_seed;
  out.unsafe_listen = t.unsafe_listen;
  out.origins = std::move(origins);
  out.padding = padding;
  out.seed.file = s.seed_file;
  out.network = network;
  return out;
}

}  // namespace sealine::cli
