#include <sealine/io/stcp.hpp>

#include <cstdio>
#include <vector>

// An echo server for one client. Its key is made at the first start and kept.
sealine::Result<> serve(std::uint16_t port) {
  SEALINE_TRY(listener, sealine::io::stcp::blocking::listen("127.0.0.1", port));
  std::printf("%d\n", listener.port());
  std::fflush(stdout);
  SEALINE_TRY(stream, listener.accept());
  std::vector<std::uint8_t> data(65536);
  for (;;) {
    SEALINE_TRY(n, stream.read(data));
    if (n == 0) return stream.shutdown();  // the sealed end of the client's data
    SEALINE_TRY(stream.write(std::span(data).first(n)));
  }
}
