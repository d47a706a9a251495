#include "support/socket.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace sealine::bench {
namespace {

constexpr int kBacklog = 4096;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

Socket Socket::listen_on_loopback() {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(0);
  if (::bind(socket.descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
          0 ||
      ::listen(socket.descriptor_, kBacklog) != 0) {
    fail("listen");
  }
  return socket;
}

Socket Socket::connect_to_loopback(std::uint16_t port) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
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

}  // namespace sealine::bench
