// Channels that outlive their connections. spec: scp.md#reconnect
#include "scp_fixture.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/scp_channel.hpp"
#include "sealine/io/scp_server.hpp"
#include "sealine/scp/handshake.hpp"
#include "sealine/scp/limits.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace sealine::io::scp {
namespace {

using namespace std::chrono_literals;
using test::code_of;
using test::CuttingProxy;
using test::ScpLoopback;
using test::until;

class ScpReconnect : public ::testing::Test {
 protected:
  ScpReconnect() {
    net.client_options.protocol.reconnect = true;
    proxy.emplace(net.context, net.server().port());
  }

  /// Sends `count` numbered messages, then END.
  static Task send_all(Channel& from, int count) {
    for (int i = 0; i < count; ++i) co_await from.enqueue("message " + std::to_string(i));
    from.end();
  }

  /// All of them came, each once, in order.
  static Task expect_all(Channel& at, int count, bool& done) {
    for (int i = 0; i < count; ++i) {
      const auto message = co_await at.receive();
      EXPECT_EQ(message.text(), "message " + std::to_string(i));
      EXPECT_EQ(message.number(), static_cast<std::uint64_t>(i));
      if (message.text() != "message " + std::to_string(i)) break;
    }
    EXPECT_FALSE(co_await at.receive());
    done = true;
  }

  ScpLoopback net;
  std::optional<CuttingProxy> proxy;
};

TEST_F(ScpReconnect, AChannelGoesOnBehindACutAndSaysSo) {
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy->port());
    EXPECT_TRUE(client.can_reconnect());
    int lost = 0;
    int resumed = 0;
    client.on_event([&](const Event& event) {
      if (std::holds_alternative<ConnectionLost>(event)) ++lost;
      if (const auto* opened = std::get_if<Opened>(&event)) resumed += opened->resumed ? 1 : 0;
    });
    const auto id = client.id();
    co_await client.send("before");
    proxy->cut();
    co_await until([&lost] { return lost == 1; });
    EXPECT_EQ(client.state(), State::lost);
    co_await client.send("behind the cut");
    co_await server.send("an answer");
    EXPECT_EQ(lost, 1);
    EXPECT_EQ(resumed, 1);
    EXPECT_EQ(client.id(), id);
    EXPECT_EQ(client.statistics().connections, 2U);
    EXPECT_EQ(net.server().statistics().resumed, 1U);
    EXPECT_EQ(net.server().statistics().established, 1U);
    EXPECT_EQ((co_await server.receive()).text(), "before");
    EXPECT_EQ((co_await server.receive()).text(), "behind the cut");
    EXPECT_EQ((co_await client.receive()).text(), "an answer");
    const Outcome outcome = co_await client.close();
    EXPECT_EQ(outcome.code, Code::normal);
    EXPECT_EQ(outcome.unknown, 0U);
  });
}

TEST_F(ScpReconnect, CutAgainAndAgainNoMessageIsLostAndNoneComesTwice) {
  proxy->cut_after = 30'000;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy->port());
    bool up = false;
    bool down = false;
    net.beside(send_all(client, 2000));
    net.beside(send_all(server, 2000));
    net.beside(expect_all(server, 2000, up));
    net.beside(expect_all(client, 2000, down));
    co_await until([&] { return up && down; });
    EXPECT_GT(client.statistics().connections, 3U);
    proxy->cut_after = 0;
    EXPECT_EQ((co_await client.closed()).unknown, 0U);
  });
}

TEST_F(ScpReconnect, ALargeMessageBegunBeforeTheCutIsSentAgainWhole) {
  proxy->cut_after = 1'000'000;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy->port());
    const auto bytes = test::pattern(3'000'000);
    auto sending = [](Channel& from, const std::vector<std::uint8_t>& what) -> Task {
      co_await from.send(what);
    };
    net.beside(sending(client, bytes));
    co_await until([&] { return proxy->connections > 1; });
    proxy->cut_after = 0;
    const auto message = co_await server.receive();
    EXPECT_EQ(message.size(), bytes.size());
    EXPECT_TRUE(std::ranges::equal(message.bytes(), bytes));
    co_await client.receipts(1);
  });
}

TEST_F(ScpReconnect, FailedAttemptsAreRepeatedUntilOneSucceeds) {
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy->port());
    proxy->refuses = true;
    proxy->cut();
    co_await until([&] { return proxy->connections >= 3; });
    proxy->refuses = false;
    co_await client.send("at last");
    EXPECT_EQ((co_await server.receive()).text(), "at last");
  });
}

