#include "sealine/io/stcp_listener.hpp"

#include "io/detail/dialer.hpp"
#include "io/detail/handshake_budget.hpp"
#include "io/stcp_fixture.hpp"
#include "sealine/io/stcp_blocking.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace sealine::io::stcp {

namespace {

using io::test::fresh_identity;
using io::test::Loopback;
using net::ip::tcp;

tcp::socket connect_raw(Loopback& net) {
  tcp::socket socket(net.context);
  socket.connect({net::ip::address_v4::loopback(), net.listener().port()});
  return socket;
}

TEST(StcpListener, failed_handshake_is_reported_and_ends_nothing) {
  Loopback net;
  tcp::socket raw = connect_raw(net);
  net::write(raw, net::buffer(std::string(24, 'x')));
  net.run_until([&] { return net.failures.size() == 1; });
  EXPECT_EQ(net.failures[0].error.code, Errc::bad_record_head);
  std::string nothing(1, '\0');
  error_code ec;
  EXPECT_EQ(net::read(raw, net::buffer(nothing), ec), 0U);  // silent
  auto [client, server] = net.pair();
  EXPECT_EQ(net.transfer(client, server, 100), "ok");
  EXPECT_EQ(net.listener().statistics().failed, 1U);
  EXPECT_EQ(net.listener().statistics().half_open, 0U);
}

TEST(StcpListener, slow_handshake_meets_the_deadline) {
  Loopback net;
  net.server_options.protocol.limits.handshake_timeout = std::chrono::milliseconds(50);
  std::vector<tcp::socket> slow;
  for (int i = 0; i < 50; ++i) slow.push_back(connect_raw(net));
  net.run_until([&] { return net.failures.size() == slow.size(); });
  for (const auto& failure : net.failures) {
    EXPECT_EQ(failure.error.code, Errc::handshake_timeout);
  }
  auto [client, server] = net.pair();
  EXPECT_EQ(net.transfer(client, server, 100), "ok");
}

TEST(StcpListener, probe_resistance_waits_for_the_deadline) {
  Loopback net;
  net.server_options.probe_resist = true;
  net.server_options.protocol.limits.handshake_timeout = std::chrono::milliseconds(80);
  tcp::socket raw = connect_raw(net);
  net::write(raw, net::buffer(std::string(24, 'x')));
  net.run_until([&] { return net.failures.size() == 1; });
  bool ended = false;
  const auto start = std::chrono::steady_clock::now();
  std::string byte(1, '\0');
  raw.async_read_some(net::buffer(byte), [&](const error_code& ec, std::size_t) {
    EXPECT_TRUE(ec);
    ended = true;
  });
  net.run_until([&] { return ended; });
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(40));
}

TEST(StcpListener, half_open_budget_refuses_more_of_one_network) {
  ListenerLimits limits = Loopback::generous();
  limits.half_open_per_network = 3;
  Loopback net(limits);
  std::vector<tcp::socket> open;
  for (int i = 0; i < 5; ++i) open.push_back(connect_raw(net));
  net.run_until([&] { return net.failures.size() == 2; });
  EXPECT_EQ(net.failures[0].error.code, Errc::half_open_full);
  EXPECT_EQ(net.listener().statistics().half_open, 3U);
  open.clear();
  net.run_until([&] { return net.listener().statistics().half_open == 0; });
  auto [client, server] = net.pair();
  EXPECT_EQ(net.transfer(client, server, 100), "ok");
}

TEST(HandshakeBudget, counts_networks_addresses_and_rates) {
  ListenerLimits limits;
  limits.half_open = 100;
  limits.half_open_per_network = 2;
  limits.handshakes_per_second = 1;
  limits.handshake_burst = 3;
  detail::HandshakeBudget budget(limits);
  const auto at = [](int seconds) { return TimePoint(std::chrono::seconds(seconds)); };
  const auto a = net::ip::make_address("10.0.0.1");
  const auto same_network = net::ip::make_address("::ffff:10.0.0.9");
  const auto other = net::ip::make_address("2001:db8::1");
  EXPECT_FALSE(budget.take(a, at(1)));
  EXPECT_FALSE(budget.take(same_network, at(1)));
  EXPECT_EQ(budget.take(a, at(1)), Errc::half_open_full);
  EXPECT_FALSE(budget.take(other, at(1)));
  budget.give_back(same_network);
  EXPECT_FALSE(budget.take(a, at(1)));
  budget.give_back(a);
  EXPECT_FALSE(budget.take(a, at(1)));
  budget.give_back(a);
  EXPECT_EQ(budget.take(a, at(1)), Errc::too_many_handshakes);
  EXPECT_FALSE(budget.take(a, at(2)));
  EXPECT_EQ(budget.half_open(), 3U);
}

