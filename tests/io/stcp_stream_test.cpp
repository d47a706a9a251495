#include "sealine/io/stcp_stream.hpp"

#include "io/stcp_fixture.hpp"
#include "sealine/io/known_peers.hpp"
#include "support/no_alloc.hpp"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#if defined(SEALINE_ASIO_BOOST)
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/experimental/deferred.hpp>
#include <boost/asio/use_future.hpp>
#else
#include <asio/bind_cancellation_slot.hpp>
#include <asio/experimental/deferred.hpp>
#include <asio/use_future.hpp>
#endif

namespace sealine::io::stcp {

namespace {

using io::test::fresh_identity;
using io::test::Loopback;
using io::test::pattern;
using io::test::TemporaryFolder;
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

// --- trust
// ----------------------------------------------------------------------------------------

TEST(StcpStream, other_key_than_the_given_one_sends_nothing) {
  Loopback net;
  net.client_options.trust =
      std::make_shared<GivenKeyTrust>(std::vector{fresh_identity()->public_key});
  Stream client = net.new_client();
  EXPECT_EQ(net.try_connect(client), make_error_code(Errc::peer_key_changed));
  EXPECT_EQ(client.fault_point(), 7U);
  EXPECT_EQ(client.verdict()->pins.size(), 1U);
  net.run_until([&] { return !net.failures.empty(); });
  EXPECT_EQ(net.failures[0].error.code, Errc::truncated);
  EXPECT_EQ(client.statistics().records_sent, 0U);
}

TEST(StcpStream, first_contact_pins_and_later_ones_know) {
  Loopback net;
  const TemporaryFolder folder;
  const auto trust = std::make_shared<KnownPeersTrust>(KnownPeers(folder.path() / "known_peers"),
                                                       TrustPolicy::first);
  net.client_options.trust = trust;
  auto [first, at_server] = net.pair();
  EXPECT_EQ(first.connected().trust, TrustWord::first_contact);
  ASSERT_TRUE(first.connected().sas.has_value());
  EXPECT_EQ(first.connected().sas, at_server.connected().sas);
  auto [second, at_server_too] = net.pair();
  EXPECT_EQ(second.connected().trust, TrustWord::known);
  EXPECT_FALSE(second.connected().sas.has_value());
  EXPECT_NE(describe(second.connected()).find("(known), STCP/1 NX, AES-256-GCM"),
            std::string::npos);
}

TEST(StcpStream, concurrent_first_contacts_pin_one_key) {
  Loopback net;
  const TemporaryFolder folder;
  const KnownPeers file(folder.path() / "known_peers");
  std::vector<Stream> clients;
  std::size_t connected = 0;
  net.listener();
  for (int i = 0; i < 20; ++i) {
    net.client_options.trust = std::make_shared<KnownPeersTrust>(file, TrustPolicy::first);
    clients.push_back(net.new_client());
    clients.back().async_connect("127.0.0.1", net.listener().port(), [&](const error_code& ec) {
      EXPECT_FALSE(ec) << ec.message();
      ++connected;
    });
  }
  net.run_until([&] { return connected == clients.size(); });
  EXPECT_EQ(file.list()->size(), 1U);
}

TEST(StcpStream, announced_key_is_kept_beside_the_present_one) {
  Loopback net;
  const TemporaryFolder folder;
  const KnownPeers file(folder.path() / "known_peers");
  net.client_options.trust = std::make_shared<KnownPeersTrust>(file, TrustPolicy::first);
  auto [client, server] = net.pair();
  const auto next = fresh_identity()->public_key;
  ASSERT_TRUE(server.announce_next_key(next));
  EXPECT_FALSE(net.write(server, "x"));
  EXPECT_EQ(net.read_some(client).second, "x");
  const auto lines = file.list();
  ASSERT_EQ(lines->size(), 2U);
  EXPECT_EQ((*lines)[1].key, next);
}

/// Answers when the test says so.
class LateTrust final : public Trust {
 public:
  void decide(const Introduction& introduction, Answer answer) override {
    asked = introduction;
    answer_ = std::move(answer);
  }

  std::optional<Introduction> asked;
  Answer answer_;
};

TEST(StcpStream, waits_for_a_verdict_that_comes_later_from_another_thread) {
  Loopback net;
  const auto trust = std::make_shared<LateTrust>();
  net.client_options.trust = trust;
  Stream client = net.new_client();
  std::optional<error_code> connected;
  client.async_connect("127.0.0.1", net.listener().port(),
                       [&](const error_code& ec) { connected = ec; });
  net.run_until([&] { return trust->asked.has_value(); });
  EXPECT_EQ(trust->asked->peer, "127.0.0.1:" + std::to_string(net.listener().port()));
  std::thread([&] { trust->answer_(Verdict::accept(TrustWord::given)); }).join();
  net.run_until([&] { return connected.has_value(); });
  EXPECT_FALSE(*connected);
}

TEST(StcpStream, verdict_after_the_stream_is_gone_is_ignored) {
  Loopback net;
  const auto trust = std::make_shared<LateTrust>();
  net.client_options.trust = trust;
  {
    Stream client = net.new_client();
    client.async_connect("127.0.0.1", net.listener().port(), [](const error_code& ec) {
      EXPECT_EQ(ec, net::error::operation_aborted);
    });
    net.run_until([&] { return trust->asked.has_value(); });
  }
  trust->answer_(Verdict::accept(TrustWord::given));
  net.context.poll();
}

TEST(StcpStream, mutual_mode_shows_both_keys) {
  Loopback net;
  const auto client_key = fresh_identity();
  net.server_options.protocol.modes = {Mode::mutual};
  net.server_options.trust = std::make_shared<GivenKeyTrust>(std::vector{client_key->public_key});
  net.client_options.protocol.mode = Mode::mutual;
  net.client_options.protocol.identity = client_key;
  auto [client, server] = net.pair();
  EXPECT_EQ(server.peer().key, client_key->public_key);
  EXPECT_EQ(server.connected().trust, TrustWord::given);
  EXPECT_EQ(net.transfer(client, server, 1000), "ok");
}

TEST(StcpStream, wrong_psk_meets_silence) {
  Loopback net;
  crypto::Psk psk;
  psk.writable()[0] = 1;
  net.server_options.protocol.modes = {Mode::psk};
  net.server_options.protocol.psks.push_back(ServerPsk::make(thread_engine(), psk.clone()));
  net.client_options.protocol.mode = Mode::psk;
  net.client_options.protocol.psk = std::make_shared<const crypto::Psk>(psk.clone());
  {
    auto [client, server] = net.pair();
    EXPECT_EQ(client.connected().trust, TrustWord::psk);
    EXPECT_EQ(net.transfer(client, server, 1000), "ok");
  }
  psk.writable()[0] = 2;
  net.client_options.protocol.psk = std::make_shared<const crypto::Psk>(std::move(psk));
  Stream client = net.new_client();
  EXPECT_EQ(net.try_connect(client), make_error_code(Errc::truncated));
  ASSERT_EQ(net.failures.size(), 1U);
  EXPECT_EQ(net.failures[0].error.code, Errc::unknown_hint);
}

// --- tokens, movement, cancellation
// ---------------------------------------------------------------

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

// --- batching, buffers, limits
// --------------------------------------------------------------------

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
// ------------------------------------------------------------------------------------

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
