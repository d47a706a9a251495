// Sessions over UDP whose client comes from another address, or seems to. spec: stt.md#migration
#include "io/detail/udp.hpp"
#include "io/stt_loopback.hpp"
#include "io/stt_nat.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::io::stt {
namespace {

using net::ip::udp;

const udp::endpoint kHere(net::ip::address_v4::loopback(), 0);

class SttPaths : public testing::Test {
 protected:
  // A session through the NAT, whose streams come back.
  net::awaitable<Session> connect() {
    net.beside([this]() -> Task {
      theirs = co_await net.server.async_accept(use_awaitable);
      theirs.on_event([this](const ::sealine::stt::Session::Event& event) {
        if (std::holds_alternative<::sealine::stt::PathChanged>(event)) ++moves;
      });
      co_await echo_all(net, theirs);
    });
    co_return co_await net.client.async_connect(nat.url(), use_awaitable);
  }

  net::awaitable<void> expect_echo(Session& session, std::size_t size) {
    const Bytes data = pattern(size);
    Stream stream = session.open().value();
    net.beside([&]() -> Task {
      co_await net::async_write(stream, net::buffer(data), use_awaitable);
      co_await stream.async_shutdown(use_awaitable);
    });
    const Bytes back = co_await read_to_end(stream);
    EXPECT_TRUE(back == data) << back.size();
  }

  Loopback net{options(), options(), Scheme::udp};
  Nat nat{net};
  Session theirs;
  int moves = 0;
};

TEST_F(SttPaths, ASessionGoesOnAtAnotherAddress) {
  net.run([&]() -> Task {
    Session ours = co_await connect();
    int moves_seen_here = 0;
    ours.on_event([&](const ::sealine::stt::Session::Event& event) {
      if (std::holds_alternative<::sealine::stt::PathChanged>(event)) ++moves_seen_here;
    });
    co_await expect_echo(ours, 100000);
    EXPECT_EQ(moves, 0);
    for (int i = 1; i <= 12; ++i) {  // more addresses than a session remembers
      nat.move();
      co_await expect_echo(ours, 100000);
      EXPECT_EQ(moves, i);
    }
    EXPECT_EQ(moves_seen_here, 0);
    // An address that has proved itself gets more than three times what comes from it.
    const Bytes data = pattern(4 << 20U);
    Stream out = theirs.open().value();
    net.beside([&]() -> Task {
      co_await net::async_write(out, net::buffer(data), use_awaitable);
      co_await out.async_shutdown(use_awaitable);
    });
    Stream in = co_await ours.async_accept(use_awaitable);
    EXPECT_TRUE(co_await read_to_end(in) == data);
  });
}

TEST_F(SttPaths, AnAddressThatDoesNotAnswerTakesNothingAway) {
  net.run([&]() -> Task {
    Session ours = co_await connect();
    co_await expect_echo(ours, 1000);
    udp::socket stranger(net.context, kHere);
    nat.lend_next_to(stranger);
    co_await expect_echo(ours, 100000);
    EXPECT_FALSE(nat.is_lent());
    EXPECT_EQ(moves, 0);
    // It was asked who it is, and got nothing else.
    std::size_t got = 0;
    Bytes buffer(65536);
    while (stranger.available() > 0) got += stranger.receive(net::buffer(buffer));
    EXPECT_LE(got, std::size_t{3} * 1472);
  });
}

TEST_F(SttPaths, WhoRepeatsDatagramsFromManyAddressesGetsNothing) {
  net.run([&]() -> Task {
    Session ours = co_await connect();
    co_await expect_echo(ours, 1000);
    std::vector<std::unique_ptr<udp::socket>> strangers;
    for (int i = 0; i < 100; ++i) {
      strangers.push_back(std::make_unique<udp::socket>(net.context, kHere));
      Bytes noise = nat.last();
      nat.send_from(*strangers.back(), noise);
      noise.back() ^= 1U;
      nat.send_from(*strangers.back(), noise);
    }
    co_await expect_echo(ours, 100000);
    nat.move();
    co_await expect_echo(ours, 100000);
    EXPECT_EQ(moves, 1);
    for (const auto& stranger : strangers) EXPECT_EQ(stranger->available(), 0U);
  });
}

}  // namespace
}  // namespace sealine::io::stt
