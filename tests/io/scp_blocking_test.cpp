// Channels with blocking calls.
#include "sealine/io/scp_blocking.hpp"

#include "scp_fixture.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace sealine::io::scp::blocking {
namespace {

using namespace std::chrono_literals;
using test::code_of;

/// A listener that serves one client on a thread of its own.
class ScpBlocking : public ::testing::Test {
 protected:
  ScpBlocking() {
    server_options_.protocol.identity = test::fresh_identity();
    server_options_.trust = std::make_shared<test::ScpLoopback::AnyKey>();
    client_options.protocol.identity = test::fresh_identity();
    client_options.trust =
        std::make_shared<GivenKeyTrust>(std::vector{server_options_.protocol.identity->public_key});
    listener_.emplace(listen("127.0.0.1", 0, server_options_).value());
    port = listener_->port();
  }

  ~ScpBlocking() override {
    if (thread_.joinable()) thread_.join();
  }

  template <class Serve>
  void serve(Serve serving) {
    thread_ = std::thread([this, serving]() mutable {
      auto channel = listener_->accept();
      ASSERT_TRUE(channel) << channel.error().message();
      serving(*channel);
    });
  }

  ClientOptions client_options;
  std::uint16_t port = 0;

 private:
  ServerOptions server_options_;
  std::optional<Listener> listener_;
  std::thread thread_;
};

TEST_F(ScpBlocking, ACallSendsAndACallReceives) {
  serve([](Channel& channel) {
    const Message message = channel.receive().value();
    EXPECT_EQ(message.text(), "hello");
    EXPECT_EQ(channel.send("hello to you").value(), 0U);
    EXPECT_FALSE(channel.receive().value());
    EXPECT_EQ(channel.close().code, Code::normal);
  });
  auto channel = blocking::connect("127.0.0.1", port, client_options);
  ASSERT_TRUE(channel) << channel.error().message();
  EXPECT_EQ(channel->send("hello").value(), 0U);
  EXPECT_EQ(channel->receive().value().text(), "hello to you");
  const Outcome outcome = channel->close();
  EXPECT_EQ(outcome.code, Code::normal);
  EXPECT_EQ(outcome.receipted, 1U);
  EXPECT_EQ(code_of(channel->send("x")), Errc::already_closed);
}

TEST_F(ScpBlocking, AWaitWithALimitEndsWithItAndTheChannelGoesOn) {
  serve([](Channel& channel) {
    while (const Message message = channel.receive().value()) {
      EXPECT_TRUE(channel.send(message.text()));
    }
  });
  auto channel = blocking::connect("127.0.0.1", port, client_options).value();
  EXPECT_EQ(code_of(channel.receive(20ms)), Errc::no_message_in_time);
  EXPECT_TRUE(channel.send("now"));
  EXPECT_EQ(channel.receive(30s).value().text(), "now");
  channel.close();
}

TEST_F(ScpBlocking, ManyMessagesAreQueuedAndTheirReceiptsWaitedForOnce) {
  serve([](Channel& channel) {
    int count = 0;
    while (channel.wait().value()) {
      EXPECT_EQ(as_text(*channel.front()), "m");
      channel.pop();
      ++count;
    }
    EXPECT_EQ(count, 5000);
  });
  auto channel = blocking::connect("127.0.0.1", port, client_options).value();
  for (int i = 0; i < 5000; ++i) EXPECT_TRUE(channel.enqueue("m"));
  EXPECT_EQ(channel.receipts(5000).value(), 5000U);
  channel.end();
  EXPECT_FALSE(channel.receive().value());
}

TEST_F(ScpBlocking, AChannelThatGoesSaysGoodbyeWithoutWaiting) {
  serve([](Channel& channel) {
    EXPECT_EQ(channel.receive().value().text(), "last");
    EXPECT_FALSE(channel.receive().value()) << "a clean end";
  });
  {
    auto channel = blocking::connect("127.0.0.1", port, client_options).value();
    EXPECT_TRUE(channel.send("last"));
  }
}

TEST_F(ScpBlocking, AChannelMayMove) {
  serve([](Channel& channel) {
    EXPECT_TRUE(channel.receive().value());
    EXPECT_FALSE(channel.receive().value());
  });
  auto channel = blocking::connect("127.0.0.1", port, client_options).value();
  Channel other = std::move(channel);
  EXPECT_TRUE(other.send("from its new place"));
  EXPECT_EQ(other.close().unknown, 0U);
}

TEST_F(ScpBlocking, AFailureSaysWhatIsKnownOfIt) {
  auto options = std::make_shared<ClientOptions>(client_options);
  options->trust = std::make_shared<GivenKeyTrust>(std::vector<crypto::PublicKey>{});
  const auto channel = try_connect("127.0.0.1", 1, options);
  ASSERT_FALSE(channel);
  EXPECT_EQ(channel.error().error.code, Errc::connection_refused);
  EXPECT_FALSE(channel.error().error.message().empty());
}

}  // namespace
}  // namespace sealine::io::scp::blocking
