// HTTP by Boost.Beast over an STCP stream: Beast asks for no more than a stream.
//   beast_http serve [PORT]      serves one request, then ends
//   beast_http get HOST PORT
#include <sealine/io/stcp.hpp>

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

namespace http = boost::beast::http;
namespace net = sealine::io::net;
namespace stcp = sealine::io::stcp;

// [server]
net::awaitable<void> serve(std::uint16_t port) {
  stcp::Listener listener(co_await net::this_coro::executor);
  listener.listen("127.0.0.1", port);
  std::cout << listener.port() << std::endl;
  stcp::Stream stream = co_await listener.async_accept(net::use_awaitable);

  boost::beast::flat_buffer buffer;
  http::request<http::string_body> request;
  co_await http::async_read(stream, buffer, request, net::use_awaitable);
  http::response<http::string_body> response(http::status::ok, request.version());
  response.set(http::field::content_type, "text/plain");
  response.body() = "you asked for " + std::string(request.target()) + "\n";
  response.prepare_payload();
  co_await http::async_write(stream, response, net::use_awaitable);
  co_await stream.async_shutdown(net::use_awaitable);
}

// [server]

// [client]
net::awaitable<void> get(std::string host, std::uint16_t port) {
  stcp::Stream stream(co_await net::this_coro::executor);
  co_await stream.async_connect(host, port, net::use_awaitable);

  http::request<http::empty_body> request(http::verb::get, "/index.html", 11);
  request.set(http::field::host, host);
  co_await http::async_write(stream, request, net::use_awaitable);
  boost::beast::flat_buffer buffer;
  http::response<http::string_body> response;
  co_await http::async_read(stream, buffer, response, net::use_awaitable);
  std::cout << response.body();
  co_await stream.async_shutdown(net::use_awaitable);
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
      std::cerr << "beast_http: " << error.what() << '\n';
      status = 1;
    }
  };
  if (task == "serve") {
    co_spawn(context, serve(static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 0)), ended);
  } else if (task == "get" && argc == 4) {
    co_spawn(context, get(argv[2], static_cast<std::uint16_t>(std::atoi(argv[3]))), ended);
  } else {
    return 2;
  }
  context.run();
  return status;
}
