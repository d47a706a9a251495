// An echo server and a client with plain callbacks, in the style of Asio.
//   echo serve [PORT]     prints the port it listens on
//   echo ask HOST PORT    sends a line and prints what comes back
#include <sealine/io/stcp.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace net = sealine::io::net;
using sealine::io::error_code;
using sealine::io::stcp::Listener;
using sealine::io::stcp::Stream;

// [server]
struct Session : std::enable_shared_from_this<Session> {
  explicit Session(Stream accepted) : stream(std::move(accepted)) {}

  void read() {
    stream.async_read_some(net::buffer(data),
                           [self = shared_from_this()](error_code ec, std::size_t n) {
                             if (ec == net::error::eof)
                               return self->stream.async_shutdown([self](error_code) {});
                             if (!ec) self->write(n);
                           });
  }

  void write(std::size_t n) {
    net::async_write(stream, net::buffer(data, n),
                     [self = shared_from_this()](error_code ec, std::size_t) {
                       if (!ec) self->read();
                     });
  }

  Stream stream;
  std::array<char, 65536> data{};
};

void serve(Listener& listener) {
  listener.async_accept([&listener](error_code ec, Stream stream) {
    if (ec) return;
    std::make_shared<Session>(std::move(stream))->read();
    serve(listener);
  });
}

// [server]

// [client]
void ask(const char* host, std::uint16_t port) {
  net::io_context context;
  Stream stream(context);
  stream.connect(host,
                 port);  // at the first contact the server's key is pinned, later it is checked
  std::fprintf(stderr, "connected to %s\n", describe(stream.connected()).c_str());
  net::write(stream, net::buffer("hello over STCP\n", 16));
  stream.shutdown();  // a sealed end: the server can tell it from a cut

  std::string answer(100, '\0');
  answer.resize(stream.read_some(net::buffer(answer)));
  std::fputs(answer.c_str(), stdout);
}

// [client]

int run(const std::string& task, int argc, char** argv) {
  if (task == "serve") {
    net::io_context context;
    Listener listener(context);
    listener.listen("127.0.0.1", static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 0));
    std::printf("%d\n", listener.port());
    std::fflush(stdout);
    serve(listener);
    context.run();
    return 0;
  }
  if (task != "ask" || argc != 4) return 2;
  ask(argv[2], static_cast<std::uint16_t>(std::atoi(argv[3])));
  return 0;
}

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? argv[1] : "", argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "echo: %s\n", error.what());
    return 1;
  }
}
