// Servers: handlers, broadcasts, budgets, rates, draining. spec: scp.md
#include "sealine/io/scp_server.hpp"

#include "scp_fixture.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace sealine::io::scp {
namespace {

using namespace std::chrono_literals;
using test::code_of;
using test::ScpLoopback;
using test::until;

TEST(ScpServer, AHandlerServesEachChannelAndReturningClosesIt) {
  ScpLoopback net;
  net.server().on_connection([](Channel client) -> Task {
    while (auto message = co_await client.receive()) {
      co_await client.send("got " + message.text());
    }
  });
  net.run([&]() -> Task {
    auto one = co_await net.dial();
    auto two = co_await net.dial();
    co_await one.send("1");
    co_await two.send("2");
    EXPECT_EQ((co_await two.receive()).text(), "got 2");
    EXPECT_EQ((co_await one.receive()).text(), "got 1");
    EXPECT_EQ(net.server().statistics().channels, 2U);
    one.end();
    EXPECT_FALSE(co_await one.receive()) << "the handler has returned";
    co_await two.close();
    co_await until([&net] { return net.server().statistics().channels == 0; });
  });
}

TEST(ScpServer, AHandlerThatThrowsEndsItsOwnChannelWithAnInternalError) {
  ScpLoopback net;
  net.server().on_connection([](Channel client) -> Task {
    if ((co_await client.receive()).text() == "bad") throw std::runtime_error("no");
    co_await client.send("fine");
  });
  net.run([&]() -> Task {
    auto bad = co_await net.dial();
    auto good = co_await net.dial();
    co_await bad.enqueue("bad");
    EXPECT_EQ(code_of(co_await bad.receive(as_result)), Errc::peer_failed);
    EXPECT_EQ(bad.outcome()->code, Code::internal);
    co_await good.enqueue("good");
    EXPECT_EQ((co_await good.receive()).text(), "fine");
  });
}

TEST(ScpServer, ABroadcastGoesToAllAndNamesThoseWhoseWindowIsFull) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [one, at_one] = co_await net.pair();
    auto [two, at_two] = co_await net.pair();
    auto [slow, at_slow] = co_await net.pair();
    while (at_slow.try_enqueue("m")) co_await at_slow.receipts(0);
    co_await until([&at_slow] { return !at_slow.try_enqueue("m"); });

    const Broadcast result = net.server().broadcast("to all");
    EXPECT_EQ(result.taken, 2U);
    EXPECT_EQ(result.skipped.size(), 1U);
    EXPECT_EQ(result.skipped.front().id, slow.id());
    EXPECT_EQ(result.skipped.front().why.code, Errc::window_full);
    EXPECT_EQ(result.skipped.front().client.key, at_slow.connected().key);
    EXPECT_EQ((co_await one.receive()).text(), "to all");
    EXPECT_EQ((co_await two.receive()).text(), "to all");
    co_await at_one.receipts(1);
    co_await at_two.receipts(1);
  });
}

TEST(ScpServer, DrainWaitsForTheChannelsThatStandAndTakesNoOthers) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    bool drained = false;
    auto draining = [](Server& on, bool& done) -> Task {
      co_await on.drain();
      done = true;
    };
    net.beside(draining(net.server(), drained));
    co_await until([&net] { return net.server().local_endpoints().empty(); });
    co_await client.send("still served");
    EXPECT_TRUE(co_await server.receive());
    EXPECT_FALSE(drained);
    co_await client.close();
    co_await until([&drained] { return drained; });
    EXPECT_EQ(code_of(co_await net.server().accept(as_result)), Errc::cancelled);
  });
}

TEST(ScpServer, AfterTheGraceOfADrainChannelsAreToldThatTheServerGoes) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    auto draining = [](Server& on) -> Task { co_await on.drain(20ms); };
    net.beside(draining(net.server()));
    EXPECT_EQ(code_of(co_await client.receive(as_result)), Errc::peer_going_away);
    EXPECT_EQ((co_await server.closed()).code, Code::going_away);
  });
}

TEST(ScpServer, ListenServesUntilItIsStopped) {
  ScpLoopback net;
  net.run([&]() -> Task {
    Server other(net.server_options);
    bool ended = false;
    auto listening = [](Server& on, bool& done) -> Task {
      co_await on.listen("127.0.0.1", 0);
      done = true;
    };
    net.beside(listening(other, ended));
    co_await until([&other] { return other.port() != 0; });
    auto client = co_await net.dial(other.port());
    EXPECT_FALSE(ended);
    other.stop();
    co_await until([&ended] { return ended; });
  });
}

TEST(ScpServer, TooManyMessagesASecondEndTheChannelWithItsCode) {
  ScpLoopback net;
  net.server_options.protocol.limits.max_messages_per_second = 10;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    // A burst of two seconds passes.
    for (int i = 0; i < 20; ++i) co_await client.send("m");
    for (int i = 0; i < 20; ++i) co_await client.enqueue("m");
    EXPECT_EQ(code_of(co_await client.receive(as_result)), Errc::too_many_messages);
    EXPECT_EQ(client.outcome()->code, Code::rate_limited);
    EXPECT_EQ((co_await server.closed()).code, Code::rate_limited);
  });
}

