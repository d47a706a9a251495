// STT over WebSocket on loopback. spec: stt.md
#include "io/stt_loopback.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sealine::io::stt {
namespace {

Task echo(Session& session) {
  for (;;) {
    error_code ec;
    Stream stream = co_await session.async_accept(net::redirect_error(use_awaitable, ec));
    if (ec) co_return;
    Bytes buffer(65536);
    for (;;) {
      const std::size_t n = co_await stream.async_read_some(net::buffer(buffer),
                                                            net::redirect_error(use_awaitable, ec));
      if (ec) break;
      co_await net::async_write(stream, net::buffer(buffer, n), use_awaitable);
    }
    co_await stream.async_shutdown(use_awaitable);
  }
}

TEST(SttEndpoint, UrlsAreReadStrictly) {
  const auto url = Url::parse("ws://[::1]:8080/a/b?c");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->port, 8080);
  EXPECT_EQ(url->path, "/a/b?c");
  EXPECT_EQ(to_string(*url), "ws://[::1]:8080/a/b?c");
  EXPECT_EQ(Url::parse("ws://localhost:1")->path, "/stt");
  for (const std::string_view bad : {"http://x:1", "ws://x", "ws://x:", "ws://x:65536",
                                     "ws://::1:80", "ws://x:1/a b", "x:1", "ws://x:1/#seed"}) {
    EXPECT_FALSE(Url::parse(bad)) << bad;
  }
}

TEST(SttEndpoint, AStreamIsCarriedBothWaysAndEndsClean) {
  Loopback net;
  const Bytes data = pattern(8 << 20U);
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    EXPECT_TRUE(ours.connected().forward_secrecy);
    net.beside([&session = theirs]() -> Task { co_await echo(session); });
    Stream stream = ours.open().value();
    net.beside([&]() -> Task {
      co_await net::async_write(stream, net::buffer(data), use_awaitable);
      co_await stream.async_shutdown(use_awaitable);
    });
    const Bytes back = co_await read_to_end(stream);
    EXPECT_TRUE(back == data);
    co_await ours.async_drain(use_awaitable);
    EXPECT_EQ(ours.outcome()->code, 0);
  });
  EXPECT_TRUE(net.failures.empty());
}

TEST(SttEndpoint, ManyStreamsAtOnce) {
  Loopback net;
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    int open = 200;
    net.beside([&, &session = theirs]() -> Task {
      for (;;) {
        error_code ec;
        auto stream = std::make_shared<Stream>(
            co_await session.async_accept(net::redirect_error(use_awaitable, ec)));
        if (ec) co_return;
        net.beside([stream]() -> Task {
          const Bytes all = co_await read_to_end(*stream);
          co_await net::async_write(*stream, net::buffer(all), use_awaitable);
          co_await stream->async_shutdown(use_awaitable);
          co_await read_to_end(*stream);
        });
      }
    });
    for (int i = 0; i < 200; ++i) {
      net.beside([&, i, &session = ours]() -> Task {
        Stream stream = session.open().value();
        const Bytes data =
            pattern(1000 + static_cast<std::size_t>(i) * 37, static_cast<unsigned>(i));
        co_await net::async_write(stream, net::buffer(data), use_awaitable);
        co_await stream.async_shutdown(use_awaitable);
        EXPECT_TRUE(co_await read_to_end(stream) == data);
        --open;
      });
    }
    while (open > 0) co_await net::post(net.context, use_awaitable);
  });
}

TEST(SttEndpoint, MessagesAndTheirEnd) {
  Loopback net;
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    Stream out = ours.open({.mode = StreamMode::unordered}).value();
    const std::vector<Bytes> messages{pattern(0), pattern(1), pattern(100000), pattern(131072)};
    net.beside([&]() -> Task {
      for (const Bytes& message : messages)
        co_await out.async_write_message(message, use_awaitable);
      co_await out.async_shutdown(use_awaitable);
    });
    Stream in = co_await theirs.async_accept(use_awaitable);
    EXPECT_EQ(in.options().mode, StreamMode::unordered);
    for (const Bytes& message : messages) {
      Bytes got;
      co_await in.async_read_message(got, use_awaitable);
      EXPECT_TRUE(got == message);
    }
    Bytes got;
    error_code ec;
    co_await in.async_read_message(got, net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, net::error::eof);
  });
}

