#pragma once

#include "cli/exit_code.hpp"
#include "cli/failure.hpp"
#include "cli/options.hpp"
#include "sealine/io/allow_file.hpp"
#include "sealine/io/stcp_options.hpp"
#include "sealine/io/trust.hpp"

#include <atomic>
#include <filesystem>
#include <memory>

namespace sealine::cli {

/// Why a question about a stranger was not answered with yes.
struct PromptRecord {
  std::atomic<bool> could_not_ask = false;  ///< standard input is no terminal
  std::atomic<bool> was_declined = false;
};

/// What a client needs beside an address.
struct ClientSetup {
  std::shared_ptr<const io::stcp::ClientOptions> options;
  Proof proof = Proof::none;
  std::shared_ptr<PromptRecord> prompt;
  bool is_key_given = false;  ///< --peer-key
};

/// What a listener needs, and what it reads again at SIGHUP.
struct ServerSetup {
  std::shared_ptr<const io::stcp::ServerOptions> options;
  std::shared_ptr<io::AllowFile> allow;
  std::filesystem::path psk_file;
  bool is_anonymous = false;
  bool is_open_to_all = false;  ///< clients may prove nothing
};

/// The flags of one who dials. Reads files and may make the identity.
/// Errors: bad_configuration, and those of the files.
[[nodiscard]] Outcome<ClientSetup> set_up_client(const TrustOptions& trust,
                                                 const NetworkOptions& network,
                                                 const CommonOptions& common, Output& output);

/// The flags of a listener, likewise.
[[nodiscard]] Outcome<ServerSetup> set_up_server(const TrustOptions& trust,
                                                 const NetworkOptions& network,
                                                 const CommonOptions& common);

// The parts of these, for a protocol with options of its own.

/// The file with shared secrets, if that is the way of this run: a flag for another way wins over
/// the environment. Empty: there is none.
[[nodiscard]] std::filesystem::path psk_path(const TrustOptions& trust);

/// --identity, else that of the state directory, made at first need.
[[nodiscard]] Outcome<std::shared_ptr<const crypto::KeyPair>> load_identity(
    const TrustOptions& trust, const CommonOptions& common);

/// --peer-key. Errors: bad_key_text.
[[nodiscard]] Outcome<crypto::PublicKey> given_key(const TrustOptions& trust);

/// Who judges a server's key: --peer-key, else known_peers under --trust.
[[nodiscard]] Outcome<std::shared_ptr<io::Trust>> client_trust(
    const TrustOptions& trust, const CommonOptions& common, std::shared_ptr<PromptRecord> record);

/// Who judges a client's key: --allow (which `allow` is then), else known_clients under --trust.
[[nodiscard]] Outcome<std::shared_ptr<io::Trust>> server_trust(
    const TrustOptions& trust, const CommonOptions& common, std::shared_ptr<io::AllowFile>& allow);

/// The allow file and the shared secrets once more. Where one cannot be read, the old ones stay.
[[nodiscard]] Outcome<> reload(ServerSetup& setup);

}  // namespace sealine::cli
