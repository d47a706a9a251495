#pragma once

#include "cli/options.hpp"
#include "cli/output.hpp"

namespace sealine::cli {

/// `recv --list`: what is under way in a receive folder, a line each. Gives the exit code.
[[nodiscard]] int list_transfers(const RecvOptions& options, Output& output);

/// `recv --discard`: deletes what is not finished, and says how much it was.
[[nodiscard]] int discard_transfers(const RecvOptions& options, Output& output);

}  // namespace sealine::cli