TEST(SttEndpoint, AnotherSeedIsRefusedOnBothSides) {
  Loopback net(options(7), options(8));
  net.run([&]() -> Task {
    error_code ec;
    const Session none =
        co_await net.client.async_connect(net.url(), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::peer_fell_silent)) << ec.message();
  });
  ASSERT_EQ(net.failures.size(), 1U);
  EXPECT_EQ(net.failures[0].code, Errc::hello_not_authentic);
}

TEST(SttEndpoint, NobodyListensAndWhatIsNoWebSocket) {
  Loopback net;
  net.run([&]() -> Task {
    Url url = net.url();
    url.path = "/elsewhere";
    error_code ec;
    co_await net.client.async_connect(url, net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::not_this_protocol)) << ec.message();
    const Url gone = net.url();
    net.server.close();
    co_await net.client.async_connect(gone, net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(to_error(ec).code, Errc::connection_refused) << ec.message();
  });
}

TEST(SttEndpoint, APageBesideTheWebSocket) {
  Loopback net;
  net.server.on_request([](const websocket::Request& request) {
    PlainAnswer answer;
    answer.status = request.target == "/" ? 200 : 404;
    answer.body = std::string(300000, 'x');
    return answer;
  });
  net.run([&]() -> Task {
    net::ip::tcp::socket socket(net.context);
    co_await socket.async_connect(net.server.local_endpoints().at(0), use_awaitable);
    const std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    co_await net::async_write(socket, net::buffer(request), use_awaitable);
    std::string answer;
    Bytes buffer(65536);
    for (;;) {
      error_code ec;
      const std::size_t n = co_await socket.async_read_some(net::buffer(buffer),
                                                            net::redirect_error(use_awaitable, ec));
      answer.append(as_text(ByteView(buffer).first(n)));
      if (ec) break;
    }
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, 300000U);
  });
}

TEST(SttEndpoint, ACloseWithACodeEndsEverything) {
  Loopback net;
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    Stream out = ours.open().value();
    co_await net::async_write(out, net::buffer(pattern(10)), use_awaitable);
    Stream in = co_await theirs.async_accept(use_awaitable);
    Bytes buffer(100);
    co_await in.async_read_some(net::buffer(buffer), use_awaitable);
    ours.close(300, "enough");
    error_code ec;
    co_await in.async_read_some(net::buffer(buffer), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::aborted)) << ec.message();
    co_await theirs.async_accept(net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::aborted)) << ec.message();
    EXPECT_EQ(theirs.outcome()->code, 300);
    EXPECT_EQ(theirs.outcome()->reason, "enough");
    co_await net::async_write(out, net::buffer(pattern(10)),
                              net::redirect_error(use_awaitable, ec));
    EXPECT_TRUE(ec);
  });
}

TEST(SttEndpoint, AStreamThatIsResetOrStoppedSaysSo) {
  Loopback net;
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    Stream out = ours.open().value();
    co_await net::async_write(out, net::buffer(pattern(10)), use_awaitable);
    Stream in = co_await theirs.async_accept(use_awaitable);
    Bytes buffer(100);
    EXPECT_EQ(co_await in.async_read_some(net::buffer(buffer), use_awaitable), 10U);
    out.reset(400);
    error_code ec;
    co_await in.async_read_some(net::buffer(buffer), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::stream_reset)) << ec.message();
    Stream second = ours.open().value();
    co_await net::async_write(second, net::buffer(pattern(10)), use_awaitable);
    Stream other = co_await theirs.async_accept(use_awaitable);
    other.stop(401);
    for (int i = 0; i < 1000 && !ec.message().empty(); ++i) {
      co_await net::async_write(second, net::buffer(pattern(10)),
                                net::redirect_error(use_awaitable, ec));
      if (ec) break;
      co_await net::post(net.context, use_awaitable);
    }
    EXPECT_EQ(ec, make_error_code(Errc::stream_stopped)) << ec.message();
  });
}

}  // namespace
}  // namespace sealine::io::stt
