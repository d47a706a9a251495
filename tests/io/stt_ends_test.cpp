// How STT sessions over WebSocket end, and what they may cost. spec: stt.md, websocket.md
#include "io/stt_loopback.hpp"

#include <array>
#include <string>

namespace sealine::io::stt {
namespace {

using net::ip::tcp;

/// A wire between a client and the endpoint that can be cut, and hold back what the endpoint says.
class Wire {
 public:
  explicit Wire(Loopback& loopback)
      : loopback_(&loopback),
        acceptor_(loopback.context, tcp::endpoint(net::ip::address_v4::loopback(), 0)) {
    loopback.beside([this]() -> Task { co_await carry(); });
  }

  Url url() const {
    return {.scheme = Scheme::ws, .host = "127.0.0.1", .port = acceptor_.local_endpoint().port()};
  }

  /// From here on what the endpoint says waits.
  void hold() { is_holding_ = true; }

  /// Until something more of the endpoint waits.
  Task wait_held() {
    const std::size_t before = held_.size();
    while (held_.size() == before) co_await net::post(loopback_->context, use_awaitable);
  }

  /// Gives what waited, all at once.
  Task release() {
    is_holding_ = false;
    co_await net::async_write(*near_, net::buffer(held_), use_awaitable);
  }

  void cut() {
    error_code ignored;
    near_->close(ignored);
    far_->close(ignored);
  }

 private:
  Task carry() {
    near_ = std::make_shared<tcp::socket>(co_await acceptor_.async_accept(use_awaitable));
    far_ = std::make_shared<tcp::socket>(loopback_->context);
    co_await far_->async_connect(loopback_->server.local_endpoints().at(0), use_awaitable);
    loopback_->beside([a = near_, b = far_]() -> Task { co_await copy(a, b, nullptr); });
    co_await copy(far_, near_, this);
  }

  static Task copy(std::shared_ptr<tcp::socket> from, std::shared_ptr<tcp::socket> to,
                   Wire* holder) {
    Bytes buffer(65536);
    error_code ec;
    while (!ec) {
      const std::size_t n = co_await from->async_read_some(net::buffer(buffer),
                                                           net::redirect_error(use_awaitable, ec));
      if (ec) break;
      if (holder != nullptr && holder->is_holding_) {
        holder->held_.insert(holder->held_.end(), buffer.begin(),
                             buffer.begin() + static_cast<std::ptrdiff_t>(n));
        continue;
      }
      co_await net::async_write(*to, net::buffer(buffer, n),
                                net::redirect_error(use_awaitable, ec));
    }
  }

  Loopback* loopback_;
  tcp::acceptor acceptor_;
  std::shared_ptr<tcp::socket> near_;
  std::shared_ptr<tcp::socket> far_;
  bool is_holding_ = false;
  Bytes held_;
};

EndpointOptions impatient() {
  EndpointOptions result = options();
  result.handshake_timeout = std::chrono::milliseconds(100);
  return result;
}

TEST(SttEnds, ALostConnectionIsTruncation) {
  Loopback net;
  Wire wire(net);
  net.run([&]() -> Task {
    net.beside([&]() -> Task {
      Session theirs = co_await net.server.async_accept(use_awaitable);
      Stream in = co_await theirs.async_accept(use_awaitable);
      Bytes buffer(100);
      EXPECT_EQ(co_await in.async_read_some(net::buffer(buffer), use_awaitable), 10U);
      wire.cut();
      error_code ec;
      co_await in.async_read_some(net::buffer(buffer), net::redirect_error(use_awaitable, ec));
      EXPECT_EQ(ec, make_error_code(Errc::truncated)) << ec.message();
    });
    Session ours = co_await net.client.async_connect(wire.url(), use_awaitable);
    Stream out = ours.open().value();
    const Bytes data = pattern(10);
    co_await net::async_write(out, net::buffer(data), use_awaitable);
    Bytes buffer(100);
    error_code ec;
    co_await out.async_read_some(net::buffer(buffer), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::truncated)) << ec.message();
    co_await ours.async_accept(net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::truncated)) << ec.message();
    EXPECT_EQ(ours.outcome()->fault.code, Errc::truncated);
    co_await ours.async_drain(net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::truncated)) << ec.message();
  });
}

