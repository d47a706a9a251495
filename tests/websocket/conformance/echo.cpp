// The end under test: our WebSocket over plain sockets, echoing every message.
//
//   websocket_echo listen               prints its port, then serves until its standard input ends
//   websocket_echo connect PORT         dials, echoes until the connection ends, and dials again
//                                       until nobody listens any more
#include "sealine/base/bytes.hpp"
#include "sealine/crypto/rng.hpp"
#include "sealine/websocket/connection.hpp"
#include "sealine/websocket/handshake.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using namespace sealine;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kReadBytes = 65536;

TimePoint now() { return TimePoint(std::chrono::steady_clock::now().time_since_epoch()); }

class Socket {
 public:
  explicit Socket(int number) : number_(number) {
    const int yes = 1;
    ::setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  }

  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  ~Socket() { ::close(number_); }

  // What came; 0: the end.
  [[nodiscard]] std::size_t read(MutableBytes out) const {
    const ssize_t count = ::recv(number_, out.data(), out.size(), 0);
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }

  void write(ByteView bytes) const {
    while (!bytes.empty()) {
      const ssize_t count = ::send(number_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

  // An end that does not throw away what the peer has not read: no RST for bytes of its own.
  void finish() const {
    ::shutdown(number_, SHUT_WR);
    const timeval limit{.tv_sec = 2, .tv_usec = 0};
    ::setsockopt(number_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    Bytes rest(kReadBytes);
    while (read(rest) > 0) {
    }
  }

 private:
  int number_;
};

void echo(const Socket& socket, websocket::Role role, Bytes pending) {
  crypto::SystemRng rng;
  websocket::ConnectionConfig config;
  config.accepts_text = true;
  websocket::Connection end(role, config, rng, now());
  Bytes out(kReadBytes);
  const auto flush = [&] {
    while (const std::size_t length = end.poll_transmit(out)) {
      socket.write(ByteView(out).first(length));
    }
  };
  while (true) {
    MutableBytes rest(pending);
    while (!rest.empty()) {
      const auto taken = end.handle_bytes(rest, now());
      rest = rest.subspan(taken.consumed);
      if (taken.event && std::holds_alternative<websocket::Closed>(*taken.event)) {
        flush();
        socket.finish();
        return;
      }
      if (taken.event) {
        const auto& message = std::get<websocket::Message>(*taken.event);
        if (message.is_text) {
          end.send_text(as_text(message.bytes));
        } else {
          Bytes frame(end.head_bytes(message.bytes.size()));
          frame.insert(frame.end(), message.bytes.begin(), message.bytes.end());
          end.frame_binary(frame, message.bytes.size());
          flush();  // what waits comes before it
          socket.write(frame);
        }
      }
      flush();
      if (!taken.event && taken.consumed == 0) break;
    }
    pending.resize(kReadBytes);
    pending.resize(socket.read(pending));
    if (pending.empty()) return;
  }
}

Bytes tail_of(const Bytes& bytes, std::size_t from) {
  return {bytes.begin() + static_cast<std::ptrdiff_t>(from), bytes.end()};
}

void serve(int number) {
  const Socket socket(number);
  static const websocket::ServerPolicy policy{.origins = {"https://example.org"}};
  websocket::ServerHandshake handshake(policy);
  using Outcome = websocket::ServerHandshake::Outcome;
  Bytes bytes(kReadBytes);
  while (true) {
    bytes.resize(kReadBytes);
    bytes.resize(socket.read(bytes));
    if (bytes.empty()) return;
    std::size_t consumed = 0;
    const auto outcome = handshake.handle_bytes(bytes, consumed);
    if (outcome == Outcome::need_bytes) continue;
    if (outcome == Outcome::plain) {
      socket.write(as_bytes("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
      return socket.finish();
    }
    socket.write(as_bytes(handshake.response()));
    if (outcome == Outcome::refused) return socket.finish();
    return echo(socket, websocket::Role::server, tail_of(bytes, consumed));
  }
}

// False: nobody listens.
bool dial(std::uint16_t port) {
  const int number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const Socket socket(number);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(number, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return false;
  }
  crypto::SystemRng rng;
  websocket::ClientHandshake handshake("127.0.0.1:" + std::to_string(port), "/stt", "stt.v1", rng);
  socket.write(as_bytes(handshake.request()));
  Bytes bytes(kReadBytes);
  while (true) {
    bytes.resize(kReadBytes);
    bytes.resize(socket.read(bytes));
    if (bytes.empty()) return true;
    std::size_t consumed = 0;
    const auto outcome = handshake.handle_bytes(bytes, consumed);
    if (!outcome) {
      socket.finish();
      return true;
    }
    if (*outcome == websocket::ClientHandshake::Outcome::need_bytes) continue;
    echo(socket, websocket::Role::client, tail_of(bytes, consumed));
    return true;
  }
}

int listen_for_all() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener, any, size) != 0 || ::listen(listener, 64) != 0 ||
      ::getsockname(listener, any, &size) != 0) {
    std::perror("websocket_echo");
    return 1;
  }
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  // Whoever started it may be gone without a word: the end of standard input ends everything.
  std::thread([] {
    char byte = 0;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    ::_exit(0);
  }).detach();
  while (true) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection >= 0) std::thread(serve, connection).detach();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "listen") return listen_for_all();
  std::uint16_t port = 0;
  const std::string_view number = argc > 2 ? argv[2] : "";
  std::from_chars(number.data(), number.data() + number.size(), port);
  if (verb != "connect" || port == 0) {
    std::fprintf(stderr, "usage: websocket_echo listen | connect PORT\n");
    return 2;
  }
  while (dial(port)) {
  }
  return 0;
}
