// sealine peers list | add | replace | forget
#include "cli/commands.hpp"
#include "cli/exit_code.hpp"
#include "cli/text.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/known_peers.hpp"
#include "sealine/io/state_dir.hpp"

#include <fmt/format.h>

#include <string>

namespace sealine::cli {
namespace {

Failure file_failure(const Error& error, const std::filesystem::path& file) {
  Failure out{error, fmt::format("{} cannot be used", in_quotes(file.string())), {}, {}, {}};
  if (error.code == Errc::bad_file_line) {
    out.text = fmt::format("{} has a line that cannot be read", in_quotes(file.string()));
    out.hint = "correct or remove that line; comments begin with #";
  }
  return out;
}

void show(const io::KnownKey& line, Output& output) {
  crypto::Engine& engine = io::thread_engine();
  const std::string key = crypto::public_key_text(engine, line.key);
  const std::string fingerprint = crypto::fingerprint(engine, line.key);
  output.data(fmt::format("{} {} {} {}{}{}\n", line.peer, key, line.first_seen, fingerprint,
                          line.name.empty() ? "" : " ", printable(line.name)));
  output.event("peer", {{"peer", line.peer},
                        {"key", key},
                        {"fingerprint", fingerprint},
                        {"first_seen", line.first_seen},
                        {"name", line.name}});
}

Outcome<> list(const io::KnownPeers& file, Output& output) {
  const auto lines = file.list();
  if (!lines) return std::unexpected(file_failure(lines.error(), file.file()));
  for (const io::KnownKey& line : *lines) show(line, output);
  if (lines->empty()) output.say("no peer is known yet");
  return {};
}

Outcome<> set_key(io::KnownPeers& file, const std::string& peer, const PeersOptions& options,
                  Output& output) {
  const auto key = crypto::parse_public_key(io::thread_engine(), options.key);
  if (!key) {
    return failure(key.error(), fmt::format("{} is no public key", in_quotes(options.key)),
                   "it has 60 letters and begins with slp1; `sealine key show` prints it there");
  }
  if (options.action == PeersOptions::Action::replace) {
    if (const auto done = file.replace(peer, *key); !done) {
      return std::unexpected(file_failure(done.error(), file.file()));
    }
    output.say(fmt::format("{} is now known by this key alone", peer));
    return {};
  }
  if (const auto done = file.add(peer, *key); !done) {
    if (done.error().code == Errc::usage) {
      return usage(fmt::format("{} has a key already", peer),
                   fmt::format("sealine peers replace {} {}", shell_word(peer), options.key));
    }
    return std::unexpected(file_failure(done.error(), file.file()));
  }
  output.say(fmt::format("{} is now known by this key", peer));
  return {};
}

Outcome<> forget(io::KnownPeers& file, const std::string& peer, Output& output) {
  const auto count = file.forget(peer);
  if (!count) return std::unexpected(file_failure(count.error(), file.file()));
  if (*count == 0) {
    return usage(fmt::format("nothing is known of {}", peer), "sealine peers list");
  }
  output.say(fmt::format("{} is forgotten: the next contact is a first one", peer));
  return {};
}

Outcome<> act(const PeersOptions& options, const CommonOptions& common, Output& output) {
  using Action = PeersOptions::Action;
  const bool is_list = options.action == Action::list;
  const auto directory =
      is_list ? io::state_dir_path(common.state_dir) : io::open_state_dir(common.state_dir);
  if (!directory) {
    return failure(directory.error(), "the state directory cannot be used",
                   "name another one: --state-dir DIR");
  }
  io::KnownPeers file(*directory / "known_peers");
  if (is_list) return list(file, output);
  const auto peer = io::parse_peer_name(options.name);
  if (!peer) {
    return usage(fmt::format("{} is no NAME: HOST:PORT is one", in_quotes(options.name)));
  }
  if (options.action == Action::forget) return forget(file, *peer, output);
  return set_key(file, *peer, options, output);
}

}  // namespace

int run_peers(const PeersOptions& options, const CommonOptions& common, Output& output) {
  if (const auto done = act(options, common, output); !done) return give_up(done.error(), output);
  output.done(kExitDone, {});
  return kExitDone;
}

}  // namespace sealine::cli
