// STT over UDP on loopback, and stt:// on both. spec: stt.md#transports
#include "io/detail/udp.hpp"
#include "io/stt_loopback.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

namespace sealine::io::stt {
namespace {

using net::ip::udp;

const udp::endpoint kAnywhere(net::ip::address_v4::loopback(), 0);

EndpointOptions patient_with(std::size_t sessions) {
  EndpointOptions result = options();
  result.listener.waiting = sessions;
  return result;
}

class Udp : public Loopback {
 public:
  explicit Udp(EndpointOptions server_options = options(),
               EndpointOptions client_options = options(), const std::string& host = "127.0.0.1")
      : Loopback(std::move(server_options), std::move(client_options), Scheme::udp, host) {}
};

net::awaitable<void> expect_echo(Session& session, const Bytes& data, Loopback& net) {
  Stream stream = session.open().value();
  net.beside([&]() -> Task {
    co_await net::async_write(stream, net::buffer(data), use_awaitable);
    co_await stream.async_shutdown(use_awaitable);
  });
  const Bytes back = co_await read_to_end(stream);
  EXPECT_TRUE(back == data) << back.size() << " of " << data.size();
}

TEST(SttUdp, UrlsSayTheTransport) {
  const auto plain = Url::parse("udp://[::1]:9001");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->scheme, Scheme::udp);
  EXPECT_EQ(plain->host, "::1");
  EXPECT_EQ(to_string(*plain), "udp://[::1]:9001");
  const auto both = Url::parse("stt://h:1/a");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->scheme, Scheme::stt);
  EXPECT_EQ(to_string(*both), "stt://h:1/a");
  EXPECT_EQ(Url::parse("stt://h:1")->path, "/stt");
  for (const std::string_view bad : {"udp://h", "udp://h:1/stt", "udp:h:1", "UDP://h:1"}) {
    EXPECT_FALSE(Url::parse(bad)) << bad;
  }
}

TEST(SttUdp, AStreamIsCarriedBothWaysAndEndsClean) {
  for (const char* host : {"127.0.0.1", "::1"}) {
    Udp net(options(), options(), host);
    const Bytes data = pattern(8 << 20U);
    net.run([&]() -> Task {
      auto [ours, theirs] = co_await net.pair();
      EXPECT_EQ(ours.connected().scheme, Scheme::udp);
      EXPECT_EQ(theirs.connected().scheme, Scheme::udp);
      EXPECT_EQ(describe(ours.connected()), "(seed), STT/1 UDP, AES-256-GCM");
      net.beside([&net, &session = theirs]() -> Task { co_await echo_all(net, session); });
      co_await expect_echo(ours, data, net);
      co_await ours.async_drain(use_awaitable);
      EXPECT_EQ(ours.outcome()->code, 0);
      EXPECT_EQ(ours.outcome()->fault.code, Errc{});
      // What a real path takes, however much the loopback would.
      EXPECT_LE(ours.statistics().datagram_bytes, 1472U);
    });
    EXPECT_TRUE(net.failures.empty());
  }
}

TEST(SttUdp, TwoHundredStreamsAtOnce) {
  Udp net;
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    net.beside([&net, &session = theirs]() -> Task { co_await echo_all(net, session); });
    int open = 200;
    for (int i = 0; i < 200; ++i) {
      net.beside([&, i, &session = ours]() -> Task {
        const Bytes data =
            pattern(1000 + (static_cast<std::size_t>(i) * 37), static_cast<unsigned>(i));
        co_await expect_echo(session, data, net);
        --open;
      });
    }
    while (open > 0) co_await net::post(net.context, use_awaitable);
    EXPECT_EQ(ours.statistics().streams_open, 0U);
  });
}

TEST(SttUdp, ManySessionsShareASocket) {
  Udp net(patient_with(256));
  std::vector<Session> ours;
  std::vector<Session> theirs;
  net.run([&]() -> Task {
    for (int i = 0; i < 100; ++i) {
      auto [a, b] = co_await net.pair();
      ours.push_back(std::move(a));
      theirs.push_back(std::move(b));
    }
    EXPECT_EQ(net.server.local_endpoints().size(), 1U);
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const Bytes data = pattern(3000, static_cast<unsigned>(i));
      Stream out = ours[i].open().value();
      co_await net::async_write(out, net::buffer(data), use_awaitable);
      co_await out.async_shutdown(use_awaitable);
      Stream in = co_await theirs[i].async_accept(use_awaitable);
      EXPECT_TRUE(co_await read_to_end(in) == data);
    }
  });
}