// What comes with the RESET in one piece: a stream that is over is gone before anybody has read.
TEST(SttEnds, AStreamThatIsResetBehindUnreadBytesSaysSo) {
  Loopback net;
  Wire wire(net);
  net.run([&]() -> Task {
    Session ours;
    bool connected = false;
    net.beside([&]() -> Task {
      ours = co_await net.client.async_connect(wire.url(), use_awaitable);
      connected = true;
    });
    Session theirs = co_await net.server.async_accept(use_awaitable);
    while (!connected) co_await net::post(net.context, use_awaitable);
    Stream stream = ours.open().value();
    co_await net::async_write(stream, net::buffer(pattern(10)), use_awaitable);
    co_await stream.async_shutdown(use_awaitable);
    Stream in = co_await theirs.async_accept(use_awaitable);
    EXPECT_EQ(co_await read_to_end(in), pattern(10));

    error_code ec;
    bool has_ended = false;
    net.beside([&]() -> Task {
      Bytes buffer(100);
      co_await stream.async_read_some(net::buffer(buffer), net::redirect_error(use_awaitable, ec));
      has_ended = true;
    });
    wire.hold();
    co_await net::async_write(in, net::buffer(pattern(10)), use_awaitable);
    co_await wire.wait_held();
    in.reset(400);
    co_await wire.wait_held();
    co_await wire.release();
    while (!has_ended) co_await net::post(net.context, use_awaitable);
    EXPECT_EQ(ec, make_error_code(Errc::stream_reset)) << ec.message();
  });
}

TEST(SttEnds, AClientThatIsSilentIsGivenUp) {
  Loopback net(impatient());
  net.run([&]() -> Task {
    tcp::socket socket(net.context);
    co_await socket.async_connect(net.server.local_endpoints().at(0), use_awaitable);
    Bytes buffer(100);
    error_code ec;
    co_await socket.async_read_some(net::buffer(buffer), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, net::error::eof) << ec.message();
  });
  ASSERT_EQ(net.failures.size(), 1U);
  EXPECT_EQ(net.failures[0].code, Errc::handshake_timeout);
}

TEST(SttEnds, AServerThatIsSilentIsGivenUp) {
  Loopback net(options(), impatient());
  tcp::acceptor silent(net.context, tcp::endpoint(net::ip::address_v4::loopback(), 0));
  net.run([&]() -> Task {
    error_code ec;
    const Url url{
        .scheme = Scheme::ws, .host = "127.0.0.1", .port = silent.local_endpoint().port()};
    co_await net.client.async_connect(url, net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::handshake_timeout)) << ec.message();
  });
}

TEST(SttEnds, HalfOpenPlacesOfOneAddressAreFew) {
  EndpointOptions few = options();
  few.listener.half_open = 4;
  few.listener.half_open_per_network = 4;
  Loopback net(few);
  std::vector<std::unique_ptr<tcp::socket>> idle;
  net.run([&]() -> Task {
    for (int i = 0; i < 4; ++i) {
      idle.push_back(std::make_unique<tcp::socket>(net.context));
      co_await idle.back()->async_connect(net.server.local_endpoints().at(0), use_awaitable);
    }
    tcp::socket more(net.context);
    co_await more.async_connect(net.server.local_endpoints().at(0), use_awaitable);
    Bytes buffer(10);
    error_code ec;
    co_await more.async_read_some(net::buffer(buffer), net::redirect_error(use_awaitable, ec));
    EXPECT_TRUE(ec);
    idle.clear();
    while (true) {  // the places come back
      error_code again;
      Session session =
          co_await net.client.async_connect(net.url(), net::redirect_error(use_awaitable, again));
      if (!again) break;
    }
  });
  EXPECT_FALSE(net.failures.empty());
}

TEST(SttEnds, CancelledOperationsEndAndTheStreamGoesOn) {
  Loopback net;
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    Stream stream = ours.open().value();
    net.beside([&]() -> Task {
      co_await net::post(net.context, use_awaitable);
      stream.cancel();
    });
    Bytes buffer(10);
    error_code ec;
    co_await stream.async_read_some(net::buffer(buffer), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, net::error::operation_aborted) << ec.message();
    net.beside([&, &session = theirs]() -> Task {
      co_await net::post(net.context, use_awaitable);
      session.cancel();
    });
    co_await theirs.async_accept(net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, net::error::operation_aborted) << ec.message();
    co_await net::async_write(stream, net::buffer(pattern(3)), use_awaitable);
    Stream in = co_await theirs.async_accept(use_awaitable);
    EXPECT_EQ(co_await in.async_read_some(net::buffer(buffer), use_awaitable), 3U);
  });
}

TEST(SttEnds, WhatWasWrittenBeforeFinArrivesWhoeverHoldsTheStream) {
  Loopback net;
  const Bytes data = pattern(200000);
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    {
      Stream stream = ours.open().value();
      co_await net::async_write(stream, net::buffer(data), use_awaitable);
      co_await stream.async_shutdown(use_awaitable);
    }
    Stream in = co_await theirs.async_accept(use_awaitable);
    EXPECT_TRUE(co_await read_to_end(in) == data);
  });
}

