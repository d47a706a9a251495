#include "cli/command_line.hpp"

#include "cli/option_texts.hpp"
#include "cli/text.hpp"

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

void add_common(CLI::App& app, OptionTexts& t) {
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

void add_network(CLI::App& app, OptionTexts& t) {
  app.add_flag("-4", t.v4);
  app.add_flag("-6", t.v6);
  app.add_option("--handshake-timeout", t.handshake_timeout);
  app.add_option("--idle-timeout", t.idle_timeout);
  app.add_option("--retry", t.retry);
  app.add_option("--limit-rate", t.limit_rate);
}

/// What all that shake hands know; --mutual is no choice where it is always so.
void add_trust(CLI::App& app, OptionTexts& t) {
  app.add_option("--trust", t.trust);
  app.add_option("--peer-key", t.peer_key);
  app.add_option("--identity", t.identity);
  app.add_option("--allow", t.allow);
  app.add_option("--psk-file", t.psk_file);
  app.add_flag("--anonymous", t.anonymous);
  app.add_option("--pad", t.pad);
}

/// Who is at the other end of a transfer: keys that both show, or one that both hold.
void add_transfer_trust(CLI::App& app, OptionTexts& t) {
  app.add_option("--trust", t.trust);
  app.add_option("--peer-key", t.peer_key);
  app.add_option("--identity", t.identity);
  app.add_option("--allow", t.allow);
  app.add_option("--key", t.transfer.keys)->allow_extra_args(false);
  app.add_option("--progress", t.transfer.progress);
}

void add_send(CLI::App& app, OptionTexts& t) {
  TransferTexts& x = t.transfer;
  app.add_option("words", x.words);
  app.add_option("--name", x.input_name)->each([&x](const std::string&) { x.has_name = true; });
  app.add_option("--block", x.block);
  app.add_option("--lanes", x.lanes);
  app.add_option("--compress", x.compress);
  app.add_option("--exclude", x.exclude)->allow_extra_args(false);
  app.add_flag("--dry-run", x.dry_run);
  add_network(app, t);
  add_transfer_trust(app, t);
}

void add_recv(CLI::App& app, OptionTexts& t) {
  TransferTexts& x = t.transfer;
  app.add_option("-l,--listen", t.listen);
  app.add_option("--on-conflict", x.on_conflict);
  app.add_flag("--once", x.once);
  app.add_flag("--per-sender", x.per_sender);
  app.add_option("--quota", x.quota);
  app.add_option("--hook", x.hook)->each([&x](const std::string&) { x.has_hook = true; });
  app.add_flag("--require-clock", x.require_clock);
  app.add_flag("--any-links", x.any_links);
  app.add_flag("--list", x.list);
  app.add_flag("--discard", x.discard);
  add_network(app, t);
  add_transfer_trust(app, t);
}

/// What both commands of STT sessions know.
void add_stt(CLI::App& app, OptionTexts& t) {
  app.add_option("--seed-file", t.stt.seed_file);
  app.add_option("--pad", t.pad);
  app.add_option("--origin", t.stt.origins)->allow_extra_args(false);
  app.add_flag("--unsafe-listen", t.unsafe_listen);
  add_network(app, t);
}

/// A command with all its options, and how they become its values.
struct Entry {
  CLI::App* app;
  std::function<Outcome<Command>()> finish;
};

/// The words of the command line; `entries` are the commands that do something.
void describe_commands(CLI::App& app, OptionTexts& t, std::vector<Entry>& entries) {
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
  pipe.add_flag("--mutual", t.mutual);
  add_network(pipe, t);
  add_trust(pipe, t);
  entries.push_back({&pipe, [&t] { return pipe_options(t); }});

  CLI::App& tunnel = command(app, "tunnel");
  tunnel.add_option("--listen", t.listen);
  tunnel.add_option("--to", t.to);
  tunnel.add_option("--max-connections", t.max_connections);
  tunnel.add_flag("--unsafe-listen", t.unsafe_listen);
  tunnel.add_flag("--mutual", t.mutual);
  add_network(tunnel, t);
  add_trust(tunnel, t);
  entries.push_back({&tunnel, [&t] { return tunnel_options(t); }});

  CLI::App& msg = command(app, "msg");
  msg.add_option("-l,--listen", t.listen);
  msg.add_option("peer", t.peer);
  CLI::Option* const exec = msg.add_option("--exec", t.command);
  msg.add_flag("--receipts", t.receipts);
  msg.add_flag("--reconnect", t.reconnect);
  msg.add_option("--rotate-bytes", t.rotate_bytes);
  msg.add_option("--rotate-after", t.rotate_after);
  msg.add_option("--max-rate", t.max_rate);
  add_network(msg, t);
  add_trust(msg, t);
  entries.push_back({&msg, [&t, exec] {
                       t.has_command = exec->count() > 0;
                       return msg_options(t);
                     }});

  for (const bool is_link : {false, true}) {
    CLI::App& send = command(app, is_link ? "stx-send" : "send");
    add_send(send, t);
    entries.push_back({&send, [&t, is_link]() -> Outcome<Command> {
                         SEALINE_TRY(out, is_link ? stx_send_options(t) : send_options(t));
                         return out;
                       }});
    CLI::App& recv = command(app, is_link ? "stx-recv" : "recv");
    add_recv(recv, t);
    if (is_link) {
      recv.add_option("--out", t.transfer.out);
    } else {
      recv.add_option("words", t.transfer.words);
    }
    entries.push_back({&recv, [&t, is_link]() -> Outcome<Command> {
                         SEALINE_TRY(out, is_link ? stx_recv_options(t) : recv_options(t));
                         return out;
                       }});
  }

  CLI::App& stt = command(app, "stt");
  using Role = SttOptions::Role;
  for (const auto& [name, role] : {std::pair{"listen", Role::listen},
                                   {"connect", Role::connect},
                                   {"forward", Role::forward}}) {
    CLI::App& sub = command(stt, name);
    sub.add_option("url", t.stt.url);
    sub.add_flag("--passphrase", t.stt.passphrase);
    sub.add_flag("--echo", t.stt.echo);
    sub.add_option("--exec", t.stt.command)->each([&t](const std::string&) {
      t.stt.has_command = true;
    });
    sub.add_option("--forward", t.stt.targets)->allow_extra_args(false);
    sub.add_option("--congestion", t.stt.congestion);
    sub.add_option("--mtu", t.stt.mtu);
    sub.add_option("--workers", t.stt.workers);
    if (role == Role::forward) {
      sub.add_option("-L", t.stt.forwards)->allow_extra_args(false);
    }
    add_stt(sub, t);
    entries.push_back({&sub, [&t, chosen = role] { return stt_options(t, chosen); }});
  }

  CLI::App& web = command(app, "web");
  web.add_option("-l,--listen", t.listen);
  web.add_flag("--new-seed", t.stt.new_seed);
  web.add_option("--dir", t.stt.dir)->each([&t](const std::string&) { t.stt.has_dir = true; });
  add_stt(web, t);
  entries.push_back({&web, [&t] { return web_options(t); }});

  CLI::App& key = command(app, "key");
  CLI::App& key_new = command(key, "new");
  key_new.add_flag("--psk", t.psk);
  key_new.add_flag("--identity", t.new_identity);
  key_new.add_option("-o,--output", t.output);
  entries.push_back({&key_new, [&t] { return key_new_options(t); }});
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
    entries.push_back({&sub, [&t, chosen = action] { return peers_options(t, chosen); }});
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
    entries.push_back({&sub, [&t, is_sealing] { return legacy_options(t, is_sealing); }});
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

/// CLI11's sentence in our form.
std::string house_sentence(std::string text) {
  while (!text.empty() && (text.back() == '.' || text.back() == '\n')) text.pop_back();
  if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a') {
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  }
  std::ranges::replace(text, '\n', ' ');
  return printable(text);
}

/// The command line as somebody would type it.
std::string typed_again(std::span<const std::string> arguments) {
  const bool is_link = !arguments.empty() && arguments[0].starts_with("stx-");
  std::string text = is_link ? "" : "sealine";
  for (const std::string& argument : arguments) {
    if (!text.empty()) text += ' ';
    text += shell_word(argument);
  }
  return text;
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

Outcome<Command> choose(CLI::App& app, const OptionTexts& t, const std::vector<Entry>& entries) {
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
    if (argument == "pipe" || argument == "stt") out.common.output.stdout_is_data = true;
  }
  if (std::ranges::any_of(arguments, holds_secret)) {
    out.command = failure(Errc::secret_in_arguments,
                          "a secret stands in the command line, where others can read it",
                          "put it into a file (umask 077; cat > FILE) and name that file, or - for "
                          "standard input; `sealine key new -o FILE` makes a new one");
    return out;
  }

  OptionTexts t;
  t.transfer.command_line = typed_again(arguments);
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
  out.common.output.stdout_is_data = out.name == "pipe" || out.name == "stt";
  auto common = common_options(t, out.common);
  if (!common) {
    out.command = std::unexpected(common.error());
    return out;
  }
  out.common = *common;
  out.command = choose(app, t, entries);
  // Those of stt that serve have no data for standard output.
  if (const auto* stt = out.command ? std::get_if<SttOptions>(&*out.command) : nullptr) {
    out.common.output.stdout_is_data =
        stt->role != SttOptions::Role::forward &&
        (stt->role == SttOptions::Role::connect || stt->work == SttOptions::Work::standard);
  }
  return out;
}

}  // namespace sealine::cli