TEST(ScpServer, TooManyBytesASecondEndTheChannelWithItsCode) {
  ScpLoopback net;
  net.server_options.protocol.limits.max_bytes_per_second = 100'000;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    const std::string large(65536, 'x');
    for (int i = 0; i < 3; ++i) co_await client.send(large);
    co_await client.enqueue(large);
    EXPECT_EQ(code_of(co_await client.receive(as_result)), Errc::too_many_messages);
  });
}

TEST(ScpServer, HandshakesOfOneAddressAreLimited) {
  ScpLoopback net;
  net.server_options.limits.handshakes_per_second = 1;
  net.server_options.limits.handshake_burst = 2;
  net.run([&]() -> Task {
    auto [one, at_one] = co_await net.pair();
    auto [two, at_two] = co_await net.pair();
    auto options = std::make_shared<const ClientOptions>(net.client_options);
    EXPECT_FALSE(co_await connect("127.0.0.1", net.server().port(), options, as_result));
    EXPECT_EQ(net.failures.back().error.code, Errc::too_many_handshakes);
    EXPECT_EQ(net.server().statistics().refused, 1U);
  });
}

TEST(ScpServer, HalfOpenHandshakesAreBoundedAndEndInTime) {
  ScpLoopback net;
  net.server_options.limits.half_open = 3;
  net.server_options.protocol.limits.handshake_timeout = 100ms;
  net.run([&]() -> Task {
    std::vector<net::ip::tcp::socket> silent;
    const net::ip::tcp::endpoint server(net::ip::make_address("127.0.0.1"), net.server().port());
    for (int i = 0; i < 4; ++i) {
      co_await silent.emplace_back(net.context).async_connect(server, net::use_awaitable);
    }
    co_await until([&net] { return net.server().statistics().refused == 1; });
    EXPECT_EQ(net.failures.front().error.code, Errc::half_open_full);
    co_await until([&net] { return net.server().statistics().half_open == 0; });
    EXPECT_EQ(net.failures.back().error.code, Errc::handshake_timeout);
    auto [client, channel] = co_await net.pair();
    co_await client.send("they did not keep others out for long");
  });
}

TEST(ScpServer, BytesOfAnotherProtocolAreRefusedInSilence) {
  ScpLoopback net;
  net.run([&]() -> Task {
    net::ip::tcp::socket socket(net.context);
    const net::ip::tcp::endpoint server(net::ip::make_address("127.0.0.1"), net.server().port());
    co_await socket.async_connect(server, net::use_awaitable);
    const std::string request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    co_await net::async_write(socket, net::buffer(request), net::use_awaitable);
    std::string answer(10, '\0');
    error_code ec;
    const std::size_t n = co_await socket.async_read_some(
        net::buffer(answer), net::redirect_error(net::use_awaitable, ec));
    EXPECT_EQ(n, 0U);
    EXPECT_EQ(ec, net::error::eof) << "an end, no reset";
    EXPECT_EQ(net.failures.front().error.code, Errc::version_refused);
  });
}

TEST(ScpServer, OptionsMayChangeForNewHandshakes) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    auto options = net.server_options;
    options.trust = std::make_shared<GivenKeyTrust>(std::vector<crypto::PublicKey>{});
    EXPECT_TRUE(net.server().set_options(options));
    auto refused = co_await net.dial();
    EXPECT_EQ(code_of(co_await refused.receive(as_result)), Errc::truncated);
    co_await client.send("those that stand go on");
    EXPECT_TRUE(co_await server.receive());
    options.protocol.modes = {Mode::psk};
    EXPECT_EQ(code_of(net.server().set_options(options)), Errc::bad_configuration);
  });
}

TEST(ScpServer, AcceptEndsWithItsCancellationAndWithTheServer) {
  ScpLoopback net;
  (void)net.server();
  std::optional<Errc> ended;
  auto accepting = [](Server& on, std::optional<Errc>& out) -> Task {
    out = code_of(co_await on.accept(as_result));
  };
  net.beside(accepting(net.server(), ended));
  net.context.poll();
  EXPECT_FALSE(ended);
  net.server().stop();
  net.run_until([&ended] { return ended.has_value(); });
  EXPECT_EQ(ended, Errc::cancelled);
}

TEST(ScpServer, APortThatIsTakenIsAnError) {
  ScpLoopback net;
  Server other(net.server_options);
  const auto bound = other.bind(net.context.get_executor(), "127.0.0.1", net.server().port());
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().code, Errc::system_error);
}

TEST(ScpServer, ManyChannelsAtOnceEachGetTheirAnswers) {
  ScpLoopback net;
  net.server().on_connection([](Channel client) -> Task {
    while (auto message = co_await client.receive()) co_await client.enqueue(message.text());
  });
  int finished = 0;
  auto talking = [](ScpLoopback& on, int number, int& done) -> Task {
    auto channel = co_await on.dial();
    for (int i = 0; i < 20; ++i) {
      const std::string text = std::to_string(number) + "/" + std::to_string(i);
      co_await channel.enqueue(text);
      EXPECT_EQ((co_await channel.receive()).text(), text);
    }
    co_await channel.close();
    ++done;
  };
  for (int i = 0; i < 100; ++i) net.beside(talking(net, i, finished));
  net.run_until([&finished] { return finished == 100; });
}

}  // namespace
}  // namespace sealine::io::scp
