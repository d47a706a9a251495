// One thing after the other, without callbacks, executors or exceptions.
//   blocking serve [PORT]     serves one client, then ends
//   blocking ask HOST PORT
#include <sealine/base/error.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

sealine::Result<> serve(std::uint16_t port);
sealine::Result<> ask(const char* host, std::uint16_t port);

int main(int argc, char** argv) {
  const std::string task = argc > 1 ? argv[1] : "";
  sealine::Result<> result;
  if (task == "serve") {
    result = serve(static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 0));
  } else if (task == "ask" && argc == 4) {
    result = ask(argv[2], static_cast<std::uint16_t>(std::atoi(argv[3])));
  } else {
    return 2;
  }
  if (result) return 0;
  std::fprintf(stderr, "blocking: %s\n", make_error_code(result.error()).message().c_str());
  return 1;
}
