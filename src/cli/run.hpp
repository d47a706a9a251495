#pragma once

#include <span>
#include <string>

namespace sealine::cli {

/// The whole command: reads the arguments (without the program's name), does it, and returns the
/// exit code.
[[nodiscard]] int run(std::span<const std::string> arguments);

}  // namespace sealine::cli
