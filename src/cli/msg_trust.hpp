#pragma once

#include "cli/exit_code.hpp"
#include "cli/failure.hpp"
#include "cli/options.hpp"
#include "cli/trust_setup.hpp"
#include "sealine/io/allow_file.hpp"
#include "sealine/io/scp_options.hpp"

#include <filesystem>
#include <memory>

namespace sealine::cli {

/// What a client of `msg` needs beside an address.
struct MsgClientSetup {
  std::shared_ptr<const io::scp::ClientOptions> options;
  std::shared_ptr<PromptRecord> prompt;
  bool is_key_given = false;  ///< --peer-key
};

/// What a listener of `msg` needs, and what it reads again at SIGHUP.
struct MsgServerSetup {
  io::scp::ServerOptions options;
  std::shared_ptr<io::AllowFile> allow;
  std::filesystem::path psk_file;
  bool is_anonymous = false;
};

/// XX; with --peer-key IK, with --psk-file NNpsk0, with both IKpsk2; with --anonymous NN. Reads
/// files and may make the identity. Errors: bad_configuration, and those of the files.
[[nodiscard]] Outcome<MsgClientSetup> set_up_msg_client(const MsgOptions& options,
                                                        const CommonOptions& common);

/// XX and IK; with --psk-file NNpsk0 and IKpsk2 (with --allow too IKpsk2 alone); with --anonymous
/// NN.
[[nodiscard]] Outcome<MsgServerSetup> set_up_msg_server(const MsgOptions& options,
                                                        const CommonOptions& common);

/// The allow file and the shared secrets once more. Where one cannot be read, the old ones stay.
[[nodiscard]] Outcome<> reload(MsgServerSetup& setup);

}  // namespace sealine::cli
