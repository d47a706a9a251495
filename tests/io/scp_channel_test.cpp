// Channels over loopback: messages, receipts, ends. spec: scp.md
#include "sealine/io/scp_channel.hpp"

#include "scp_fixture.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#if defined(SEALINE_ASIO_BOOST)
#include <boost/asio/bind_cancellation_slot.hpp>
#else
#include <asio/bind_cancellation_slot.hpp>
#endif

namespace sealine::io::scp {
namespace {

using namespace std::chrono_literals;
using test::code_of;
using test::CuttingProxy;
using test::ScpLoopback;
using test::until;

std::string text_of(std::size_t size, std::uint32_t seed = 1) {
  const auto bytes = test::pattern(size, seed);
  return {bytes.begin(), bytes.end()};
}

TEST(ScpChannel, AMessageComesWholeWithItsNumberAndItsReceiptComesBack) {
  ScpLoopback net;
  const std::vector<std::uint8_t> bytes = {0, 255, 7};
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    EXPECT_EQ(co_await client.send("first"), 0U);
    EXPECT_EQ(co_await client.send(bytes), 1U);
    EXPECT_EQ(client.receipted(), 2U);
    const auto first = co_await server.receive();
    EXPECT_TRUE(first);
    EXPECT_EQ(first.text(), "first");
    EXPECT_EQ(first.number(), 0U);
    const auto second = co_await server.receive();
    EXPECT_EQ(second.size(), 3U);
    EXPECT_EQ(second.bytes()[1], 255);
    EXPECT_EQ(second.number(), 1U);
    co_await client.close();
    EXPECT_FALSE(co_await server.receive());
    EXPECT_EQ(server.outcome()->code, Code::normal);
    EXPECT_TRUE(server.outcome()->by_peer);
  });
}

TEST(ScpChannel, MessagesOfEverySizePassBothWays) {
  ScpLoopback net;
  const std::vector<std::size_t> sizes = {0, 1, 15, 65535, 65536, 65537, 131072, 3'000'001};
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    for (const std::size_t size : sizes) {
      const std::string message = text_of(size, static_cast<std::uint32_t>(size) + 1);
      auto sending = [](Channel& from, std::string text) -> Task { co_await from.send(text); };
      net.beside(sending(client, message));
      EXPECT_TRUE((co_await server.receive()).text() == message) << size;
      net.beside(sending(server, message));
      EXPECT_TRUE((co_await client.receive()).text() == message) << size;
    }
    co_await until([&client, &server] {
      return client.receipted() == client.sent() && server.receipted() == server.sent();
    });
    EXPECT_EQ(client.statistics().bytes_in, client.statistics().bytes_out);
  });
}

TEST(ScpChannel, ReceiptsComeWithoutTheApplicationUntilAWindowIsHeld) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    // 1024 messages are held with a receipt, 1024 more may be sent without one.
    for (int i = 0; i < 2048; ++i) co_await client.enqueue("m");
    EXPECT_EQ(co_await client.receipts(1024), 1024U);
    EXPECT_EQ(code_of(client.try_enqueue("one too many")), Errc::window_full);
    EXPECT_FALSE(client.can_send());
    bool went = false;
    auto waiting = [](Channel& from, bool& done) -> Task {
      EXPECT_EQ(co_await from.enqueue("last"), 2048U);
      done = true;
    };
    net.beside(waiting(client, went));
    co_await until([] { return true; });
    EXPECT_FALSE(went) << "the window is full";
    for (int i = 0; i < 2048; ++i) EXPECT_TRUE(co_await server.receive());
    EXPECT_EQ((co_await server.receive()).text(), "last");
    EXPECT_TRUE(went);
  });
}

TEST(ScpChannel, SendsInFlightEndInTheirOrder) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    std::vector<std::uint64_t> ended;
    auto sending = [](Channel& from, std::vector<std::uint64_t>& order) -> Task {
      order.push_back(co_await from.send("x"));
    };
    for (int i = 0; i < 3000; ++i) net.beside(sending(client, ended));
    for (int i = 0; i < 3000; ++i) EXPECT_TRUE(co_await server.receive());
    co_await until([&ended] { return ended.size() == 3000; });
    EXPECT_TRUE(std::ranges::is_sorted(ended));
    EXPECT_EQ(ended.back(), 2999U);
  });
}