TEST_F(ScpReconnect, AfterItsTimeTheClientGivesUpAndTheMessagesAreUnknown) {
  net.client_options.protocol.limits.reconnect_timeout = 150ms;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy->port());
    co_await client.send("arrived");
    proxy->refuses = true;
    proxy->cut();
    for (int i = 0; i < 5; ++i) co_await client.enqueue("who knows");
    EXPECT_EQ(code_of(co_await client.receive(as_result)), Errc::gave_up);
    EXPECT_EQ(client.outcome()->receipted, 1U);
    EXPECT_EQ(client.outcome()->unknown, 5U);
    server.drop();
  });
}

TEST_F(ScpReconnect, AServerThatForgotTheChannelEndsItWithUnknownChannel) {
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy->port());
    net.restart_server();  // the same key, another table
    proxy->set_target(net.server().port());
    proxy->cut();
    co_await client.enqueue("unknown");
    EXPECT_EQ(code_of(co_await client.receive(as_result)), Errc::channel_unknown);
    EXPECT_EQ(client.outcome()->code, Code::unknown_channel);
    EXPECT_EQ(client.outcome()->unknown, 1U);
    EXPECT_EQ(net.failures.back().error.code, Errc::channel_unknown);
    EXPECT_EQ(code_of(co_await server.receive(as_result)), Errc::truncated);
  });
}

TEST_F(ScpReconnect, AnotherKeyThanTheChannelsStopsTheClient) {
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy->port());
    net.server_options.protocol.identity = test::fresh_identity();
    net.restart_server();
    proxy->set_target(net.server().port());
    proxy->cut();
    EXPECT_EQ(code_of(co_await client.receive(as_result)), Errc::peer_key_changed);
    EXPECT_EQ(net.server().statistics().established, 0U);
  });
}

TEST_F(ScpReconnect, AWrongProofIsRefusedAndTheChannelStays) {
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy->port());
    // A thief of the client's key and of the channel's name has not its resume key.
    Secret<32, struct ::sealine::scp::ScpResumeKeyTag> guess;
    auto handshake = ::sealine::scp::ClientHandshake::create(
        net.client_options.protocol, thread_engine(), system_rng(),
        ::sealine::scp::ResumeRequest{client.id(), 0, &guess});
    net::ip::tcp::socket socket(net.context);
    const net::ip::tcp::endpoint there(net::ip::make_address("127.0.0.1"), net.server().port());
    co_await socket.async_connect(there, net::use_awaitable);
    std::vector<std::uint8_t> bytes(1024);
    const std::size_t init = handshake->poll_transmit(bytes);
    co_await net::async_write(socket, net::buffer(bytes, init), net::use_awaitable);
    std::size_t got = 0;
    for (bool whole = false; !whole;) {
      got += co_await socket.async_read_some(net::buffer(bytes) + got, net::use_awaitable);
      std::size_t used = 0;
      const auto progress = handshake->handle_bytes(MutableBytes(bytes).first(got), used);
      EXPECT_TRUE(progress);
      whole = !progress || *progress != ::sealine::scp::Progress::need_bytes;
    }
    EXPECT_TRUE(handshake->accept_peer_key());
    const std::size_t ack = handshake->poll_transmit(bytes);
    co_await net::async_write(socket, net::buffer(bytes, ack), net::use_awaitable);
    co_await until([this] { return !net.failures.empty(); });
    EXPECT_EQ(net.failures.front().error.code, Errc::channel_unknown);

    auto opening = std::move(*handshake).take();
    const std::size_t answer =
        co_await net::async_read(socket, net::buffer(bytes, 63), net::use_awaitable);
    const auto head = opening.link.check_head(MutableBytes(bytes).first<14>());
    EXPECT_EQ(head->type, ::sealine::scp::Type::close);
    const auto code = opening.link.open(*head, MutableBytes(bytes).first(answer));
    EXPECT_EQ(code->front(), 11) << "CLOSE with unknown channel";

    co_await client.send("undisturbed");
    EXPECT_TRUE(co_await server.receive());
    EXPECT_EQ(client.statistics().connections, 1U);
  });
}

TEST_F(ScpReconnect, AChannelMovesFromAConnectionThatStillSeemsAlive) {
  net.client_options.protocol.limits.silence_timeout = 100ms;
  net.client_options.protocol.limits.keep_alive_after = 20ms;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy->port());
    proxy->freeze();
    co_await client.send("on the new connection");
    EXPECT_EQ((co_await server.receive()).text(), "on the new connection");
    EXPECT_EQ(server.statistics().connections, 2U);
    EXPECT_EQ(net.server().statistics().resumed, 1U);
  });
}