TEST(StcpListener, connection_limit_holds_the_next_one_back) {
  ListenerLimits limits = Loopback::generous();
  limits.connections = 1;
  Loopback net(limits);
  auto [client, server] = net.pair();
  std::optional<Stream> second_server;
  std::optional<error_code> connected;
  Stream second = net.new_client();
  net.listener().async_accept([&](const error_code& ec, Stream stream) {
    EXPECT_FALSE(ec);
    second_server = std::move(stream);
  });
  second.async_connect("127.0.0.1", net.listener().port(),
                       [&](const error_code& ec) { connected = ec; });
  EXPECT_EQ(net.transfer(client, server, 100'000), "ok");
  EXPECT_FALSE(second_server);
  server.close();
  net.run_until([&] { return connected && second_server; });
  EXPECT_FALSE(*connected);
}

TEST(StcpListener, drain_waits_for_the_streams) {
  Loopback net;
  auto [client, server] = net.pair();
  std::optional<error_code> drained;
  std::optional<error_code> refused;
  net.listener().async_drain([&](const error_code& ec) { drained = ec; });
  net.listener().async_accept([&](const error_code& ec, Stream) { refused = ec; });
  EXPECT_EQ(net.transfer(client, server, 100'000), "ok");
  EXPECT_FALSE(drained);
  EXPECT_EQ(*refused, net::error::operation_aborted);
  server = Stream();
  net.run_until([&] { return drained.has_value(); });
  EXPECT_FALSE(*drained);
}

TEST(StcpListener, serves_a_thousand_connections) {
  Loopback net;
  constexpr std::size_t kCount = 1000;
  std::vector<Stream> servers;
  std::vector<Stream> clients;
  std::size_t connected = 0;
  std::function<void()> accept = [&] {
    net.listener().async_accept([&](const error_code& ec, Stream stream) {
      ASSERT_FALSE(ec) << ec.message();
      servers.push_back(std::move(stream));
      if (servers.size() < kCount) accept();
    });
  };
  accept();
  std::function<void()> connect = [&] {
    clients.push_back(net.new_client());
    clients.back().async_connect("127.0.0.1", net.listener().port(), [&](const error_code& ec) {
      ASSERT_FALSE(ec) << ec.message();
      if (++connected + 50 <= kCount) connect();
    });
  };
  clients.reserve(kCount);
  for (int i = 0; i < 50; ++i) connect();
  net.run_until([&] { return connected == kCount && servers.size() == kCount; });
  EXPECT_EQ(net.transfer(clients[0], servers[0], 100), "ok");
  EXPECT_EQ(net.listener().statistics().connections, kCount);
}

TEST(StcpListener, streams_may_live_on_strands_of_several_threads) {
  Loopback net;
  net.server_options.protocol.modes = {Mode::tofu};
  const auto strand = net::make_strand(net.context.get_executor());
  Listener listener(net::any_io_executor(strand), std::move(net.server_options),
                    Loopback::generous());
  listener.set_stream_executor(
      [&] { return net::any_io_executor(net::make_strand(net.context.get_executor())); });
  listener.listen("127.0.0.1", 0);
  const std::uint16_t port = listener.port();
  constexpr int kClients = 40;
  std::atomic<int> served = 0;
  const auto echo = [](Stream stream) -> net::awaitable<void> {
    std::string text(100'000, '\0');
    co_await net::async_read(stream, net::buffer(text), net::use_awaitable);
    co_await net::async_write(stream, net::buffer(text), net::use_awaitable);
    co_await stream.async_shutdown(net::use_awaitable);
  };
  const auto serve = [&]() -> net::awaitable<void> {
    for (int i = 0; i < kClients; ++i) {
      Stream stream = co_await listener.async_accept(net::use_awaitable);
      const net::any_io_executor executor = stream.get_executor();
      net::co_spawn(executor, echo(std::move(stream)), net::detached);
    }
  };
  const auto ask = [&]() -> net::awaitable<void> {
    const net::any_io_executor own = co_await net::this_coro::executor;
    Stream stream(own, net.client_options);
    co_await stream.async_connect("127.0.0.1", port, net::use_awaitable);
    std::string text(100'000, 'x');
    co_await net::async_write(stream, net::buffer(text), net::use_awaitable);
    co_await net::async_read(stream, net::buffer(text), net::use_awaitable);
    co_await stream.async_shutdown(net::use_awaitable);
    if (++served == kClients) net.context.stop();
  };
  net::co_spawn(strand, serve(), net::detached);
  for (int i = 0; i < kClients; ++i) {
    net::co_spawn(net::make_strand(net.context.get_executor()), ask(), net::detached);
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { net.context.run(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, kClients);
}

TEST(Dialer, takes_the_address_that_answers) {
  net::io_context context;
  tcp::acceptor good(context, {net::ip::address_v4::loopback(), 0});
  const std::uint16_t port = good.local_endpoint().port();
  std::optional<error_code> ended;
  // Nobody listens at the others: refused at once, so that the next is tried without its delay.
  const std::vector<tcp::endpoint> addresses{{net::ip::make_address("127.0.0.2"), port},
                                             {net::ip::make_address("127.0.0.3"), port},
                                             {net::ip::address_v4::loopback(), port}};
  std::make_shared<detail::Dialer>(
      context.get_executor(), detail::Dialer::Timing{std::chrono::hours(1), std::chrono::hours(1)},
      [&](const error_code& ec, tcp::socket socket) {
        ended = ec;
        EXPECT_EQ(socket.remote_endpoint().address(), net::ip::address_v4::loopback());
      })
      ->start(addresses);
  context.run();
  EXPECT_FALSE(*ended) << ended->message();
}

TEST(Dialer, families_take_turns) {
  const auto v4 = [](unsigned short port) { return tcp::endpoint(tcp::v4(), port); };
  const auto v6 = [](unsigned short port) { return tcp::endpoint(tcp::v6(), port); };
  const auto mixed = detail::interleave({v6(1), v6(2), v6(3), v4(4)});
  EXPECT_EQ(mixed, (std::vector<tcp::endpoint>{v6(1), v4(4), v6(2), v6(3)}));
}

TEST(StcpBlocking, client_and_server_in_plain_calls) {
  ServerOptions server_options;
  server_options.protocol.identity = fresh_identity();
  server_options.protocol.modes = {Mode::tofu};
  ClientOptions client_options;
  client_options.trust =
      std::make_shared<GivenKeyTrust>(std::vector{server_options.protocol.identity->public_key});
  auto listener = blocking::listen("127.0.0.1", 0, std::move(server_options));
  ASSERT_TRUE(listener);
  std::string failure;
  std::thread server([&] {
    auto stream = listener->accept();
    if (!stream) return void(failure = "accept");
    std::vector<std::uint8_t> data(100'000);
    for (;;) {
      const auto n = stream->read(data);
      if (!n) return void(failure = "read");
      if (*n == 0) break;
      if (!stream->write(ByteView(data).first(*n))) return void(failure = "write");
    }
    if (!stream->shutdown()) failure = "shutdown";
  });
  auto stream = blocking::connect("127.0.0.1", listener->port(), client_options);
  ASSERT_TRUE(stream) << make_error_code(stream.error()).message();
  const auto sent = io::test::pattern(200'000);
  std::vector<std::uint8_t> received(sent.size());
  EXPECT_TRUE(stream->write(sent));
  EXPECT_TRUE(stream->read_all(received));
  EXPECT_EQ(received, sent);
  EXPECT_TRUE(stream->shutdown());
  EXPECT_EQ(stream->read(received), std::size_t{0});
  server.join();
  EXPECT_EQ(failure, "");
}

}  // namespace

}  // namespace sealine::io::stcp
