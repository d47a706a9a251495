#pragma once

#include "cli/failure.hpp"
#include "cli/options.hpp"

#include <span>
#include <string>

namespace sealine::cli {

/// What the arguments ask for. `common` is as good as it could be read, also where the command is
/// a failure, so that the failure is told in the right form.
struct CommandLine {
  CommonOptions common;
  Outcome<Command> command;
  std::string name;  ///< of the command, for a hint; may be empty
};

/// Reads the arguments (without the program's name). Nothing is opened and nobody is asked.
[[nodiscard]] CommandLine parse_command_line(std::span<const std::string> arguments);

/// Whether an argument, or what stands behind its `=`, is a secret in text form. 64 hex digits are
/// one: a file of such a name can be given as ./NAME.
[[nodiscard]] bool holds_secret(std::string_view argument);

}  // namespace sealine::cli
