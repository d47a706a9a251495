#pragma once

// Two endpoints on loopback, for the tests of STT's io.

#include "sealine/io/asio.hpp"
#include "sealine/io/stt.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sealine::io::stt {

using net::use_awaitable;
using Bytes = std::vector<std::uint8_t>;
using Task = net::awaitable<void>;

inline Bytes pattern(std::size_t size, unsigned seed = 0) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<std::uint8_t>((i * 131 + (i >> 9U) + seed) & 0xFFU);
  return out;
}

inline EndpointOptions options(std::uint8_t seed = 7) {
  EndpointOptions result;
  result.seed = std::make_shared<const stc::Seed>(Bytes(32, seed));
  return result;
}

// A listening endpoint and one that dials, on one context that stops by itself.
class Loopback {
 public:
  explicit Loopback(EndpointOptions server_options = options(),
                    EndpointOptions client_options = options(), Scheme scheme = Scheme::ws,
                    const std::string& host = "127.0.0.1")
      : server(context.get_executor(), std::move(server_options)),
        client(context.get_executor(), std::move(client_options)),
        scheme_(scheme),
        host_(host) {
    error_code ec;
    server.listen({.scheme = scheme, .host = host}, ec);
    EXPECT_FALSE(ec) << ec.message();
    server.on_failure([this](const DialFailure& failure) { failures.push_back(failure.error); });
  }

  Url url() const {
    return {.scheme = scheme_, .host = host_, .port = server.local_endpoints().at(0).port()};
  }

  // Runs `task` to its end; what was begun beside it goes on meanwhile.
  void run(std::function<Task()> task) {
    bool done = false;
    beside([&task, &done, this]() -> Task {
      co_await task();
      done = true;
      context.stop();
    });
    context.run_for(std::chrono::seconds(60));
    EXPECT_TRUE(done) << "a minute was not enough";
  }

  void beside(std::function<Task()> task) {
    net::co_spawn(context, std::move(task), [](const std::exception_ptr& thrown) {
      try {
        if (thrown) std::rethrow_exception(thrown);
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
      }
    });
  }

  net::awaitable<std::pair<Session, Session>> pair() {
    Session ours;
    bool connected = false;
    beside([this, &ours, &connected]() -> Task {
      ours = co_await client.async_connect(url(), use_awaitable);
      connected = true;
    });
    Session theirs = co_await server.async_accept(use_awaitable);
    while (!connected) co_await net::post(context, use_awaitable);
    co_return std::pair(std::move(ours), std::move(theirs));
  }

  net::io_context context;
  Endpoint server;
  Endpoint client;
  std::vector<Error> failures;

 private:
  Scheme scheme_;
  std::string host_;
};

// Gives back what comes on every stream of `session`, until it ends.
inline Task echo_all(Loopback& net, Session& session) {
  for (;;) {
    error_code ec;
    auto stream = std::make_shared<Stream>(
        co_await session.async_accept(net::redirect_error(use_awaitable, ec)));
    if (ec) co_return;
    net.beside([stream]() -> Task {
      Bytes buffer(65536);
      error_code failed;
      for (;;) {
        const std::size_t n = co_await stream->async_read_some(
            net::buffer(buffer), net::redirect_error(use_awaitable, failed));
        if (failed) break;
        co_await net::async_write(*stream, net::buffer(buffer, n),
                                  net::redirect_error(use_awaitable, failed));
        if (failed) break;
      }
      if (failed != net::error::eof) co_return;
      co_await stream->async_shutdown(net::redirect_error(use_awaitable, failed));
    });
  }
}

inline net::awaitable<Bytes> read_to_end(Stream& stream) {
  Bytes all;
  Bytes buffer(100000);
  for (;;) {
    error_code ec;
    const std::size_t n = co_await stream.async_read_some(net::buffer(buffer),
                                                          net::redirect_error(use_awaitable, ec));
    all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
    if (ec) {
      EXPECT_EQ(ec, net::error::eof) << ec.message();
      co_return all;
    }
  }
}

}  // namespace sealine::io::stt
