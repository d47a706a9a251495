// Sessions over UDP whose client comes from another address, or seems to. spec: stt.md#migration
#include "io/detail/udp.hpp"
#include "io/stt_loopback.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <variant>
#include <vector>

namespace sealine::io::stt {
namespace {

using net::ip::udp;

const udp::endpoint kHere(net::ip::address_v4::loopback(), 0);

// What stands between a client and the endpoint: its address is the client's, and it may change.
class Nat {
 public:
  explicit Nat(Loopback& loopback)
      : loopback_(&loopback),
        server_(net::ip::address_v4::loopback(), loopback.server.local_endpoints().at(0).port()),
        near_(loopback.context, kHere) {
    move();
    loopback.beside([this]() -> Task { co_await up(); });
  }

  [[nodiscard]] Url url() const {
    return {.scheme = Scheme::udp, .host = "127.0.0.1", .port = near_.local_endpoint().port()};
  }

  // From now on it is at another address; what still comes to the old one is lost.
  void move() {
    if (far_) far_->close();
    far_ = std::make_shared<udp::socket>(loopback_->context, kHere);
    loopback_->beside([this, far = far_]() -> Task { co_await down(far); });
  }

  // The next datagram seems to come from `stranger`.
  void lend_next_to(udp::socket& stranger) { stranger_ = &stranger; }

  [[nodiscard]] const Bytes& last() const { return last_; }

  [[nodiscard]] bool is_lent() const { return stranger_ != nullptr; }

  void send_from(udp::socket& stranger, const Bytes& bytes) const {
    stranger.send_to(net::buffer(bytes), server_);
  }

 private:
  Task up() {
    Bytes buffer(65536);
    for (;;) {
      error_code ec;
      const std::size_t n = co_await near_.async_receive_from(
          net::buffer(buffer), client_, net::redirect_error(use_awaitable, ec));
      if (ec) continue;
      last_.assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
      if (udp::socket* const stranger = std::exchange(stranger_, nullptr)) {
        send_from(*stranger, last_);
      } else {
        far_->send_to(net::buffer(last_), server_, 0, ec);
      }
    }
  }

  Task down(std::shared_ptr<udp::socket> far) {
    Bytes buffer(65536);
    udp::endpoint from;
    for (;;) {
      error_code ec;
      const std::size_t n = co_await far->async_receive_from(
          net::buffer(buffer), from, net::redirect_error(use_awaitable, ec));
      if (ec) co_return;
      near_.send_to(net::buffer(buffer.data(), n), client_, 0, ec);
    }
  }

  Loopback* loopback_;
  udp::endpoint server_;
  udp::socket near_;
  udp::endpoint client_;
  std::shared_ptr<udp::socket> far_;
  udp::socket* stranger_ = nullptr;
  Bytes last_;
};

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
