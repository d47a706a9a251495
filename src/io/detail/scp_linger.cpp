#include "io/detail/scp_linger.hpp"

#include "sealine/io/stcp_options.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <sys/socket.h>
#include <utility>

namespace sealine::io::scp {

namespace {

class Linger : public std::enable_shared_from_this<Linger> {
 public:
  explicit Linger(net::ip::tcp::socket socket)
      : socket_(std::move(socket)), timer_(socket_.get_executor()) {}

  void start() {
    error_code ignored;
    socket_.shutdown(net::ip::tcp::socket::shutdown_send, ignored);
    const int one = 1;
    (void)::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
    timer_.expires_after(stcp::kDrainTime);
    timer_.async_wait([self = shared_from_this()](const error_code& ec) {
      error_code gone;
      if (!ec) self->socket_.close(gone);
    });
    read();
  }

 private:
  void read() {
    std::array<std::uint8_t, 4096> discarded{};
    while (socket_.is_open()) {
      const ssize_t n =
          ::recv(socket_.native_handle(), discarded.data(), discarded.size(), MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        socket_.async_wait(net::ip::tcp::socket::wait_read,
                           [self = shared_from_this()](const error_code& ec) {
                             ec ? self->stop() : self->read();
                           });
        return;
      }
      bytes_ += n > 0 ? static_cast<std::size_t>(n) : 0;
      if (n <= 0 || bytes_ > stcp::kDrainBytes) return stop();
    }
  }

  void stop() {
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
  }

  net::ip::tcp::socket socket_;
  net::steady_timer timer_;
  std::size_t bytes_ = 0;
};

}  // namespace

void linger(net::ip::tcp::socket socket) {
  if (socket.is_open()) std::make_shared<Linger>(std::move(socket))->start();
}

}  // namespace sealine::io::scp