TEST(ScpChannel, ManySmallMessagesLeaveInFewWrites) {
  ScpLoopback net;
  CuttingProxy proxy(net.context, net.server().port());
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy.port());
    const std::size_t before = proxy.reads_from_client;
    for (int i = 0; i < 1000; ++i) co_await client.enqueue("a small message");
    co_await client.receipts(1000);
    EXPECT_LT(proxy.reads_from_client - before, 10U);
  });
}

TEST(ScpChannel, EndIsAHalfCloseAndBothEndsTogetherCloseTheChannel) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    co_await client.enqueue("last words");
    client.end();
    EXPECT_EQ(code_of(client.try_enqueue("too late")), Errc::already_closed);
    EXPECT_EQ((co_await server.receive()).text(), "last words");
    EXPECT_FALSE(co_await server.receive());
    EXPECT_FALSE(co_await server.receive()) << "the end stays the end";
    co_await server.send("still going");
    EXPECT_EQ((co_await client.receive()).text(), "still going");
    server.end();
    EXPECT_FALSE(co_await client.receive());
    const auto outcome = co_await client.closed();
    EXPECT_EQ(outcome.code, Code::normal);
    EXPECT_EQ(outcome.unknown, 0U);
    EXPECT_EQ((co_await server.closed()).code, Code::normal);
  });
}

TEST(ScpChannel, CloseWaitsForReceiptsAndTellsTheOutcome) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    for (int i = 0; i < 500; ++i) co_await client.enqueue("m");
    const Outcome outcome = co_await client.close();
    EXPECT_EQ(outcome.code, Code::normal);
    EXPECT_EQ(outcome.receipted, 500U);
    EXPECT_EQ(outcome.unknown, 0U);
    EXPECT_EQ(code_of(co_await client.send("x", as_result)), Errc::already_closed);
    EXPECT_EQ((co_await client.close()).receipted, 500U) << "again gives the same";
    for (int i = 0; i < 500; ++i) EXPECT_TRUE(co_await server.receive());
    EXPECT_FALSE(co_await server.receive()) << "what was held came before the end";
  });
}

TEST(ScpChannel, AConnectionThatEndsWithoutCloseIsTruncatedAndNeverAnEnd) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    co_await client.send("held");
    client.drop();
    EXPECT_EQ((co_await server.receive()).text(), "held");
    EXPECT_EQ(code_of(co_await server.receive(as_result)), Errc::truncated);
    EXPECT_EQ(server.outcome()->code, Code::truncated);
    EXPECT_EQ(client.outcome()->code, Code::truncated);
  });
}

TEST(ScpChannel, ThePlainFormsThrowWhatTheResultFormsGive) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    client.drop();
    std::optional<Errc> thrown;
    try {
      (void)co_await server.receive();
    } catch (const system_error& error) {
      thrown = code_of(error);
    }
    EXPECT_EQ(thrown, Errc::truncated);
  });
}

TEST(ScpChannel, AbortGivesTheOtherEndItsCode) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    co_await client.send("before");
    server.abort(Code::going_away);
    EXPECT_EQ(code_of(co_await client.receive(as_result)), Errc::peer_going_away);
    EXPECT_EQ(client.outcome()->code, Code::going_away);
    EXPECT_TRUE(client.outcome()->by_peer);
    EXPECT_EQ((co_await server.closed()).code, Code::going_away);
  });
}

TEST(ScpChannel, AMessageOverTheOtherEndsLimitIsRefusedHereAndTheChannelGoesOn) {
  ScpLoopback net;
  net.server_options.protocol.limits.max_message_bytes = 70000;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    EXPECT_EQ(code_of(co_await client.send(text_of(70001), as_result)), Errc::message_too_large);
    co_await client.send(text_of(70000));
    EXPECT_EQ((co_await server.receive()).size(), 70000U);
  });
}

