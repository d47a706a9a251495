#include "cli/msg_trust.hpp"

#include "cli/secret_files.hpp"
#include "sealine/io/secret_file.hpp"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace sealine::cli {
namespace {

using scp::Mode;

/// Flags that exclude each other at either end.
Outcome<> check_together(const TrustOptions& trust) {
  struct Flag {
    bool is_on;
    std::string_view name;
  };

  const bool has_psk_alone = !trust.psk_file.empty() && trust.peer_key.empty();
  const std::array flags{
      Flag{!trust.psk_file.empty(), "--psk-file"}, Flag{!trust.peer_key.empty(), "--peer-key"},
      Flag{!trust.allow.empty(), "--allow"}, Flag{trust.policy.has_value(), "--trust"},
      Flag{!trust.identity.empty(), "--identity"}};
  for (const Flag& flag : flags) {
    if (trust.anonymous && flag.is_on) {
      return failure(Errc::bad_configuration,
                     fmt::format("--anonymous and {} exclude each other", flag.name),
                     "sealine help trust");
    }
  }
  if (has_psk_alone && trust.policy) {
    return failure(Errc::bad_configuration, "--psk-file and --trust exclude each other",
                   "sealine help trust");
  }
  return {};
}

scp::Limits limits_of(const MsgOptions& options) {
  scp::Limits limits;
  limits.handshake_timeout = options.network.handshake_timeout;
  limits.rotate_bytes = options.rotate_bytes;
  limits.rotate_after = options.rotate_after;
  limits.max_messages_per_second = options.max_rate;
  return limits;
}

Outcome<std::vector<std::shared_ptr<const crypto::Psk>>> load_psks(
    const std::filesystem::path& path) {
  auto psks = io::read_psk_file(path);
  if (!psks) {
    return std::unexpected(secret_file_failure(psks.error(), path, "the shared secret"));
  }
  if (psks->size() > scp::kMaxPsks) {
    return failure(Errc::bad_configuration,
                   fmt::format("{} holds {} shared secrets; a listener of msg tries {} at most",
                               path.string(), psks->size(), scp::kMaxPsks));
  }
  std::vector<std::shared_ptr<const crypto::Psk>> out;
  out.reserve(psks->size());
  for (io::NamedPsk& psk : *psks) {
    out.push_back(std::make_shared<const crypto::Psk>(std::move(psk.psk)));
  }
  return out;
}

}  // namespace

Outcome<MsgClientSetup> set_up_msg_client(const MsgOptions& options, const CommonOptions& common) {
  const TrustOptions& trust = options.trust;
  SEALINE_TRY(check_together(trust));
  if (!trust.allow.empty()) {
    return failure(Errc::bad_configuration, "--allow is for the listener",
                   "one who dials says with --peer-key whom to accept");
  }
  const std::filesystem::path psk_file = psk_path(trust);
  const bool has_key = !trust.peer_key.empty();
  if (!psk_file.empty() && !has_key && !trust.identity.empty()) {
    return failure(Errc::bad_configuration,
                   "--identity is not shown to the peer with --psk-file alone",
                   "with --peer-key too both the key and the secret are proved");
  }
  MsgClientSetup setup;
  setup.prompt = std::make_shared<PromptRecord>();
  setup.is_key_given = has_key;
  auto made = std::make_shared<io::scp::ClientOptions>();
  made->family = options.network.family;
  made->protocol.limits = limits_of(options);
  made->protocol.reconnect = options.reconnect;
  if (trust.anonymous) {
    made->protocol.mode = Mode::anonymous;
  } else if (!psk_file.empty()) {
    auto psk = io::read_one_psk_file(psk_file);
    if (!psk) {
      return std::unexpected(secret_file_failure(psk.error(), psk_file, "the shared secret"));
    }
    made->protocol.mode = has_key ? Mode::pinned_psk : Mode::psk;
    made->protocol.psk = std::make_shared<const crypto::Psk>(std::move(psk->psk));
  } else {
    made->protocol.mode = has_key ? Mode::pinned : Mode::mutual;
  }
  if (has_key) {
    SEALINE_TRY(key, given_key(trust));
    made->protocol.server_key = key;
  } else if (made->protocol.mode == Mode::mutual) {
    SEALINE_TRY(judge, client_trust(trust, common, setup.prompt));
    made->trust = judge;
  }
  if (made->protocol.mode != Mode::anonymous && made->protocol.mode != Mode::psk) {
    SEALINE_TRY(identity, load_identity(trust, common));
    made->protocol.identity = identity;
  }
  setup.options = std::move(made);
  return setup;
}

Outcome<MsgServerSetup> set_up_msg_server(const MsgOptions& options, const CommonOptions& common) {
  const TrustOptions& trust = options.trust;
  SEALINE_TRY(check_together(trust));
  if (!trust.peer_key.empty()) {
    return failure(Errc::bad_configuration, "--peer-key is for one who dials",
                   "a listener says with --allow FILE whom to accept");
  }
  MsgServerSetup setup;
  setup.psk_file = psk_path(trust);
  setup.is_anonymous = trust.anonymous;
  scp::ServerConfig& protocol = setup.options.protocol;
  protocol.limits = limits_of(options);
  protocol.reconnect = true;
  if (trust.anonymous) {
    protocol.modes = {Mode::anonymous};
    return setup;
  }
  if (setup.psk_file.empty()) {
    protocol.modes = {Mode::mutual, Mode::pinned};
  } else {
    SEALINE_TRY(psks, load_psks(setup.psk_file));
    protocol.psks = std::move(psks);
    protocol.modes = {Mode::pinned_psk};
    if (trust.allow.empty()) protocol.modes.push_back(Mode::psk);
  }
  SEALINE_TRY(identity, load_identity(trust, common));
  protocol.identity = identity;
  SEALINE_TRY(judge, server_trust(trust, common, setup.allow));
  setup.options.trust = judge;
  return setup;
}

Outcome<> reload(MsgServerSetup& setup) {
  if (setup.allow) {
    if (const auto read = setup.allow->reload(); !read) {
      return failure(read.error(), "the allow file was not read again: the old list stays");
    }
  }
  if (!setup.psk_file.empty() && setup.psk_file != "-") {
    SEALINE_TRY(psks, load_psks(setup.psk_file));
    setup.options.protocol.psks = std::move(psks);
  }
  return {};
}

}  // namespace sealine::cli