TEST(SttEnds, ASessionThatIsDestroyedEndsWhatWaits) {
  Loopback net;
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    Stream stream = ours.open().value();
    int ended = 0;
    net.beside([&]() -> Task {
      Bytes buffer(10);
      error_code ec;
      co_await stream.async_read_some(net::buffer(buffer), net::redirect_error(use_awaitable, ec));
      EXPECT_TRUE(ec);
      ++ended;
    });
    co_await net::post(net.context, use_awaitable);
    ours = Session();
    error_code ec;
    co_await theirs.async_accept(net::redirect_error(use_awaitable, ec));
    while (!ec) co_await theirs.async_accept(net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, net::error::eof) << ec.message();
    while (ended == 0) co_await net::post(net.context, use_awaitable);
  });
}

TEST(SttEnds, AContextMayGoBeforeItsSessions) {
  Loopback net;
  net.run([&]() -> Task {
    net.beside([&]() -> Task {
      auto [ours, theirs] = co_await net.pair();
      Stream stream = ours.open().value();
      Bytes buffer(10);
      co_await stream.async_read_some(net::buffer(buffer), use_awaitable);
    });
    for (int i = 0; i < 100; ++i) co_await net::post(net.context, use_awaitable);
  });
}

TEST(SttEnds, TenThousandStreamsInOneSession) {
  Loopback net;
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    net.beside([&session = theirs]() -> Task {
      Bytes buffer(100);
      for (;;) {
        error_code ec;
        Stream stream = co_await session.async_accept(net::redirect_error(use_awaitable, ec));
        if (ec) co_return;
        const Bytes all = co_await read_to_end(stream);
        co_await net::async_write(stream, net::buffer(all), use_awaitable);
        co_await stream.async_shutdown(use_awaitable);
      }
    });
    const Bytes data = pattern(20);
    for (int i = 0; i < 10000; ++i) {
      Stream stream = ours.open().value();
      co_await net::async_write(stream, net::buffer(data), use_awaitable);
      co_await stream.async_shutdown(use_awaitable);
      const Bytes back = co_await read_to_end(stream);
      if (back != data) ADD_FAILURE() << i;
    }
    EXPECT_EQ(ours.statistics().streams_open, 0U);
    co_await ours.async_drain(use_awaitable);
  });
}

TEST(SttEnds, AThousandSessionsInOneProcess) {
  EndpointOptions many = options();
  many.listener.handshakes_per_second = 100000;
  many.listener.handshake_burst = 100000;
  many.listener.half_open = 4096;
  many.listener.half_open_per_network = 4096;
  many.listener.connections = 4096;
  Loopback net(many);
  std::vector<Session> ours;
  std::vector<Session> theirs;
  net.run([&]() -> Task {
    for (int i = 0; i < 1000; ++i) {
      auto [a, b] = co_await net.pair();
      ours.push_back(std::move(a));
      theirs.push_back(std::move(b));
    }
    for (std::size_t i = 0; i < ours.size(); ++i) {
      Stream out = ours[i].open().value();
      co_await net::async_write(out, net::buffer(pattern(5)), use_awaitable);
      Stream in = co_await theirs[i].async_accept(use_awaitable);
      Bytes buffer(10);
      EXPECT_EQ(co_await in.async_read_some(net::buffer(buffer), use_awaitable), 5U);
    }
  });
}

TEST(SttEnds, AStalledReaderSlowsNoOtherAndItsMemoryIsItsCredit) {
  Loopback net;
  const Bytes data = pattern(4 << 20U);
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    Stream stalled = ours.open().value();
    std::size_t written = 0;
    net.beside([&]() -> Task {
      for (error_code ec; !ec;) {
        written += co_await stalled.async_write_some(net::buffer(data),
                                                     net::redirect_error(use_awaitable, ec));
      }
    });
    const Stream unread = co_await theirs.async_accept(use_awaitable);
    Stream out = ours.open().value();
    net.beside([&]() -> Task {
      co_await net::async_write(out, net::buffer(data), use_awaitable);
      co_await out.async_shutdown(use_awaitable);
    });
    Stream in = co_await theirs.async_accept(use_awaitable);
    EXPECT_TRUE(co_await read_to_end(in) == data);
    // The first window, and what the sender keeps.
    EXPECT_LE(written, std::size_t{2} * 262144);
  });
}

}  // namespace
}  // namespace sealine::io::stt
