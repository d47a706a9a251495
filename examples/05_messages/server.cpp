#include <sealine/io/scp.hpp>

#include <cstdio>

using sealine::scp::Task;

Task serve(std::uint16_t port) {
  auto keys = sealine::scp::KeyPair::open().value();  // made at the first start and kept
  sealine::scp::Server server{keys};
  server.on_connection([](auto client) -> Task {
    while (auto m = co_await client.receive()) co_await client.send("Message received");
  });
  auto executor = co_await sealine::io::net::this_coro::executor;
  server.bind(executor, "127.0.0.1", port).value();
  std::printf("%d\n", server.port());
  std::fflush(stdout);
  co_await server.serve();
}