TEST(ScpChannel, RotationGivesFreshKeysToBothEndsWhileMessagesGoOn) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    int told = 0;
    server.on_event([&told](const Event& event) {
      if (std::holds_alternative<Rotated>(event)) ++told;
    });
    for (std::uint32_t round = 1; round <= 3; ++round) {
      client.rotate();
      for (int i = 0; i < 100; ++i) co_await client.enqueue("m");
      co_await server.enqueue("n");
      co_await until([&, round] {
        return client.statistics().rotations == round && server.statistics().rotations == round;
      });
    }
    EXPECT_EQ(told, 3);
    for (int i = 0; i < 300; ++i) EXPECT_TRUE(co_await server.receive());
    server.rotate();
    co_await server.send("a server's call does nothing");
    EXPECT_EQ(client.statistics().rotations, 3U);
  });
}

TEST(ScpChannel, TrafficRotatesTheKeysByItself) {
  ScpLoopback net;
  net.client_options.protocol.limits.rotate_bytes = 200'000;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    for (int i = 0; i < 20; ++i) {
      co_await client.enqueue(text_of(60'000));
      EXPECT_TRUE(co_await server.receive());
    }
    EXPECT_GE(client.statistics().rotations, 3U);
  });
}

TEST(ScpChannel, CancelEndsTheWaitsAndTheChannelGoesOn) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    std::optional<Errc> ended;
    auto waiting = [](Channel& on, std::optional<Errc>& out) -> Task {
      out = code_of(co_await on.receive(as_result));
    };
    net.beside(waiting(client, ended));
    co_await until([] { return true; });
    client.cancel();
    co_await until([&ended] { return ended.has_value(); });
    EXPECT_EQ(ended, Errc::cancelled);
    co_await server.send("goes on");
    EXPECT_EQ((co_await client.receive()).text(), "goes on");
  });
}

TEST(ScpChannel, ACancellationSlotEndsItsOwnWaitAlone) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    for (int i = 0; i < 2048; ++i) co_await client.enqueue("m");
    net::cancellation_signal signal;
    std::optional<Errc> ended;
    auto waiting = [](Channel& on) -> net::awaitable<std::optional<Errc>> {
      co_return code_of(co_await on.enqueue("never sent", as_result));
    };
    net::co_spawn(
        net.context, waiting(client),
        net::bind_cancellation_slot(
            signal.slot(), [&ended](const std::exception_ptr& failure, std::optional<Errc> code) {
              ended = failure ? Errc::cancelled : code;
            }));
    co_await until([] { return true; });
    signal.emit(net::cancellation_type::terminal);
    co_await until([&ended] { return ended.has_value(); });
    EXPECT_EQ(ended, Errc::cancelled);
    for (int i = 0; i < 2048; ++i) EXPECT_EQ((co_await server.receive()).text(), "m");
    co_await client.send("after");
    EXPECT_EQ((co_await server.receive()).text(), "after") << "what was cancelled is not sent";
  });
}

TEST(ScpChannel, ASecondReceiveAtOnceIsRefused) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    auto waiting = [](Channel& on) -> Task { EXPECT_TRUE(co_await on.receive()); };
    net.beside(waiting(client));
    co_await until([] { return true; });
    EXPECT_EQ(code_of(co_await client.receive(as_result)), Errc::operation_in_progress);
    co_await server.send("for the first");
  });
}

TEST(ScpChannel, MessagesCanBeLookedAtWithoutACopy) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    EXPECT_FALSE(server.front());
    co_await client.send("one");
    co_await client.send("two");
    co_await client.send("three");
    client.end();
    std::string all;
    while (co_await server.wait()) {
      while (const auto view = server.front()) {
        all += std::string(as_text(*view)) + " ";
        server.pop();
      }
    }
    EXPECT_EQ(all, "one two three ");
  });
}

