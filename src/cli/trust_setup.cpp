#include "cli/trust_setup.hpp"

#include "cli/prompt.hpp"
#include "cli/secret_files.hpp"
#include "cli/text.hpp"
#include "sealine/crypto/key_text.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/identity.hpp"
#include "sealine/io/secret_file.hpp"
#include "sealine/io/trust.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>

namespace sealine::cli {
namespace {

using io::stcp::ClientOptions;
using io::stcp::ServerOptions;
using stcp::Mode;

/// While the user has not asked for an end of idle connections, life is shown often enough for
/// the far end and for every box between.
constexpr Duration kPingInterval = std::chrono::seconds(25);

std::filesystem::path from_environment() {
  if (const char* const named = std::getenv("SEALINE_PSK_FILE"); named != nullptr && *named != 0) {
    return named;
  }
  if (const char* const directory = std::getenv("CREDENTIALS_DIRECTORY");
      directory != nullptr && *directory != 0) {
    std::filesystem::path path = std::filesystem::path(directory) / "sealine.key";
    std::error_code ec;
    if (std::filesystem::exists(path, ec)) return path;
  }
  return {};
}

stcp::Limits limits_of(const NetworkOptions& network) {
  stcp::Limits limits;
  limits.handshake_timeout = network.handshake_timeout;
  if (network.idle_timeout) {
    limits.idle_timeout = *network.idle_timeout;
  } else {
    limits.ping_interval = kPingInterval;
  }
  return limits;
}

/// Flags that exclude each other at either end.
Outcome<> check_together(const TrustOptions& trust) {
  struct Flag {
    bool is_on;
    std::string_view name;
  };

  const std::array ways{Flag{trust.anonymous, "--anonymous"},
                        Flag{!trust.psk_file.empty(), "--psk-file"},
                        Flag{trust.mutual, "--mutual"}};
  const std::array keys{
      Flag{!trust.peer_key.empty(), "--peer-key"}, Flag{!trust.allow.empty(), "--allow"},
      Flag{trust.policy.has_value(), "--trust"}, Flag{!trust.identity.empty(), "--identity"}};
  const auto clash = [](std::string_view a, std::string_view b) {
    return failure(Errc::bad_configuration, fmt::format("{} and {} exclude each other", a, b),
                   "sealine help trust");
  };
  for (std::size_t i = 0; i < ways.size(); ++i) {
    for (std::size_t j = i + 1; j < ways.size(); ++j) {
      if (ways.at(i).is_on && ways.at(j).is_on) return clash(ways.at(i).name, ways.at(j).name);
    }
  }
  const bool has_no_keys = trust.anonymous || !trust.psk_file.empty();
  for (const Flag& flag : keys) {
    if (has_no_keys && flag.is_on) {
      return clash(trust.anonymous ? "--anonymous" : "--psk-file", flag.name);
    }
  }
  return {};
}

Outcome<std::vector<stcp::ServerPsk>> load_psks(const std::filesystem::path& path) {
  auto psks = io::read_psk_file(path);
  if (!psks) {
    return std::unexpected(secret_file_failure(psks.error(), path, "the shared secret"));
  }
  std::vector<stcp::ServerPsk> out;
  out.reserve(psks->size());
  for (io::NamedPsk& psk : *psks) {
    out.push_back(stcp::ServerPsk::make(io::thread_engine(), std::move(psk.psk)));
  }
  return out;
}

stcp::ModeSet modes_of(const TrustOptions& trust, bool has_psk) {
  if (trust.anonymous) return {Mode::anonymous};
  if (has_psk) return {Mode::psk};
  const bool refuses_strangers =
      trust.policy.has_value() && *trust.policy != io::TrustPolicy::first;
  if (trust.mutual || !trust.allow.empty() || refuses_strangers) return {Mode::mutual};
  return {Mode::tofu, Mode::mutual};
}

}  // namespace

std::filesystem::path psk_path(const TrustOptions& trust) {
  if (!trust.psk_file.empty()) return trust.psk_file;
  const bool is_decided = trust.anonymous || trust.mutual || !trust.peer_key.empty() ||
                          !trust.allow.empty() || trust.policy.has_value();
  return is_decided ? std::filesystem::path() : from_environment();
}

Outcome<std::shared_ptr<const crypto::KeyPair>> load_identity(const TrustOptions& trust,
                                                              const CommonOptions& common) {
  auto pair = trust.identity.empty() ? io::open_default_identity(common.state_dir)
                                     : io::read_identity(trust.identity);
  if (!pair) {
    const std::filesystem::path path =
        trust.identity.empty() ? common.state_dir / "identity" : trust.identity;
    return std::unexpected(secret_file_failure(pair.error(), path, "the identity"));
  }
  return std::make_shared<const crypto::KeyPair>(std::move(*pair));
}

Outcome<crypto::PublicKey> given_key(const TrustOptions& trust) {
  const auto key = crypto::parse_public_key(io::thread_engine(), trust.peer_key);
  if (!key) {
    return failure(key.error(),
                   fmt::format("--peer-key {} is no public key", in_quotes(trust.peer_key)),
                   "it has 60 letters and begins with slp1; `sealine key show` prints it there");
  }
  return *key;
}

Outcome<std::shared_ptr<io::Trust>> client_trust(const TrustOptions& trust,
                                                 const CommonOptions& common,
                                                 std::shared_ptr<PromptRecord> record) {
  if (!trust.peer_key.empty()) {
    SEALINE_TRY(key, given_key(trust));
    return std::make_shared<io::GivenKeyTrust>(std::vector{key});
  }
  auto made =
      io::default_client_trust(trust.policy.value_or(io::TrustPolicy::first),
                               make_prompt(common.yes, std::move(record)), common.state_dir);
  if (!made) {
    return failure(made.error(), "the state directory cannot be used",
                   "name another one with --state-dir DIR, or give the key: --peer-key slp1...");
  }
  return std::move(*made);
}

Outcome<std::shared_ptr<io::Trust>> server_trust(const TrustOptions& trust,
                                                 const CommonOptions& common,
                                                 std::shared_ptr<io::AllowFile>& allow) {
  if (!trust.allow.empty()) {
    auto opened = io::AllowFile::open(trust.allow);
    if (!opened) {
      return std::unexpected(secret_file_failure(opened.error(), trust.allow, "the allow list"));
    }
    allow = *opened;
    return std::make_shared<io::AllowFileTrust>(allow);
  }
  auto judge = io::default_server_trust(trust.policy.value_or(io::TrustPolicy::first),
                                        make_prompt(common.yes, std::make_shared<PromptRecord>()),
                                        common.state_dir);
  if (!judge) {
    return failure(judge.error(), "the state directory cannot be used",
                   "name another one with --state-dir DIR");
  }
  return std::move(*judge);
}

Outcome<ClientSetup> set_up_client(const TrustOptions& trust, const NetworkOptions& network,
                                   const CommonOptions& common, Output& output) {
  SEALINE_TRY(check_together(trust));
  if (!trust.allow.empty()) {
    return failure(Errc::bad_configuration, "--allow is for the listener",
                   "one who dials says with --peer-key whom to accept");
  }
  ClientSetup setup;
  setup.prompt = std::make_shared<PromptRecord>();
  setup.is_key_given = !trust.peer_key.empty();
  auto options = std::make_shared<ClientOptions>();
  options->family = network.family;
  options->protocol.limits = limits_of(network);
  options->protocol.padding = trust.padding;

  const std::filesystem::path psk_file = psk_path(trust);
  if (trust.anonymous) {
    options->protocol.mode = Mode::anonymous;
  } else if (!psk_file.empty()) {
    auto psk = io::read_one_psk_file(psk_file);
    if (!psk) {
      return std::unexpected(secret_file_failure(psk.error(), psk_file, "the shared secret"));
    }
    options->protocol.mode = Mode::psk;
    options->protocol.psk = std::make_shared<const crypto::Psk>(std::move(psk->psk));
    setup.proof = Proof::secret;
  } else {
    options->protocol.mode = trust.mutual ? Mode::mutual : Mode::tofu;
    SEALINE_TRY(judge, client_trust(trust, common, setup.prompt));
    options->trust = judge;
  }
  if (trust.mutual) {
    SEALINE_TRY(identity, load_identity(trust, common));
    options->protocol.identity = identity;
    setup.proof = Proof::secret;
  } else if (!trust.identity.empty()) {
    output.warn("--identity is not shown to the peer without --mutual");
  }
  setup.options = std::move(options);
  return setup;
}

Outcome<ServerSetup> set_up_server(const TrustOptions& trust, const NetworkOptions& network,
                                   const CommonOptions& common) {
  SEALINE_TRY(check_together(trust));
  if (!trust.peer_key.empty()) {
    return failure(Errc::bad_configuration, "--peer-key is for one who dials",
                   "a listener says with --allow FILE whom to accept");
  }
  ServerSetup setup;
  setup.psk_file = psk_path(trust);
  setup.is_anonymous = trust.anonymous;
  auto options = std::make_shared<ServerOptions>();
  options->protocol.limits = limits_of(network);
  options->protocol.padding = trust.padding;
  options->protocol.modes = modes_of(trust, !setup.psk_file.empty());
  setup.is_open_to_all = options->protocol.modes.contains(Mode::tofu);
  if (!setup.psk_file.empty()) {
    SEALINE_TRY(psks, load_psks(setup.psk_file));
    options->protocol.psks = std::move(psks);
  }
  if (options->protocol.modes.contains(Mode::mutual)) {
    SEALINE_TRY(identity, load_identity(trust, common));
    options->protocol.identity = identity;
    SEALINE_TRY(judge, server_trust(trust, common, setup.allow));
    options->trust = judge;
  }
  setup.options = std::move(options);
  return setup;
}

Outcome<> reload(ServerSetup& setup) {
  if (setup.allow) {
    if (const auto read = setup.allow->reload(); !read) {
      return failure(read.error(), "the allow file was not read again: the old list stays");
    }
  }
  if (!setup.psk_file.empty() && setup.psk_file != "-") {
    SEALINE_TRY(psks, load_psks(setup.psk_file));
    auto options = std::make_shared<ServerOptions>();
    const ServerOptions& old = *setup.options;
    options->trust = old.trust;
    options->batching = old.batching;
    options->probe_resist = old.probe_resist;
    options->protocol.modes = old.protocol.modes;
    options->protocol.identity = old.protocol.identity;
    options->protocol.limits = old.protocol.limits;
    options->protocol.padding = old.protocol.padding;
    options->protocol.psks = std::move(psks);
    setup.options = std::move(options);
  }
  return {};
}

}  // namespace sealine::cli
