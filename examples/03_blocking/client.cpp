#include <sealine/io/stcp.hpp>

#include <cstdio>
#include <vector>

// At the first contact the server's key is pinned; another key later is an error.
sealine::Result<> ask(const char* host, std::uint16_t port) {
  SEALINE_TRY(stream, sealine::io::stcp::blocking::connect(host, port));
  SEALINE_TRY(stream.write("hello over STCP\n"));
  SEALINE_TRY(stream.shutdown());
  std::vector<std::uint8_t> answer(100);
  SEALINE_TRY(n, stream.read(answer));
  std::fwrite(answer.data(), 1, n, stdout);
  return {};
}