TEST_F(ScpReconnect, AFullTableTurnsReconnectingOffForNewChannelsAndEvictsNone) {
  net.server_options.resumable_channels = 1;
  net.restart_server();
  proxy->set_target(net.server().port());
  net.run([&]() -> Task {
    auto [one, at_one] = co_await net.pair(proxy->port());
    auto [two, at_two] = co_await net.pair(proxy->port());
    EXPECT_TRUE(one.can_reconnect());
    EXPECT_FALSE(two.can_reconnect());
    EXPECT_FALSE(at_two.can_reconnect());
    proxy->cut();
    EXPECT_EQ(code_of(co_await two.receive(as_result)), Errc::truncated);
    co_await one.send("the first goes on");
    co_await one.close();
    auto [three, at_three] = co_await net.pair(proxy->port());
    EXPECT_TRUE(three.can_reconnect()) << "there is room again";
  });
}

TEST_F(ScpReconnect, OneClientKeyHasItsShareOfTheTable) {
  net.server_options.resumable_channels_per_client = 1;
  net.restart_server();
  proxy->set_target(net.server().port());
  net.client_options.protocol.mode = Mode::pinned;  // shows the key before the flag is sent
  net.client_options.protocol.server_key = net.server_options.protocol.identity->public_key;
  net.run([&]() -> Task {
    auto [one, at_one] = co_await net.pair(proxy->port());
    auto [two, at_two] = co_await net.pair(proxy->port());
    net.client_options.protocol.identity = test::fresh_identity();
    auto [other, at_other] = co_await net.pair(proxy->port());
    EXPECT_TRUE(one.can_reconnect());
    EXPECT_FALSE(two.can_reconnect());
    EXPECT_TRUE(other.can_reconnect());
  });
}

TEST_F(ScpReconnect, InXxWhatIsOneTooManyOfAKeyIsNotKept) {
  net.server_options.resumable_channels_per_client = 1;
  net.restart_server();
  proxy->set_target(net.server().port());
  net.run([&]() -> Task {
    auto [one, at_one] = co_await net.pair(proxy->port());
    auto [two, at_two] = co_await net.pair(proxy->port());
    EXPECT_EQ(net.server().statistics().resumable, 1U);
    proxy->cut();
    EXPECT_EQ(code_of(co_await at_two.receive(as_result)), Errc::truncated);
    EXPECT_EQ(code_of(co_await two.receive(as_result)), Errc::channel_unknown);
    co_await one.send("the first goes on");
  });
}

TEST_F(ScpReconnect, InModeZeroTheAddressHasItsShareOfTheTable) {
  net.server_options.protocol.modes = {Mode::anonymous};
  net.server_options.resumable_channels_per_client = 1;
  net.restart_server();
  proxy->set_target(net.server().port());
  net.client_options.protocol.mode = Mode::anonymous;
  net.run([&]() -> Task {
    auto [one, at_one] = co_await net.pair(proxy->port());
    auto [two, at_two] = co_await net.pair(proxy->port());
    EXPECT_TRUE(one.can_reconnect());
    EXPECT_FALSE(two.can_reconnect());
    proxy->cut();
    co_await one.send("the anonymous channel goes on with whom it began");
    EXPECT_TRUE(co_await at_one.receive());
  });
}

TEST_F(ScpReconnect, WithoutTheWishOfBothEndsALostConnectionIsTheEnd) {
  net.client_options.protocol.reconnect = false;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy->port());
    EXPECT_FALSE(client.can_reconnect());
    proxy->cut();
    EXPECT_EQ(code_of(co_await client.receive(as_result)), Errc::truncated);
    EXPECT_EQ(code_of(co_await server.receive(as_result)), Errc::truncated);
  });
}

TEST_F(ScpReconnect, AStoppedServerKeepsNothingToBeResumed) {
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy->port());
    co_await client.send("held");
    net.server().stop();
    proxy->cut();
    EXPECT_TRUE(co_await server.receive());
    EXPECT_EQ(code_of(co_await server.receive(as_result)), Errc::truncated);
    client.drop();
    EXPECT_EQ(client.outcome()->code, Code::truncated);
  });
}

TEST_F(ScpReconnect, AClientThatNobodyAnswersFailsAtOnceTheFirstTime) {
  proxy->refuses = true;
  net.run([&]() -> Task {
    auto options = std::make_shared<const ClientOptions>(net.client_options);
    const auto failed = co_await connect("127.0.0.1", proxy->port(), options, as_result);
    EXPECT_FALSE(failed);
    EXPECT_EQ(failed.error().error.code, Errc::truncated);
  });
}

}  // namespace
}  // namespace sealine::io::scp
