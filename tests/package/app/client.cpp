// Says hello to `sealine pipe -l` and prints what it answers.
#include <sealine/io/stcp.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>

namespace stcp = sealine::io::stcp;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  auto stream = stcp::blocking::connect(argv[1], static_cast<std::uint16_t>(std::atoi(argv[2])));
  if (!stream || !stream->write("hello from a stranger\n") || !stream->shutdown()) {
    std::fputs("no connection\n", stderr);
    return 1;
  }
  std::array<std::uint8_t, 4096> buffer;
  while (true) {
    const auto count = stream->read(buffer);
    if (!count) return 1;
    if (*count == 0) return 0;
    std::fwrite(buffer.data(), 1, *count, stdout);
  }
}
