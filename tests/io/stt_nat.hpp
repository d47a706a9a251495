#pragma once

// What an address that changes looks like, for the tests of STT over UDP.

#include "io/detail/udp.hpp"
#include "io/stt_loopback.hpp"

#include <cstddef>
#include <memory>
#include <utility>

namespace sealine::io::stt {

inline const net::ip::udp::endpoint kNatHere(net::ip::address_v4::loopback(), 0);

// What stands between a client and the endpoint: its address is the client's, and it may change.
class Nat {
 public:
  explicit Nat(Loopback& loopback)
      : loopback_(&loopback),
        server_(net::ip::address_v4::loopback(), loopback.server.local_endpoints().at(0).port()),
        near_(loopback.context, kNatHere) {
    move();
    loopback.beside([this]() -> Task { co_await up(); });
  }

  [[nodiscard]] Url url() const {
    return {.scheme = Scheme::udp, .host = "127.0.0.1", .port = near_.local_endpoint().port()};
  }

  // From now on it is at another address; what still comes to the old one is lost.
  void move() {
    if (far_) far_->close();
    far_ = std::make_shared<net::ip::udp::socket>(loopback_->context, kNatHere);
    loopback_->beside([this, far = far_]() -> Task { co_await down(far); });
  }

  // The next datagram seems to come from `stranger`.
  void lend_next_to(net::ip::udp::socket& stranger) { stranger_ = &stranger; }

  [[nodiscard]] const Bytes& last() const { return last_; }

  [[nodiscard]] bool is_lent() const { return stranger_ != nullptr; }

  void send_from(net::ip::udp::socket& stranger, const Bytes& bytes) const {
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
      if (net::ip::udp::socket* const stranger = std::exchange(stranger_, nullptr)) {
        send_from(*stranger, last_);
      } else {
        far_->send_to(net::buffer(last_), server_, 0, ec);
      }
    }
  }

  Task down(std::shared_ptr<net::ip::udp::socket> far) {
    Bytes buffer(65536);
    net::ip::udp::endpoint from;
    for (;;) {
      error_code ec;
      const std::size_t n = co_await far->async_receive_from(
          net::buffer(buffer), from, net::redirect_error(use_awaitable, ec));
      if (ec) co_return;
      near_.send_to(net::buffer(buffer.data(), n), client_, 0, ec);
    }
  }

  Loopback* loopback_;
  net::ip::udp::endpoint server_;
  net::ip::udp::socket near_;
  net::ip::udp::endpoint client_;
  std::shared_ptr<net::ip::udp::socket> far_;
  net::ip::udp::socket* stranger_ = nullptr;
  Bytes last_;
};

}  // namespace sealine::io::stt
