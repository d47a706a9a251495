#include "cli/run.hpp"

#include <string>
#include <string_view>
#include <vector>

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  // Under the names of the first tools (stx-send, stx-recv) the program is that command.
  const std::string_view path = argc > 0 ? argv[0] : "";
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (name == "stx-send" || name == "stx-recv") arguments.emplace(arguments.begin(), name);
  return sealine::cli::run(arguments);
}
