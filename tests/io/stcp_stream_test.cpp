#include "sealine/io/stcp_stream.hpp"

#include "io/stcp_fixture.hpp"
#include "support/no_alloc.hpp"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

// A stream: bytes, ends and faults, batching and buffers, deadlines, addresses.

namespace sealine::io::stcp {
namespace {

using io::test::Loopback;
using io::test::pattern;
using net::ip::tcp;

/// A connection without machine at one end: a plain socket and what it received.
struct RawServer {
  explicit RawServer(net::io_context& context)
      : acceptor(context, tcp::endpoint(net::ip::address_v4::loopback(), 0)), socket(context) {}

  [[nodiscard]] std::uint16_t port() const { return acceptor.local_endpoint().port(); }

  tcp::acceptor acceptor;
  tcp::socket socket;
};

TEST(StcpStream, carries_bytes_both_ways) {
  Loopback net;
  auto [client, server] = net.pair();
  EXPECT_EQ(net.transfer(client, server, 1), "ok");
  EXPECT_EQ(net.transfer(server, client, 100), "ok");
  EXPECT_EQ(net.transfer(client, server, 3'000'000), "ok");
  EXPECT_EQ(net.transfer(server, client, 3'000'000), "ok");
  EXPECT_EQ(client.state(), State::encrypted);
  EXPECT_EQ(client.statistics().data_bytes_sent, 3'000'001U);
  EXPECT_EQ(server.statistics().data_bytes_received, 3'000'001U);
}

TEST(StcpStream, carries_both_directions_at_once) {
  Loopback net;
  auto [client, server] = net.pair();
  const auto sent = pattern(5'000'000);
  std::vector<std::uint8_t> at_client(sent.size());
  std::vector<std::uint8_t> at_server(sent.size());
  int done = 0;
  const auto count = [&](const error_code& ec, std::size_t) {
    EXPECT_FALSE(ec) << ec.message();
    ++done;
  };
  net::async_write(client, net::buffer(sent), count);
  net::async_write(server, net::buffer(sent), count);
  net::async_read(client, net::buffer(at_client), count);
  net::async_read(server, net::buffer(at_server), count);
  net.run_until([&] { return done == 4; });
  EXPECT_EQ(at_client, sent);
  EXPECT_EQ(at_server, sent);
}

TEST(StcpStream, half_close_ends_one_direction_alone) {
  Loopback net;
  auto [client, server] = net.pair();
  EXPECT_FALSE(net.write(client, "question"));
  EXPECT_FALSE(net.shutdown(client));
  EXPECT_EQ(net.read_some(server).second, "question");
  EXPECT_EQ(net.read_some(server).first, net::error::eof);
  EXPECT_FALSE(net.write(server, "answer"));
  EXPECT_FALSE(net.shutdown(server));
  EXPECT_EQ(net.read_some(client).second, "answer");
  EXPECT_EQ(net.read_some(client).first, net::error::eof);
  EXPECT_EQ(net.read_some(client).first, net::error::eof);
  EXPECT_EQ(client.state(), State::closed);
  EXPECT_EQ(server.state(), State::closed);
  EXPECT_EQ(net.write(client, "more"), make_error_code(Errc::already_closed));
}

TEST(StcpStream, end_without_close_is_truncation) {
  Loopback net;
  auto [client, server] = net.pair();
  EXPECT_FALSE(net.write(client, "half"));
  client.close();
  EXPECT_EQ(net.read_some(server).second, "half");
  EXPECT_EQ(net.read_some(server).first, make_error_code(Errc::truncated));
  EXPECT_EQ(server.fault()->code, Errc::truncated);
  EXPECT_EQ(server.fault_point(), 0U);
}

TEST(StcpStream, altered_record_is_a_silent_fault) {
  Loopback net;
  auto [client, server] = net.pair();
  const std::array<char, 24> garbage{0, 0, 0, 0, 0, 0, 0, 64, 'x'};
  ::send(client.next_layer().native_handle(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
  EXPECT_EQ(net.read_some(server).first, make_error_code(Errc::record_out_of_place));
  EXPECT_EQ(server.fault_point(), 11U);
  EXPECT_EQ(net.read_some(client).first, make_error_code(Errc::truncated));
  EXPECT_EQ(net.write(server, "x"), make_error_code(Errc::record_out_of_place));
}

TEST(StcpStream, abort_tells_its_reason_after_the_data) {
  Loopback net;
  auto [client, server] = net.pair();
  EXPECT_FALSE(net.write(client, "data"));
  std::optional<error_code> aborted;
  client.async_abort(17, [&](const error_code& ec) { aborted = ec; });
  EXPECT_EQ(net.read_some(server).second, "data");
  EXPECT_EQ(net.read_some(server).first, make_error_code(Errc::aborted));
  EXPECT_EQ(server.fault()->detail, 17U);
  net.run_until([&] { return aborted.has_value(); });
  EXPECT_FALSE(*aborted);
  EXPECT_FALSE(client.is_open());
}

// --- batching, buffers, limits

TEST(StcpStream, batching_gathers_small_writes) {
  Loopback net;
  net.client_options.batching = true;
  auto [client, server] = net.pair();
  const auto before = client.statistics().records_sent;
  for (int i = 0; i < 1000; ++i) {
    client.async_write_some(net::buffer("0123456789", 10), [](const error_code& ec, std::size_t n) {
      EXPECT_FALSE(ec);
      EXPECT_EQ(n, 10U);
    });
  }
  std::string received(10000, '\0');
  bool done = false;
  net::async_read(server, net::buffer(received), [&](const error_code& ec, std::size_t) {
    EXPECT_FALSE(ec);
    done = true;
  });
  net.run_until([&] { return done; });
  EXPECT_EQ(received.substr(9990), "0123456789");
  EXPECT_LE(client.statistics().records_sent - before, 3U);
}

TEST(StcpStream, shutdown_sends_what_batching_holds) {
  Loopback net;
  net.client_options.batching = true;
  auto [client, server] = net.pair();
  error_code ec;
  EXPECT_EQ(client.write_some(net::buffer("held", 4), ec), 4U);
  client.shutdown(ec);
  EXPECT_FALSE(ec);
  EXPECT_EQ(net.read_some(server).second, "held");
  EXPECT_EQ(net.read_some(server).first, net::error::eof);
}

TEST(StcpStream, gathers_small_buffers_into_one_record) {
  Loopback net;
  auto [client, server] = net.pair();
  const auto before = client.statistics().records_sent;
  const std::array<net::const_buffer, 3> parts{net::buffer("ab", 2), net::buffer("cd", 2),
                                               net::buffer("ef", 2)};
  std::optional<std::size_t> wrote;
  client.async_write_some(parts, [&](const error_code&, std::size_t n) { wrote = n; });
  net.run_until([&] { return wrote.has_value(); });
  EXPECT_EQ(*wrote, 6U);
  EXPECT_EQ(client.statistics().records_sent, before + 1);
  EXPECT_EQ(net.read_some(server).second, "abcdef");
}

TEST(StcpStream, small_reads_of_a_large_record) {
  Loopback net;
  auto [client, server] = net.pair();
  const auto sent = pattern(60000);
  error_code ec;
  EXPECT_EQ(client.write_some(net::buffer(sent), ec), sent.size());
  std::vector<std::uint8_t> received;
  while (received.size() < sent.size()) {
    std::array<std::uint8_t, 777> piece{};
    const std::size_t n = server.read_some(net::buffer(piece), ec);
    ASSERT_FALSE(ec) << ec.message();
    received.insert(received.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(n));
  }
  EXPECT_EQ(received, sent);
}

TEST(StcpStream, large_and_small_records_carry_the_same_bytes) {
  for (const std::uint8_t log2 : {std::uint8_t{12}, std::uint8_t{18}, std::uint8_t{22}}) {
    Loopback net;
    net.client_options.protocol.limits.max_record_log2 = log2;
    net.server_options.protocol.limits.max_record_log2 = log2;
    auto [client, server] = net.pair();
    EXPECT_EQ(net.transfer(client, server, 9'000'000), "ok");
    EXPECT_EQ(net.transfer(server, client, 100), "ok");
  }
}

TEST(StcpStream, small_message_behind_bulk_does_not_wait) {
  Loopback net;
  auto [client, server] = net.pair();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(net.transfer(client, server, 65536 * 3 + 17), "ok");
    EXPECT_EQ(net.transfer(client, server, 1), "ok");
  }
}

TEST(StcpStream, padding_and_rekey_change_nothing_for_the_application) {
  Loopback net;
  net.client_options.protocol.padding = ::sealine::stcp::PadToMultiple{4096};
  net.server_options.protocol.padding = ::sealine::stcp::PadPadme{};
  net.client_options.protocol.limits.rekey_bytes = 100'000;
  auto [client, server] = net.pair();
  // Nobody reads at the client while it sends: the answers to its rekeys are taken all the same.
  EXPECT_EQ(net.transfer(client, server, 20'000'000), "ok");
  EXPECT_EQ(net.transfer(server, client, 1'000'000), "ok");
  EXPECT_EQ(net.transfer(client, server, 1'000'000), "ok");
  EXPECT_GE(client.statistics().epoch_sent, 1U);
  EXPECT_EQ(client.statistics().epoch_sent, server.statistics().epoch_received);
}

TEST(StcpStream, constant_rate_delivers) {
  Loopback net;
  net.client_options.protocol.padding = ::sealine::stcp::PadConstantRate{
      .record_bytes = 512, .interval = std::chrono::milliseconds(20)};
  auto [client, server] = net.pair();
  EXPECT_EQ(net.transfer(client, server, 2000), "ok");
}

TEST(StcpStream, idle_connection_ends_by_its_deadline) {
  Loopback net;
  net.client_options.protocol.limits.idle_timeout = std::chrono::milliseconds(30);
  auto [client, server] = net.pair();
  EXPECT_EQ(net.read_some(client).first, make_error_code(Errc::idle_timeout));
  EXPECT_EQ(net.read_some(server).first, make_error_code(Errc::aborted));
}

TEST(StcpStream, record_that_comes_too_slowly_ends_the_connection) {
  Loopback net;
  net.server_options.protocol.limits.min_progress_window = std::chrono::milliseconds(30);
  auto [client, server] = net.pair();
  const std::array<char, 3> begun{};
  ::send(client.next_layer().native_handle(), begun.data(), begun.size(), MSG_NOSIGNAL);
  EXPECT_EQ(net.read_some(server).first, make_error_code(Errc::too_slow));
}

TEST(StcpStream, exported_keys_are_equal) {
  Loopback net;
  auto [client, server] = net.pair();
  ByteArray<32> a{};
  ByteArray<32> b{};
  ASSERT_TRUE(client.export_key("test", {}, a));
  ASSERT_TRUE(server.export_key("test", {}, b));
  EXPECT_EQ(a, b);
  EXPECT_NE(a, ByteArray<32>{});
}

TEST(StcpStream, data_path_allocates_nothing) {
  Loopback net;
  auto [client, server] = net.pair();
  std::vector<std::uint8_t> out(65536);
  std::vector<std::uint8_t> in(65536);
  error_code ec;
  const auto round = [&] {
    for (int i = 0; i < 20; ++i) {
      client.write_some(net::buffer(out), ec);
      std::size_t n = 0;
      while (n < in.size() && !ec) n += server.read_some(net::buffer(in), ec);
      server.write_some(net::buffer(out.data(), 64), ec);
      client.read_some(net::buffer(in), ec);
    }
  };
  round();
  std::size_t allocations = 0;
  {
    const ::sealine::test::NoAlloc guard;
    round();
    allocations = guard.allocations();
  }
  EXPECT_EQ(allocations, 0U);
  EXPECT_FALSE(ec) << ec.message();
}

TEST(StcpStream, asynchronous_data_path_recycles_its_memory) {
  Loopback net;
  auto [client, server] = net.pair();
  std::array<std::uint8_t, 64> out{};
  std::array<std::uint8_t, 64> in{};
  std::size_t rounds = 0;
  std::size_t at_start = 0;
  std::size_t at_end = 0;
  constexpr std::size_t kWarm = 50;
  constexpr std::size_t kRounds = 150;
  std::function<void()> ping_pong;  // one operation after the other, as a protocol would
  const auto check = [](const error_code& ec) { EXPECT_FALSE(ec) << ec.message(); };
  ping_pong = [&] {
    if (rounds == kWarm) at_start = ::sealine::test::allocation_count();
    if (++rounds == kRounds) {
      at_end = ::sealine::test::allocation_count();
      net.context.stop();
      return;
    }
    client.async_write_some(net::buffer(out), [&](const error_code& written, std::size_t) {
      if (written) check(written);
      server.async_read_some(net::buffer(in), [&](const error_code& read, std::size_t) {
        if (read) check(read);
        ping_pong();
      });
    });
  };
  ping_pong();
  net.context.restart();
  net.context.run();  // one run: Asio keeps its recycled memory no longer
  EXPECT_EQ(at_end - at_start, 0U);
}

// --- addresses

TEST(StcpStream, connects_over_ipv6) {
  Loopback net;
  Listener listener(net.context, [&] {
    ServerOptions options;
    options.protocol.identity = net.server_options.protocol.identity;
    options.protocol.modes = {Mode::tofu};
    return options;
  }());
  error_code ec;
  listener.listen("::1", 0, ec);
  if (ec) GTEST_SKIP() << "SKIPPED: no IPv6 here: " << ec.message();
  for (const char* host : {"::1", "[::1]"}) {
    Stream client = net.new_client();
    std::optional<error_code> connected;
    client.async_connect(host, listener.port(), [&](const error_code& e) { connected = e; });
    net.run_until([&] { return connected.has_value(); });
    EXPECT_FALSE(*connected) << connected->message();
    EXPECT_EQ(client.connected().peer, "[::1]:" + std::to_string(listener.port()));
  }
}

TEST(StcpStream, refused_connection_says_so) {
  Loopback net;
  std::uint16_t free_port = 0;
  {
    const RawServer nobody(net.context);
    free_port = nobody.port();
  }
  Stream client = net.new_client();
  std::optional<error_code> connected;
  client.async_connect("127.0.0.1", free_port, [&](const error_code& ec) { connected = ec; });
  net.run_until([&] { return connected.has_value(); });
  EXPECT_EQ(to_error(*connected).code, Errc::connection_refused);
}

TEST(StcpStream, silent_server_meets_the_handshake_deadline) {
  Loopback net;
  RawServer silent(net.context);
  net.client_options.protocol.limits.handshake_timeout = std::chrono::milliseconds(50);
  Stream client = net.new_client();
  std::optional<error_code> connected;
  client.async_connect("127.0.0.1", silent.port(), [&](const error_code& ec) { connected = ec; });
  net.run_until([&] { return connected.has_value(); });
  EXPECT_EQ(*connected, make_error_code(Errc::handshake_timeout));
  EXPECT_EQ(client.fault_point(), 9U);
}

TEST(StcpStream, operations_before_the_handshake_are_refused) {
  Loopback net;
  Stream client = net.new_client();
  EXPECT_EQ(net.read_some(client).first, make_error_code(Errc::not_encrypted));
  EXPECT_EQ(net.write(client, "x"), make_error_code(Errc::not_encrypted));
  EXPECT_EQ(net.shutdown(client), make_error_code(Errc::not_encrypted));
  EXPECT_EQ(client.state(), State::init);
}

TEST(StcpStream, forked_child_may_not_use_it) {
  Loopback net;
  auto [client, server] = net.pair();
  const pid_t child = ::fork();
  if (child == 0) {
    error_code ec;
    client.write_some(net::buffer("x", 1), ec);
    ::_exit(ec == make_error_code(Errc::forked) ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(net.transfer(client, server, 100), "ok");
}

}  // namespace
}  // namespace sealine::io::stcp
