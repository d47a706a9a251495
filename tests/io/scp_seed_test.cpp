// The programs of the documents, word for word: they must compile as they stand there.
// spec: scp.md#users
#include <sealine/io/scp.hpp>

#include <gtest/gtest.h>

#include <cstdio>

namespace {

using sealine::scp::Task;

// clang-format off
Task client_of_the_document() {
  auto keys = sealine::scp::KeyPair::generate();
  auto channel = co_await sealine::scp::connect("server.example.com", 4433, keys);
  co_await channel.send("Hello, secure world!");
  auto message = co_await channel.receive();
  co_await channel.close();
}

Task server_of_the_document() {
  auto keys = sealine::scp::KeyPair::generate();
  sealine::scp::Server server{keys};
  server.on_connection([](auto client) -> Task { while (auto m = co_await client.receive()) co_await client.send("Message received"); });
  co_await server.listen(4433);
}

int blocking_program_of_the_document() {
  auto keys = sealine::scp::KeyPair::generate();
  auto channel = sealine::scp::blocking::connect("localhost", 4433, keys);      // TOFU: pins the server's key
  if (!channel) return std::fprintf(stderr, "%s\n", channel.error().message().c_str()), 3;
  channel->send("Hello, secure world!").value();
  std::puts(channel->receive().value().text().c_str());
  return 0;
}

// clang-format on

// Each is compiled whole, because its address is taken; none is run: they are for port 4433.
TEST(ScpSeed, TheProgramsOfTheDocumentsCompile) {
  Task (*const client)() = client_of_the_document;
  Task (*const server)() = server_of_the_document;
  int (*const blocking)() = blocking_program_of_the_document;
  EXPECT_NE(client, server);
  EXPECT_NE(blocking, nullptr);
}

}  // namespace
