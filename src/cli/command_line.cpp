#include "cli/command_line.hpp"

#include "cli/help.hpp"
#include "cli/text.hpp"
#include "cli/units.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

namespace sealine::cli {
namespace {

constexpr std::size_t kHexSecretDigits = 64;
constexpr std::size_t kLeastSecretLetters = 16;  // behind the prefix: a cut secret is one too

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_base32(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '2' && c <= '7');
}

bool is_secret(std::string_view text) {
  if (text.size() == kHexSecretDigits && std::ranges::all_of(text, is_hex)) return true;
  if (text.size() < 4 + kLeastSecretLetters) return false;
  std::string prefix(text.substr(0, 4));
  for (char& c : prefix) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return (prefix == "slk1" || prefix == "sls1") && std::ranges::all_of(text.substr(4), is_base32);
}

/// Where CLI11 writes, before the texts become values.
struct Texts {
  std::string state_dir, color = "auto", log_format, trust, peer_key, identity, allow, psk_file,
                         pad;
  std::string handshake_timeout, idle_timeout, retry, limit_rate, max_connections;
  std::string listen, peer, to, output, file, name, key, iv, role, word;
  bool json = false, quiet = false, yes = false, help = false, version = false;
  bool v4 = false, v6 = false, anonymous = false, mutual = false, keep = false;
  bool unsafe_listen = false, psk = false, new_identity = false, qr = false;
  bool any_time = false, raw = false;
  int verbosity = 0;
};

void add_common(CLI::App& app, Texts& t) {
  app.add_option("--state-dir", t.state_dir);
  app.add_flag("--json", t.json);
  app.add_flag("-q,--quiet", t.quiet);
  app.add_flag("-v,--verbose", t.verbosity);
  app.add_option("--color", t.color);
  app.add_option("--log-format", t.log_format);
  app.add_flag("--yes", t.yes);
  app.add_flag("-h,--help", t.help);
  app.add_flag("--version", t.version);
}

void add_network(CLI::App& app, Texts& t) {
  app.add_flag("-4", t.v4);
  app.add_flag("-6", t.v6);
  app.add_option("--handshake-timeout", t.handshake_timeout);
  app.add_option("--idle-timeout", t.idle_timeout);
  app.add_option("--retry", t.retry);
  app.add_option("--limit-rate", t.limit_rate);
}

void add_trust(CLI::App& app, Texts& t) {
  app.add_option("--trust", t.trust);
  app.add_option("--peer-key", t.peer_key);
  app.add_option("--identity", t.identity);
  app.add_option("--allow", t.allow);
  app.add_option("--psk-file", t.psk_file);
  app.add_flag("--anonymous", t.anonymous);
  app.add_flag("--mutual", t.mutual);
  app.add_option("--pad", t.pad);
}

/// A command with all its options, and how they become its values.
struct Entry {
  CLI::App* app;
  std::function<Outcome<Command>()> finish;
};

Outcome<Duration> duration(std::string_view flag, const std::string& text) {
  const auto value = parse_duration(text);
  if (!value) {
    return usage(
        fmt::format("{} takes a time such as 250ms, 10s or 10m, not {}", flag, in_quotes(text)));
  }
  return *value;
}

Outcome<NetworkOptions> network_options(const Texts& t) {
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

Outcome<TrustOptions> trust_options(const Texts& t) {
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

Outcome<Command> finish_pipe(const Texts& t) {
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

Outcome<Command> finish_tunnel(const Texts& t) {
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

Outcome<Command> finish_key_new(const Texts& t) {
  if (t.psk && t.new_identity) return usage("--psk and --identity exclude each other");
  if (t.json && t.output.empty()) {
    return usage("with --json the key needs a file of its own: -o FILE");
  }
  return KeyNewOptions{t.new_identity, t.output};
}

Outcome<Command> finish_peers(const Texts& t, PeersOptions::Action action) {
  const bool needs_key =
      action == PeersOptions::Action::add || action == PeersOptions::Action::replace;
  if (action != PeersOptions::Action::list && t.name.empty()) {
    return usage("the NAME of the peer is missing: HOST:PORT as in `sealine peers list`");
  }
  if (needs_key && t.key.empty()) return usage("the KEY of the peer is missing: its slp1 text");
  return PeersOptions{action, t.name, t.key};
}

Outcome<Command> finish_legacy(const Texts& t, bool is_sealing) {
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

/// The words of the command line; `entries` are the commands that do something.
void describe_commands(CLI::App& app, Texts& t, std::vector<Entry>& entries) {
  add_common(app, t);
  const auto command = [&](CLI::App& parent, const char* name) -> CLI::App& {
    CLI::App& sub = *parent.add_subcommand(name);
    sub.fallthrough();
    sub.set_help_flag();
    sub.require_subcommand(0, 1);
    return sub;
  };

  CLI::App& pipe = command(app, "pipe");
  pipe.add_option("-l,--listen", t.listen);
  pipe.add_option("peer", t.peer);
  pipe.add_flag("--keep", t.keep);
  add_network(pipe, t);
  add_trust(pipe, t);
  entries.push_back({&pipe, [&t] { return finish_pipe(t); }});

  CLI::App& tunnel = command(app, "tunnel");
  tunnel.add_option("--listen", t.listen);
  tunnel.add_option("--to", t.to);
  tunnel.add_option("--max-connections", t.max_connections);
  tunnel.add_flag("--unsafe-listen", t.unsafe_listen);
  add_network(tunnel, t);
  add_trust(tunnel, t);
  entries.push_back({&tunnel, [&t] { return finish_tunnel(t); }});

  CLI::App& key = command(app, "key");
  CLI::App& key_new = command(key, "new");
  key_new.add_flag("--psk", t.psk);
  key_new.add_flag("--identity", t.new_identity);
  key_new.add_option("-o,--output", t.output);
  entries.push_back({&key_new, [&t] { return finish_key_new(t); }});
  CLI::App& key_show = command(key, "show");
  key_show.add_option("file", t.file);
  key_show.add_flag("--qr", t.qr);
  entries.push_back({&key_show, [&t] { return Command(KeyShowOptions{t.file, t.qr}); }});

  CLI::App& peers = command(app, "peers");
  using Action = PeersOptions::Action;
  for (const auto& [name, action] : {std::pair{"list", Action::list},
                                     {"add", Action::add},
                                     {"replace", Action::replace},
                                     {"forget", Action::forget}}) {
    CLI::App& sub = command(peers, name);
    if (action != Action::list) sub.add_option("name", t.name);
    if (action == Action::add || action == Action::replace) sub.add_option("key", t.key);
    entries.push_back({&sub, [&t, action = action] { return finish_peers(t, action); }});
  }

  CLI::App& legacy = command(app, "legacy");
  for (const bool is_sealing : {true, false}) {
    CLI::App& sub = command(legacy, is_sealing ? "seal" : "open");
    sub.add_option("--key", t.key);
    sub.add_option("--iv", t.iv);
    sub.add_option("--role", t.role);
    if (!is_sealing) {
      sub.add_flag("--any-time", t.any_time);
      sub.add_flag("--insecure-legacy-raw", t.raw);
    }
    entries.push_back({&sub, [&t, is_sealing] { return finish_legacy(t, is_sealing); }});
  }

  CLI::App& explain = command(app, "explain");
  explain.add_option("code", t.word);
  entries.push_back({&explain, [&t]() -> Outcome<Command> {
                       if (t.word.empty()) return usage("the code is missing, such as SL-A03");
                       return ExplainOptions{t.word};
                     }});
  CLI::App& version = command(app, "version");
  entries.push_back({&version, [] { return Command(VersionOptions{}); }});
  CLI::App& help = command(app, "help");
  help.add_option("topic", t.word);
  entries.push_back({&help, [&t] { return Command(HelpOptions{t.word, false}); }});
}

Outcome<CommonOptions> common_options(const Texts& t, CommonOptions out) {
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

/// CLI11's sentence in our form.
std::string house_sentence(std::string text) {
  while (!text.empty() && (text.back() == '.' || text.back() == '\n')) text.pop_back();
  if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a') {
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  }
  std::ranges::replace(text, '\n', ' ');
  return printable(text);
}

/// The deepest command that was named.
CLI::App* innermost(CLI::App& app) {
  CLI::App* found = &app;
  while (!found->get_subcommands().empty()) found = found->get_subcommands().front();
  return found;
}

std::string name_of(CLI::App& app) {
  const auto subs = app.get_subcommands();
  return subs.empty() ? std::string() : subs.front()->get_name();
}

Outcome<Command> unexpected_word(CLI::App& app, const std::string& word) {
  CLI::App* const last = innermost(app);
  const bool is_option = word.starts_with('-') && word != "-";
  if (is_option) return usage(fmt::format("unknown option {}", in_quotes(word)));
  if (last == &app) {
    return usage(fmt::format("unknown command {}", in_quotes(word)), "sealine help lists them");
  }
  return usage(fmt::format("{} does not take {}", last->get_name(), in_quotes(word)));
}

Outcome<Command> choose(CLI::App& app, const Texts& t, const std::vector<Entry>& entries) {
  const std::string name = name_of(app);
  if (t.help) return HelpOptions{name, false};
  if (t.version) return VersionOptions{};
  const auto extras = app.remaining(true);
  if (!extras.empty()) return unexpected_word(app, extras.front());
  if (name.empty()) return HelpOptions{{}, true};
  CLI::App* const last = innermost(app);
  const auto entry = std::ranges::find(entries, last, &Entry::app);
  if (entry == entries.end()) {
    std::vector<std::string> words;
    for (const CLI::App* sub : last->get_subcommands([](CLI::App*) { return true; })) {
      words.push_back(sub->get_name());
    }
    return usage(fmt::format("{} needs one of: {}", name, fmt::join(words, ", ")));
  }
  return entry->finish();
}

}  // namespace

bool holds_secret(std::string_view argument) {
  if (is_secret(argument)) return true;
  const std::size_t equals = argument.find('=');
  if (equals != std::string_view::npos && is_secret(argument.substr(equals + 1))) return true;
  // -oSECRET and the like
  return argument.starts_with('-') && argument.size() > 2 && is_secret(argument.substr(2));
}

CommandLine parse_command_line(std::span<const std::string> arguments) {
  CommandLine out{{}, Command{HelpOptions{}}, {}};
  // As far as a broken line can tell: in which form its error is wanted.
  for (const std::string& argument : arguments) {
    if (argument == "--json") out.common.output.is_json = true;
    if (argument == "pipe") out.common.output.stdout_is_data = true;
  }
  if (std::ranges::any_of(arguments, holds_secret)) {
    out.command = failure(Errc::secret_in_arguments,
                          "a secret stands in the command line, where others can read it",
                          "put it into a file (umask 077; cat > FILE) and name that file, or - for "
                          "standard input; `sealine key new -o FILE` makes a new one");
    return out;
  }

  Texts t;
  std::vector<Entry> entries;
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  // Behind the first command, the name of another one is a word like any other (help pipe).
  app.require_subcommand(0, 1);
  describe_commands(app, t, entries);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    out.name = name_of(app);
    out.command = usage(house_sentence(error.what()));
    return out;
  }
  out.name = name_of(app);
  out.common.output.stdout_is_data = out.name == "pipe";
  auto common = common_options(t, out.common);
  if (!common) {
    out.command = std::unexpected(common.error());
    return out;
  }
  out.common = *common;
  out.command = choose(app, t, entries);
  return out;
}

}  // namespace sealine::cli
