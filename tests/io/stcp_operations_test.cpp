#include "io/stcp_fixture.hpp"
#include "sealine/io/stcp_stream.hpp"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#if defined(SEALINE_ASIO_BOOST)
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/experimental/deferred.hpp>
#include <boost/asio/use_future.hpp>
#else
#include <asio/bind_cancellation_slot.hpp>
#include <asio/experimental/deferred.hpp>
#include <asio/use_future.hpp>
#endif

// A stream as Asio has it: completion tokens, executors, cancellation, and objects that go away.

namespace sealine::io::stcp {
namespace {

using io::test::Loopback;

net::awaitable<std::string> ask(Stream& stream, std::string question) {
  co_await net::async_write(stream, net::buffer(question), net::use_awaitable);
  co_await stream.async_shutdown(net::use_awaitable);
  std::string answer(100, '\0');
  answer.resize(co_await stream.async_read_some(net::buffer(answer), net::use_awaitable));
  co_return answer;
}

net::awaitable<void> echo(Stream& stream) {
  std::string text(100, '\0');
  text.resize(co_await stream.async_read_some(net::buffer(text), net::use_awaitable));
  co_await net::async_write(stream, net::buffer(text), net::use_awaitable);
  co_await stream.async_shutdown(net::use_awaitable);
}

TEST(StcpStream, takes_coroutines) {
  Loopback net;
  auto [client, server] = net.pair();
  std::string answer;
  net::co_spawn(net.context, echo(server), net::detached);
  net::co_spawn(net.context, ask(client, "hello"),
                [&](const std::exception_ptr& failed, std::string text) {
                  EXPECT_FALSE(failed);
                  answer = std::move(text);
                });
  net.run_until([&] { return !answer.empty(); });
  EXPECT_EQ(answer, "hello");
}

TEST(StcpStream, takes_futures_and_deferred_operations) {
  Loopback net;
  auto [client, server] = net.pair();
  std::string received(5, '\0');
  auto read = server.async_read_some(net::buffer(received), net::use_future);
  auto write = client.async_write_some(net::buffer("hello", 5), net::experimental::deferred);
  std::optional<std::size_t> wrote;
  std::move(write)([&](const error_code& ec, std::size_t n) {
    EXPECT_FALSE(ec);
    wrote = n;
  });
  net.run_until(
      [&] { return wrote && read.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
  EXPECT_EQ(read.get(), 5U);
  EXPECT_EQ(received, "hello");
}

TEST(StcpStream, handler_is_never_called_from_within_the_call) {
  Loopback net;
  auto [client, server] = net.pair();
  bool inside = true;
  bool called = false;
  client.async_write_some(net::buffer("x", 1), [&](const error_code&, std::size_t) {
    EXPECT_FALSE(inside);
    called = true;
  });
  inside = false;
  net.run_until([&] { return called; });
}

TEST(StcpStream, handler_runs_on_its_own_executor) {
  Loopback net;
  auto [client, server] = net.pair();
  auto strand = net::make_strand(net.context.get_executor());
  bool called = false;
  client.async_write_some(net::buffer("x", 1),
                          net::bind_executor(strand, [&](const error_code&, std::size_t) {
                            EXPECT_TRUE(strand.running_in_this_thread());
                            called = true;
                          }));
  net.run_until([&] { return called; });
}

TEST(StcpStream, moves_while_operations_wait) {
  Loopback net;
  auto [client, server] = net.pair();
  std::string text(10, '\0');
  std::optional<std::size_t> got;
  server.async_read_some(net::buffer(text), [&](const error_code& ec, std::size_t n) {
    EXPECT_FALSE(ec);
    got = n;
  });
  Stream moved = std::move(server);
  EXPECT_FALSE(net.write(client, "abc"));
  net.run_until([&] { return got.has_value(); });
  EXPECT_EQ(*got, 3U);
  EXPECT_FALSE(static_cast<bool>(server));  // NOLINT(bugprone-use-after-move)
}

TEST(StcpStream, destruction_ends_what_waits) {
  Loopback net;
  auto [client, server] = net.pair();
  std::optional<error_code> ended;
  std::string text(10, '\0');
  server.async_read_some(net::buffer(text), [&](const error_code& ec, std::size_t) { ended = ec; });
  server = Stream();
  net.run_until([&] { return ended.has_value(); });
  EXPECT_EQ(*ended, net::error::operation_aborted);
}

TEST(StcpStream, context_may_go_while_operations_wait) {
  // The coroutine's frame owns the stream that it waits on: nothing but the context's end frees it.
  auto net = std::make_unique<Loopback>();
  auto [client, server] = net->pair();
  net::co_spawn(
      net->context,
      [](Stream stream) -> net::awaitable<void> {
        std::string text(10, '\0');
        co_await stream.async_read_some(net::buffer(text), net::use_awaitable);
      }(std::move(server)),
      net::detached);
  net->context.restart();
  net->context.poll();
  client = Stream();
  net.reset();
}

TEST(StcpStream, cancellation_slot_ends_one_operation) {
  Loopback net;
  auto [client, server] = net.pair();
  net::cancellation_signal signal;
  std::optional<error_code> ended;
  std::string text(10, '\0');
  server.async_read_some(net::buffer(text), net::bind_cancellation_slot(
                                                signal.slot(), [&](const error_code& ec,
                                                                   std::size_t) { ended = ec; }));
  signal.emit(net::cancellation_type::terminal);
  net.run_until([&] { return ended.has_value(); });
  EXPECT_EQ(*ended, net::error::operation_aborted);
  EXPECT_EQ(net.transfer(client, server, 100), "ok");
}

TEST(StcpStream, cancel_leaves_the_connection) {
  Loopback net;
  auto [client, server] = net.pair();
  std::optional<error_code> ended;
  std::string text(10, '\0');
  server.async_read_some(net::buffer(text), [&](const error_code& ec, std::size_t) { ended = ec; });
  server.cancel();
  net.run_until([&] { return ended.has_value(); });
  EXPECT_EQ(*ended, net::error::operation_aborted);
  EXPECT_EQ(net.transfer(client, server, 100), "ok");
}

TEST(StcpStream, second_read_at_a_time_is_refused) {
  Loopback net;
  auto [client, server] = net.pair();
  std::string text(10, '\0');
  int ended = 0;
  server.async_read_some(net::buffer(text), [&](const error_code&, std::size_t) { ++ended; });
  server.async_read_some(net::buffer(text), [&](const error_code& ec, std::size_t) {
    EXPECT_EQ(ec, make_error_code(Errc::operation_in_progress));
    ++ended;
  });
  EXPECT_FALSE(net.write(client, "x"));
  net.run_until([&] { return ended == 2; });
}

TEST(StcpStream, context_runs_out_of_work_when_nothing_is_pending) {
  Loopback net;
  auto [client, server] = net.pair();
  EXPECT_EQ(net.transfer(client, server, 100), "ok");
  net.listener().close();
  net.context.restart();
  net.context.run();  // an idle deadline of minutes must not hold it
  EXPECT_EQ(client.state(), State::encrypted);
}

}  // namespace
}  // namespace sealine::io::stcp
