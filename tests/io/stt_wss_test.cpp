// STT over wss:// through a TLS server in front of a plain listener. spec: websocket.md#wss
#include "io/tls_front.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace sealine::io::stt {
namespace {

// How a dial ends.
Error dial(Loopback& net, const Url& url) {
  Error outcome;
  net.run([&]() -> Task {
    error_code ec;
    const Session session =
        co_await net.client.async_connect(url, net::redirect_error(use_awaitable, ec));
    if (ec) outcome = to_error(ec);
  });
  return outcome;
}

// Eight megabytes there and back, and an end that both agree on.
void echo_through(Loopback& net, const Url& url) {
  const Bytes data = pattern(8 << 20U);
  net.run([&]() -> Task {
    Session theirs;
    net.beside([&]() -> Task {
      theirs = co_await net.server.async_accept(use_awaitable);
      co_await echo_all(net, theirs);
    });
    Session ours = co_await net.client.async_connect(url, use_awaitable);
    EXPECT_EQ(ours.connected().scheme, Scheme::wss);
    EXPECT_EQ(describe(ours.connected()), "(seed), STT/1 WebSocket over TLS, AES-256-GCM");
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
}

TEST(SttWss, UrlsAreReadLikeThoseOfWs) {
  const auto url = Url::parse("wss://example.com:443");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, Scheme::wss);
  EXPECT_EQ(to_string(*url), "wss://example.com:443/stt");
  EXPECT_FALSE(Url::parse("wss://example.com")) << "no port is guessed";
}

TEST(SttWss, CarriesASessionToANamedServer) {
  const OnlyAuthority authority;
  Loopback net;
  const Credentials shown = make_credentials(&authority.credentials(), "DNS:localhost");
  TlsFront front(net, shown);
  echo_through(net, front.url("localhost"));
  EXPECT_EQ(front.name, "localhost");
  EXPECT_EQ(front.protocol, "http/1.1");
}

TEST(SttWss, CarriesASessionToAnAddressThatIsInTheCertificate) {
  const OnlyAuthority authority;
  Loopback net;
  const Credentials shown = make_credentials(&authority.credentials(), "IP:127.0.0.1");
  TlsFront front(net, shown);
  echo_through(net, front.url("127.0.0.1"));
  EXPECT_FALSE(front.name) << "an address is no server name";
}

TEST(SttWss, SpeaksTls12WhereTheServerHasNoMore) {
  const OnlyAuthority authority;
  Loopback net;
  const Credentials shown = make_credentials(&authority.credentials(), "DNS:localhost");
  TlsFront front(net, shown, TLS1_2_VERSION);
  echo_through(net, front.url("localhost"));
}

TEST(SttWss, RefusesOlderTls) {
  const OnlyAuthority authority;
  Loopback net;
  const Credentials shown = make_credentials(&authority.credentials(), "DNS:localhost");
  TlsFront front(net, shown, TLS1_1_VERSION);
  EXPECT_EQ(dial(net, front.url("localhost")).code, Errc::tls_failed);
}

// SPEC websocket.md#wss
TEST(SttWss, RefusesACertificateOfAnUnknownAuthority) {
  const OnlyAuthority authority;
  const Credentials stranger = make_credentials(nullptr, "");
  Loopback net;
  const Credentials shown = make_credentials(&stranger, "DNS:localhost");
  TlsFront front(net, shown);
  EXPECT_EQ(dial(net, front.url("localhost")).code, Errc::certificate_untrusted);
}

TEST(SttWss, RefusesACertificateThatSignedItself) {
  const OnlyAuthority authority;
  Loopback net;
  const Credentials shown = make_credentials(nullptr, "DNS:localhost");
  TlsFront front(net, shown);
  EXPECT_EQ(dial(net, front.url("localhost")).code, Errc::certificate_untrusted);
}

TEST(SttWss, RefusesACertificateThatIsOver) {
  const OnlyAuthority authority;
  Loopback net;
  const Credentials shown = make_credentials(&authority.credentials(), "DNS:localhost", -3600);
  TlsFront front(net, shown);
  EXPECT_EQ(dial(net, front.url("localhost")).code, Errc::certificate_untrusted);
}

TEST(SttWss, RefusesACertificateOfAnotherNameOrAddress) {
  const OnlyAuthority authority;
  for (const std::string names : {"DNS:example.com", "DNS:*.localhost", "IP:127.0.0.2", ""}) {
    for (const std::string host : {"localhost", "127.0.0.1"}) {
      Loopback net;
      const Credentials shown = make_credentials(&authority.credentials(), names);
      TlsFront front(net, shown);
      EXPECT_EQ(dial(net, front.url(host)).code, Errc::certificate_of_another) << names << host;
    }
  }
}

TEST(SttWss, TellsAServerWithoutTlsFromOneWith) {
  const OnlyAuthority authority;
  Loopback net;
  Url url = net.url();  // our own listener: it answers HTTP
  url.scheme = Scheme::wss;
  EXPECT_EQ(dial(net, url).code, Errc::no_tls);
}

TEST(SttWss, GivesUpOnAServerThatIsSilent) {
  const OnlyAuthority authority;
  EndpointOptions impatient = options();
  impatient.handshake_timeout = std::chrono::milliseconds(50);
  Loopback net(options(), impatient);
  net::ip::tcp::acceptor silent(net.context, {net::ip::address_v4::loopback(), 0});
  const Url url{.scheme = Scheme::wss, .host = "127.0.0.1", .port = silent.local_endpoint().port()};
  EXPECT_EQ(dial(net, url).code, Errc::handshake_timeout);
}

TEST(SttWss, AConnectionThatIsCutIsTruncation) {
  const OnlyAuthority authority;
  Loopback net;
  const Credentials shown = make_credentials(&authority.credentials(), "DNS:localhost");
  TlsFront front(net, shown);
  net.run([&]() -> Task {
    Session theirs;
    net.beside([&]() -> Task {
      theirs = co_await net.server.async_accept(use_awaitable);
      co_await echo_all(net, theirs);
    });
    Session ours = co_await net.client.async_connect(front.url("localhost"), use_awaitable);
    Stream stream = ours.open().value();
    const Bytes hello = pattern(1000);
    co_await net::async_write(stream, net::buffer(hello), use_awaitable);
    Bytes back(1000);
    co_await net::async_read(stream, net::buffer(back), use_awaitable);
    EXPECT_TRUE(back == hello);
    front.cut();
    error_code ec;
    co_await stream.async_read_some(net::buffer(back), net::redirect_error(use_awaitable, ec));
    EXPECT_EQ(to_error(ec).code, Errc::truncated) << ec.message();
    EXPECT_EQ(ours.outcome()->fault.code, Errc::truncated);
  });
}

TEST(SttWss, SaysCloseNotifyAtItsEnd) {
  const OnlyAuthority authority;
  Loopback net;
  const Credentials shown = make_credentials(&authority.credentials(), "DNS:localhost");
  TlsFront front(net, shown);
  net.run([&]() -> Task {
    Session theirs;
    net.beside([&]() -> Task { theirs = co_await net.server.async_accept(use_awaitable); });
    Session ours = co_await net.client.async_connect(front.url("localhost"), use_awaitable);
    co_await ours.async_drain(use_awaitable);
    while (!front.ended) co_await net::post(net.context, use_awaitable);
  });
  EXPECT_EQ(front.ended, net::error::eof) << front.ended.message();
}

TEST(SttWss, IsNotListenedTo) {
  net::io_context context;
  Endpoint endpoint(context.get_executor(), options());
  error_code ec;
  endpoint.listen({.scheme = Scheme::wss, .host = "127.0.0.1"}, ec);
  EXPECT_EQ(to_error(ec).code, Errc::bad_configuration);
}

}  // namespace
}  // namespace sealine::io::stt
