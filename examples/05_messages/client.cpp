#include <sealine/io/scp.hpp>

#include <cstdio>
#include <string>

using sealine::scp::Task;

// At the first contact the server's key is pinned; another key later is an error.
Task talk(std::string host, std::uint16_t port) {
  auto keys = sealine::scp::KeyPair::generate();
  auto channel = co_await sealine::scp::connect(host, port, keys);
  co_await channel.send("Hello, secure world!");  // ends when the server has it
  auto message = co_await channel.receive();
  std::puts(message.text().c_str());
  co_await channel.close();
}