TEST(SttUdp, MessagesOfEveryMode) {
  Udp net;
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    for (const StreamMode mode :
         {StreamMode::unordered, StreamMode::partial, StreamMode::unreliable}) {
      Stream out = ours.open({.mode = mode}).value();
      const Bytes message = pattern(1000, static_cast<unsigned>(mode));
      co_await out.async_write_message(message, use_awaitable);
      Stream in = co_await theirs.async_accept(use_awaitable);
      EXPECT_EQ(in.options().mode, mode);
      Bytes got;
      co_await in.async_read_message(got, use_awaitable);
      EXPECT_TRUE(got == message);
    }
  });
}

TEST(SttUdp, ACloseWithACodeEndsEverything) {
  Udp net;
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    Stream out = ours.open().value();
    const Bytes data = pattern(10);
    co_await net::async_write(out, net::buffer(data), use_awaitable);
    Stream in = co_await theirs.async_accept(use_awaitable);
    Bytes buffer(100);
    co_await in.async_read_some(net::buffer(buffer), use_awaitable);
    ours.close(300, "enough");
    error_code ec;
    co_await in.async_read_some(net::buffer(buffer), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::aborted)) << ec.message();
    EXPECT_EQ(theirs.outcome()->code, 300);
    EXPECT_EQ(theirs.outcome()->reason, "enough");
  });
}

TEST(SttUdp, ASessionThatHearsNothingEndsIdle) {
  EndpointOptions impatient = options();
  impatient.session.limits.idle_timeout = std::chrono::milliseconds(100);
  Udp net(impatient);
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    error_code ec;
    co_await theirs.async_accept(net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::idle_timeout)) << ec.message();
    EXPECT_EQ(theirs.outcome()->code, 6);
    co_await ours.async_accept(net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::aborted)) << ec.message();
    EXPECT_EQ(ours.outcome()->code, 6);
  });
}

TEST(SttUdp, AnotherSeedIsSilenceAndIsReported) {
  EndpointOptions other = options(8);
  other.handshake_timeout = std::chrono::milliseconds(100);
  Udp net(options(7), other);
  net.run([&]() -> Task {
    error_code ec;
    const Session none =
        co_await net.client.async_connect(net.url(), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::peer_fell_silent)) << ec.message();
  });
  ASSERT_GE(net.failures.size(), 1U);
  EXPECT_EQ(net.failures[0].code, Errc::hello_not_authentic);
}

TEST(SttUdp, NobodyThereIsKnownAtOnce) {
  Udp net;
  const Url gone = net.url();
  net.server.close();
  net.run([&]() -> Task {
    error_code ec;
    co_await net.client.async_connect(gone, net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(to_error(ec).code, Errc::connection_refused) << ec.message();
  });
}

TEST(SttUdp, TheNextAddressOfANameIsDialledWhereTheFirstRefuses) {
  // Of localhost's addresses one has a listener.
  Udp net(options(), options(), "127.0.0.1");
  net.run([&]() -> Task {
    Url url = net.url();
    url.host = "localhost";
    const Session session = co_await net.client.async_connect(url, use_awaitable);
    EXPECT_EQ(session.connected().scheme, Scheme::udp);
  });
}

TEST(SttUdp, SessionsGoOnAfterTheirEndpointListensNoMore) {
  Udp net;
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    const Url url = net.url();
    net.server.close();
    EXPECT_TRUE(net.server.local_endpoints().empty());
    net.beside([&net, &session = theirs]() -> Task { co_await echo_all(net, session); });
    co_await expect_echo(ours, pattern(100000), net);
    co_await ours.async_drain(use_awaitable);
    co_await theirs.async_drain(use_awaitable);
    // With its last session the socket goes.
    error_code ec;
    co_await net.client.async_connect(url, net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(to_error(ec).code, Errc::connection_refused) << ec.message();
  });
}

TEST(SttUdp, AContextMayGoBeforeItsSessions) {
  Session ours;
  Session theirs;
  Stream stream;
  {
    Udp net;
    net.run([&]() -> Task {
      std::tie(ours, theirs) = co_await net.pair();
      stream = ours.open().value();
      net.beside([&]() -> Task {
        Bytes buffer(10);
        co_await stream.async_read_some(net::buffer(buffer), use_awaitable);
        ADD_FAILURE() << "nothing was written";
      });
      co_await net::post(net.context, use_awaitable);
    });
    stream = {};
    ours = {};
    theirs = {};
  }
}

TEST(SttUdp, SessionsAreLimitedInNumber) {
  EndpointOptions few = options();
  few.listener.connections = 2;
  Udp net(few);
  EndpointOptions impatient = options();
  impatient.handshake_timeout = std::chrono::milliseconds(100);
  Endpoint third(net.context.get_executor(), impatient);
  std::vector<Session> kept;
  net.run([&]() -> Task {
    for (int i = 0; i < 2; ++i) {
      auto [a, b] = co_await net.pair();
      kept.push_back(std::move(a));
      kept.push_back(std::move(b));
    }
    error_code ec;
    co_await third.async_connect(net.url(), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::peer_fell_silent)) << ec.message();
  });
  ASSERT_FALSE(net.failures.empty());
  EXPECT_EQ(net.failures[0].code, Errc::too_many_connections);
}

