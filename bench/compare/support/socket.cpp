#include "support/socket.hpp"

#include "support/udp.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace sealine::bench {
namespace {

constexpr int kBacklog = 4096;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Route Route::from(const Options& options) {
  return {.address = options.text("address", "127.0.0.1"), .congestion = options.text("cc", "")};
}

Socket Socket::listen(const Route& route) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  socket.set_congestion(route.congestion);
  const sockaddr_in address = to_address(route.address, 0);
  if (::bind(socket.descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
          0 ||
      ::listen(socket.descriptor_, kBacklog) != 0) {
    fail("listen");
  }
  return socket;
}

Socket Socket::connect(const Route& route, std::uint16_t port) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  socket.set_congestion(route.congestion);
  const sockaddr_in address = to_address(route.address, port);
  if (::connect(socket.descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
      0) {
    fail("connect");
  }
  socket.set_option(IPPROTO_TCP, TCP_NODELAY, 1);
  return socket;
}

Socket::~Socket() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

Socket Socket::accept() const {
  Socket socket(::accept4(descriptor_, nullptr, nullptr, SOCK_CLOEXEC));
  if (socket.descriptor_ < 0) {
    fail("accept");
  }
  socket.set_option(IPPROTO_TCP, TCP_NODELAY, 1);
  return socket;
}

std::uint16_t Socket::port() const {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    fail("getsockname");
  }
  return ntohs(address.sin_port);
}

void Socket::write(ByteView bytes) const {
  while (!bytes.empty()) {
    const ssize_t written = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (written < 0) {
      fail("send");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

std::size_t Socket::read_some(MutableBytes into) const {
  const ssize_t received = ::recv(descriptor_, into.data(), into.size(), 0);
  if (received < 0) {
    fail("recv");
  }
  return static_cast<std::size_t>(received);
}

void Socket::end_writing() const {
  // A peer that has all it wants may be gone already; what it has is compared elsewhere.
  if (::shutdown(descriptor_, SHUT_WR) != 0 && errno != ENOTCONN) {
    fail("shutdown");
  }
}

void Socket::set_low_water_mark(std::size_t bytes) const {
  set_option(SOL_SOCKET, SO_RCVLOWAT, static_cast<int>(bytes));
}

void Socket::reset_on_close() const {
  const linger option{1, 0};
  if (::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &option, sizeof option) != 0) {
    fail("SO_LINGER");
  }
}

void Socket::set_option(int level, int name, int value) const {
  if (::setsockopt(descriptor_, level, name, &value, sizeof value) != 0) {
    fail("setsockopt");
  }
}

void Socket::set_congestion(const std::string& name) const {
  if (name.empty()) return;
  if (::setsockopt(descriptor_, IPPROTO_TCP, TCP_CONGESTION, name.data(),
                   static_cast<socklen_t>(name.size())) != 0) {
    throw std::runtime_error("TCP with " + name + " is not to be had here");
  }
}

}  // namespace sealine::bench
