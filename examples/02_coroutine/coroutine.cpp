// The same with coroutines: a server that answers in upper case, and a client.
//   coroutine serve [PORT] | coroutine ask HOST PORT
#include <sealine/io/stcp.hpp>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace net = sealine::io::net;
namespace stcp = sealine::io::stcp;

// [server]
net::awaitable<void> answer(stcp::Stream stream) {
  std::string text(65536, '\0');
  sealine::io::error_code ec;
  for (;;) {
    const std::size_t n = co_await stream.async_read_some(
        net::buffer(text), net::redirect_error(net::use_awaitable, ec));
    if (ec) break;
    for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>(std::toupper(text[i]));
    co_await net::async_write(stream, net::buffer(text, n), net::use_awaitable);
  }
  if (ec == net::error::eof) co_await stream.async_shutdown(net::use_awaitable);
}

net::awaitable<void> serve(std::uint16_t port) {
  stcp::Listener listener(co_await net::this_coro::executor);
  listener.listen("127.0.0.1", port);
  std::printf("%d\n", listener.port());
  std::fflush(stdout);
  for (;;) {
    stcp::Stream stream = co_await listener.async_accept(net::use_awaitable);
    co_spawn(listener.get_executor(), answer(std::move(stream)), net::detached);
  }
}

// [server]

// [client]
net::awaitable<void> ask(std::string host, std::uint16_t port) {
  stcp::Stream stream(co_await net::this_coro::executor);
  co_await stream.async_connect(host, port, net::use_awaitable);
  std::fprintf(stderr, "connected to %s\n", describe(stream.connected()).c_str());
  const std::string question = "hello over STCP\n";
  co_await net::async_write(stream, net::buffer(question), net::use_awaitable);
  co_await stream.async_shutdown(net::use_awaitable);
  std::string text(100, '\0');
  text.resize(co_await stream.async_read_some(net::buffer(text), net::use_awaitable));
  std::fputs(text.c_str(), stdout);
}

// [client]

int main(int argc, char** argv) {
  const std::string task = argc > 1 ? argv[1] : "";
  net::io_context context;
  int status = 0;
  const auto ended = [&status](const std::exception_ptr& failure) {
    try {
      if (failure) std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "coroutine: %s\n", error.what());
      status = 1;
    }
  };
  if (task == "serve") {
    co_spawn(context, serve(static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 0)), ended);
  } else if (task == "ask" && argc == 4) {
    co_spawn(context, ask(argv[2], static_cast<std::uint16_t>(std::atoi(argv[3]))), ended);
  } else {
    return 2;
  }
  context.run();
  return status;
}
