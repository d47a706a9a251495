#pragma once

#include "cli/options.hpp"
#include "cli/output.hpp"

namespace sealine::cli {

// One function a command, each in a file of its own. They return the exit code; what went wrong
// was told before.

[[nodiscard]] int run_help(const HelpOptions& options, Output& output);
[[nodiscard]] int run_version(const VersionOptions& options, Output& output);
[[nodiscard]] int run_explain(const ExplainOptions& options, Output& output);
[[nodiscard]] int run_key_new(const KeyNewOptions& options, Output& output);
[[nodiscard]] int run_key_show(const KeyShowOptions& options, const CommonOptions& common,
                               Output& output);
[[nodiscard]] int run_peers(const PeersOptions& options, const CommonOptions& common,
                            Output& output);
[[nodiscard]] int run_legacy(const LegacyOptions& options, Output& output);
[[nodiscard]] int run_pipe(const PipeOptions& options, const CommonOptions& common, Output& output);
[[nodiscard]] int run_msg(const MsgOptions& options, const CommonOptions& common, Output& output);
[[nodiscard]] int run_send(const SendOptions& options, const CommonOptions& common, Output& output);
[[nodiscard]] int run_recv(const RecvOptions& options, const CommonOptions& common, Output& output);
[[nodiscard]] int run_stt(const SttOptions& options, const CommonOptions& common, Output& output);
[[nodiscard]] int run_web(const WebOptions& options, const CommonOptions& common, Output& output);
[[nodiscard]] int run_tunnel(const TunnelOptions& options, const CommonOptions& common,
                             Output& output);

/// Tells a failure before any connection and gives its exit code.
[[nodiscard]] int give_up(const Failure& failure, Output& output);

}  // namespace sealine::cli
