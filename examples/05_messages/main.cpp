// Messages with receipts: a server that answers each, and a client.
//   messages serve [PORT] | messages talk HOST PORT
#include <sealine/io/scp.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

namespace net = sealine::io::net;

sealine::scp::Task serve(std::uint16_t port);
sealine::scp::Task talk(std::string host, std::uint16_t port);

int main(int argc, char** argv) {
  const std::string task = argc > 1 ? argv[1] : "";
  net::io_context context;
  int status = 0;
  const auto ended = [&status](const std::exception_ptr& failure) {
    try {
      if (failure) std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "messages: %s\n", error.what());
      status = 1;
    }
  };
  if (task == "serve") {
    co_spawn(context, serve(static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 0)), ended);
  } else if (task == "talk" && argc == 4) {
    co_spawn(context, talk(argv[2], static_cast<std::uint16_t>(std::atoi(argv[3]))), ended);
  } else {
    return 2;
  }
  context.run();
  return status;
}
