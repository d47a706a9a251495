#include "cli/run.hpp"

#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/process.hpp"
#include "sealine/io/engine.hpp"

#include <exception>
#include <new>
#include <variant>

namespace sealine::cli {
namespace {

struct Dispatch {
  const CommonOptions& common;
  Output& output;

  int operator()(const HelpOptions& o) const { return run_help(o, output); }

  int operator()(const VersionOptions& o) const { return run_version(o, output); }

  int operator()(const ExplainOptions& o) const { return run_explain(o, output); }

  int operator()(const KeyNewOptions& o) const { return run_key_new(o, output); }

  int operator()(const KeyShowOptions& o) const { return run_key_show(o, common, output); }

  int operator()(const PeersOptions& o) const { return run_peers(o, common, output); }

  int operator()(const LegacyOptions& o) const { return run_legacy(o, output); }

  int operator()(const PipeOptions& o) const { return run_pipe(o, common, output); }

  int operator()(const TunnelOptions& o) const { return run_tunnel(o, common, output); }

  int operator()(const MsgOptions& o) const { return run_msg(o, common, output); }

  int operator()(const SendOptions& o) const { return run_send(o, common, output); }

  int operator()(const RecvOptions& o) const { return run_recv(o, common, output); }

  int operator()(const SttOptions& o) const { return run_stt(o, common, output); }

  int operator()(const WebOptions& o) const { return run_web(o, common, output); }
};

/// SEALINE_CRYPTO with a word that means nothing here must not become another engine unsaid.
Outcome<> check_engine() {
  if (io::engine_choice_from_environment()) return {};
  return failure(Errc::bad_configuration,
                 "SEALINE_CRYPTO names a crypto engine that is not to be had here",
                 "auto, ipsec-mb or openssl; without it the fastest one is taken");
}

}  // namespace

int run(std::span<const std::string> arguments) {
  harden_process();
  CommandLine line = parse_command_line(arguments);
  Output output(line.common.output);
  try {
    if (line.command) {
      if (const auto engine = check_engine(); !engine) return give_up(engine.error(), output);
      return std::visit(Dispatch{line.common, output}, *line.command);
    }
    Failure why = line.command.error();
    if (why.hint.empty()) {
      why.hint = line.name.empty() ? "sealine help" : "sealine help " + line.name;
    }
    return give_up(why, output);
  } catch (const std::bad_alloc&) {
    return give_up({{Errc::system_error}, "out of memory", {}, {}, {}}, output);
  } catch (const std::exception& error) {
    return give_up({{Errc::system_error}, error.what(), {}, {}, {}}, output);
  }
}

}  // namespace sealine::cli
