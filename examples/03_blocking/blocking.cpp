// One thing after the other, without callbacks, executors or exceptions.
//   blocking serve [PORT]     serves one client, then ends
//   blocking ask HOST PORT
#include <sealine/io/stcp.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace stcp = sealine::io::stcp::blocking;
using sealine::Result;

// [server]
Result<> serve(std::uint16_t port) {
  SEALINE_TRY(listener, stcp::listen("127.0.0.1", port));
  std::printf("%d\n", listener.port());
  std::fflush(stdout);
  SEALINE_TRY(stream, listener.accept());
  std::vector<std::uint8_t> data(65536);
  for (;;) {
    SEALINE_TRY(n, stream.read(data));
    if (n == 0) return stream.shutdown();  // the client's sealed end of data
    SEALINE_TRY(stream.write(std::span(data).first(n)));
  }
}

// [server]

// [client]
Result<> ask(const char* host, std::uint16_t port) {
  SEALINE_TRY(stream, stcp::connect(host, port));
  SEALINE_TRY(stream.write("hello over STCP\n"));
  SEALINE_TRY(stream.shutdown());
  std::vector<std::uint8_t> answer(100);
  SEALINE_TRY(n, stream.read(answer));
  std::fwrite(answer.data(), 1, n, stdout);
  return {};
}

// [client]

int main(int argc, char** argv) {
  const std::string task = argc > 1 ? argv[1] : "";
  Result<> result;
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
