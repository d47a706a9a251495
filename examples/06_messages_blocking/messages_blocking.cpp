#include <sealine/io/scp.hpp>

#include <cstdio>
#include <cstdlib>

namespace scp = sealine::scp;

// One client, one message after the other.
int serve(std::uint16_t port) {
  auto listener = scp::blocking::listen("127.0.0.1", port, scp::KeyPair::open().value()).value();
  std::printf("%d\n", listener.port());
  std::fflush(stdout);
  auto channel = listener.accept().value();
  while (auto message = channel.receive().value()) channel.send("got: " + message.text()).value();
  return 0;
}

int main(int argc, char** argv) {
  if (argc < 3) return serve(0);
  auto keys = scp::KeyPair::generate();
  auto channel =
      scp::blocking::connect(argv[1], static_cast<std::uint16_t>(std::atoi(argv[2])), keys);
  if (!channel) return std::fprintf(stderr, "%s\n", channel.error().message().c_str()), 3;
  channel->send("Hello, secure world!").value();
  std::puts(channel->receive().value().text().c_str());
  channel->close();
}