TEST(ScpChannel, ReceiptsAreEventsWithTheirNumbers) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    std::uint64_t last = 0;
    bool ended = false;
    client.on_event([&](const Event& event) {
      if (const auto* receipts = std::get_if<Receipts>(&event)) {
        EXPECT_GT(receipts->up_to, last);
        last = receipts->up_to;
      }
      if (std::holds_alternative<PeerEnded>(event)) ended = true;
    });
    for (int i = 0; i < 10; ++i) co_await client.send("m");
    EXPECT_EQ(last, 10U);
    server.end();
    EXPECT_FALSE(co_await client.receive());
    EXPECT_TRUE(ended);
  });
}

TEST(ScpChannel, AChannelThatGoesClosesInTheBackground) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    co_await client.enqueue("queued before it went");
    client = Channel();
    EXPECT_EQ((co_await server.receive()).text(), "queued before it went");
    EXPECT_FALSE(co_await server.receive()) << "a clean end";
    EXPECT_EQ((co_await server.closed()).code, Code::normal);
  });
}

TEST(ScpChannel, BothEndsKnowTheSameChannelAndKeys) {
  ScpLoopback net;
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    EXPECT_EQ(client.id(), server.id());
    ByteArray<32> ours{};
    ByteArray<32> theirs{};
    EXPECT_TRUE(client.export_key("a label", as_bytes("context"), ours));
    EXPECT_TRUE(server.export_key("a label", as_bytes("context"), theirs));
    EXPECT_EQ(ours, theirs);
    EXPECT_EQ(code_of(client.export_key("scp1 key", {}, ours)), Errc::bad_configuration);
  });
}

TEST(ScpChannel, AContextThatGoesTakesTheWaitsWithIt) {
  auto net = std::make_unique<ScpLoopback>();
  std::optional<ScpLoopback::Pair> pair;
  net->run([&]() -> Task { pair = co_await net->pair(); });
  auto waiting = [](Channel& on) -> Task { (void)co_await on.receive(); };
  net->beside(waiting(pair->first));
  net->beside(waiting(pair->second));
  net->context.poll();
  pair.reset();
  net.reset();  // asan sees a leak, were there one
}

TEST(ScpChannel, SilenceEndsTheChannelWithATimeout) {
  ScpLoopback net;
  net.client_options.protocol.limits.silence_timeout = 60ms;
  net.client_options.protocol.limits.keep_alive_after = {};
  net.server_options.protocol.limits.keep_alive_after = {};
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    EXPECT_EQ(code_of(co_await client.receive(as_result)), Errc::idle_timeout);
    EXPECT_EQ(client.outcome()->code, Code::timeout);
    EXPECT_EQ(code_of(co_await server.receive(as_result)), Errc::idle_timeout);
  });
}

TEST(ScpChannel, KeepAliveHoldsAChannelOpenWithNobodyWaiting) {
  ScpLoopback net;
  for (auto* limits : {&net.client_options.protocol.limits, &net.server_options.protocol.limits}) {
    limits->silence_timeout = 200ms;
    limits->keep_alive_after = 20ms;
  }
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair();
    net::steady_timer timer(net.context, 500ms);
    co_await timer.async_wait(net::use_awaitable);
    co_await client.send("still there");
    EXPECT_TRUE(co_await server.receive());
  });
}

TEST(ScpChannel, APeerThatNeverAcknowledgesLeavesItsMessagesUnknown) {
  ScpLoopback net;
  net.client_options.protocol.limits.close_receipts_timeout = 50ms;
  net.client_options.protocol.limits.close_drain_timeout = 50ms;
  CuttingProxy proxy(net.context, net.server().port());
  net.run([&]() -> Task {
    auto [client, server] = co_await net.pair(proxy.port());
    co_await client.send("seen");
    proxy.freeze();
    for (int i = 0; i < 7; ++i) co_await client.enqueue("into the void");
    const Outcome outcome = co_await client.close();
    EXPECT_EQ(outcome.receipted, 1U);
    EXPECT_EQ(outcome.unknown, 7U);
  });
}

}  // namespace
}  // namespace sealine::io::scp