TEST(SttUdp, NoiseIsAnsweredBySilence) {
  Udp net;
  udp::socket stranger(net.context, kAnywhere);
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    const udp::endpoint server(net::ip::address_v4::loopback(), net.url().port);
    for (const std::size_t size : {0U, 1U, 11U, 12U, 100U, 1200U, 1472U, 9000U}) {
      for (std::uint8_t type = 0; type < 7; ++type) {
        Bytes noise = pattern(size);
        if (size > 2) {
          noise[0] = 'S';
          noise[1] = 'T';
          noise[2] = type;
        }
        stranger.send_to(net::buffer(noise), server);
      }
    }
    net.beside([&net, &session = theirs]() -> Task { co_await echo_all(net, session); });
    co_await expect_echo(ours, pattern(10000), net);
  });
  EXPECT_EQ(stranger.available(), 0U);
  EXPECT_TRUE(net.failures.empty());
}

// --- stt://

class Both : public Loopback {
 public:
  explicit Both(EndpointOptions server_options = options(),
                EndpointOptions client_options = options())
      : Loopback(std::move(server_options), std::move(client_options), Scheme::stt) {}
};

// Only what is known at once ends its wait.
EndpointOptions patient() {
  EndpointOptions result = options();
  result.fall_back_after = std::chrono::hours(1);
  return result;
}

EndpointOptions hasty(std::uint8_t seed = 7) {
  EndpointOptions result = options(seed);
  result.fall_back_after = std::chrono::milliseconds(50);
  return result;
}

TEST(SttBoth, OnePortNumberAndDatagramsFirst) {
  Both net(options(), patient());
  EXPECT_EQ(net.server.local_endpoints().size(), 1U);
  net.run([&]() -> Task {
    auto [ours, theirs] = co_await net.pair();
    EXPECT_EQ(ours.connected().scheme, Scheme::udp);
    Url url = net.url();
    url.scheme = Scheme::ws;
    const Session plain = co_await net.client.async_connect(url, use_awaitable);
    EXPECT_EQ(plain.connected().scheme, Scheme::ws);
    net.beside([&net, &session = theirs]() -> Task { co_await echo_all(net, session); });
    co_await expect_echo(ours, pattern(100000), net);
  });
}

TEST(SttBoth, WebSocketAtOnceWhereThePortIsClosed) {
  Loopback net(options(), patient());  // it listens to WebSocket alone
  net.run([&]() -> Task {
    Url url = net.url();
    url.scheme = Scheme::stt;
    Session theirs;
    net.beside([&]() -> Task {
      theirs = co_await net.server.async_accept(use_awaitable);
      co_await echo_all(net, theirs);
    });
    Session ours = co_await net.client.async_connect(url, use_awaitable);
    EXPECT_EQ(ours.connected().scheme, Scheme::ws);
    co_await expect_echo(ours, pattern(100000), net);
  });
}

TEST(SttBoth, WebSocketAfterAWhileWhereNobodyAnswers) {
  EXPECT_EQ(EndpointOptions{}.fall_back_after, std::chrono::milliseconds(1500));
  Loopback net(options(), hasty());
  net.run([&]() -> Task {
    Url url = net.url();
    url.scheme = Scheme::stt;
    // It takes datagrams and says nothing: as a filter that drops them.
    const udp::socket silent(net.context, udp::endpoint(net::ip::address_v4::loopback(), url.port));
    const auto began = std::chrono::steady_clock::now();
    const Session ours = co_await net.client.async_connect(url, use_awaitable);
    EXPECT_EQ(ours.connected().scheme, Scheme::ws);
    EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(50));
  });
}

TEST(SttBoth, AnotherSeedIsRefusedByWebSocketInTheEnd) {
  Both net(options(7), hasty(8));
  net.run([&]() -> Task {
    error_code ec;
    co_await net.client.async_connect(net.url(), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(ec, make_error_code(Errc::peer_fell_silent)) << ec.message();
  });
  EXPECT_GE(net.failures.size(), 2U);
}

TEST(SttBoth, NobodyAtAll) {
  Both net(options(), patient());
  const Url gone = net.url();
  net.server.close();
  net.run([&]() -> Task {
    error_code ec;
    co_await net.client.async_connect(gone, net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(to_error(ec).code, Errc::connection_refused) << ec.message();
  });
}

}  // namespace
}  // namespace sealine::io::stt
