// The end under test: our WebSocket over plain sockets, echoing every message.
//
//   websocket_echo listen               prints its port, then serves until its standard input ends
//   websocket_echo connect PORT         dials, echoes until the connection ends, and dials again
//                                       until nobody listens any more
//   websocket_echo send PORT            dials an echo, sends it messages of many sizes, and fails
//                                       unless each comes back and Close is answered
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
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <variant>
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

websocket::ConnectionConfig config_with_text() {
  websocket::ConnectionConfig config;
  config.accepts_text = true;
  return config;
}

void write_binary(const Socket& socket, websocket::Connection& end, ByteView message) {
  Bytes frame(end.head_bytes(message.size()));
  frame.insert(frame.end(), message.begin(), message.end());
  end.frame_binary(frame, message.size());
  socket.write(frame);
}

void echo(const Socket& socket, websocket::Role role, Bytes pending) {
  crypto::SystemRng rng;
  websocket::Connection end(role, config_with_text(), rng, now());
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
          flush();  // what waits comes before it
          write_binary(socket, end, message.bytes);
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

int connected(std::uint16_t port) {
  const int number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(number, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return number;
  }
  ::close(number);
  return -1;
}

// What came behind the answer; nothing where there is no WebSocket.
std::optional<Bytes> shaken(const Socket& socket, std::uint16_t port, crypto::Rng& rng) {
  websocket::ClientHandshake handshake("127.0.0.1:" + std::to_string(port), "/stt", "stt.v1", rng);
  socket.write(as_bytes(handshake.request()));
  Bytes bytes(kReadBytes);
  while (true) {
    bytes.resize(kReadBytes);
    bytes.resize(socket.read(bytes));
    if (bytes.empty()) return std::nullopt;
    std::size_t consumed = 0;
    const auto outcome = handshake.handle_bytes(bytes, consumed);
    if (!outcome) {
      socket.finish();
      return std::nullopt;
    }
    if (*outcome == websocket::ClientHandshake::Outcome::accepted) return tail_of(bytes, consumed);
  }
}

// False: nobody listens.
bool dial(std::uint16_t port) {
  const int number = connected(port);
  if (number < 0) return false;
  const Socket socket(number);
  crypto::SystemRng rng;
  if (auto rest = shaken(socket, port, rng))
    echo(socket, websocket::Role::client, std::move(*rest));
  return true;
}

// The next message or the end; `pending` is what was read.
websocket::Event next_event(const Socket& socket, websocket::Connection& end, Bytes& pending) {
  while (true) {
    auto taken = end.handle_bytes(pending, now());
    Bytes out(kReadBytes);
    while (const std::size_t length = end.poll_transmit(out)) {
      socket.write(ByteView(out).first(length));
    }
    if (taken.event) {
      if (auto* message = std::get_if<websocket::Message>(&*taken.event)) {
        static Bytes kept;  // the view is into bytes that go
        kept.assign(message->bytes.begin(), message->bytes.end());
        message->bytes = kept;
      }
      pending = tail_of(pending, taken.consumed);
      return *taken.event;
    }
    pending.resize(kReadBytes);
    pending.resize(socket.read(pending));
    if (pending.empty()) return *end.handle_end_of_stream(now());
  }
}

int send_to_echo(std::uint16_t port) {
  const int number = connected(port);
  if (number < 0) return 1;
  const Socket socket(number);
  crypto::SystemRng rng;
  auto pending = shaken(socket, port, rng);
  if (!pending) return 1;
  websocket::Connection end(websocket::Role::client, config_with_text(), rng, now());
  for (const std::size_t size : {0U, 1U, 125U, 126U, 65535U, 65536U, 1000000U}) {
    Bytes message(size);
    rng.fill(message);
    write_binary(socket, end, message);
    const auto event = next_event(socket, end, *pending);
    const auto* back = std::get_if<websocket::Message>(&event);
    if (back == nullptr || back->is_text || !std::ranges::equal(back->bytes, message)) {
      std::fprintf(stderr, "no echo of %zu bytes\n", size);
      return 1;
    }
  }
  end.close(1000, "done", now());
  const auto event = next_event(socket, end, *pending);
  const auto* closed = std::get_if<websocket::Closed>(&event);
  return closed != nullptr && closed->code == 1000 && !closed->by_peer ? 0 : 1;
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
  if (verb == "send" && port != 0) return send_to_echo(port);
  if (verb != "connect" || port == 0) {
    std::fprintf(stderr, "usage: websocket_echo listen | connect PORT | send PORT\n");
    return 2;
  }
  while (dial(port)) {
  }
  return 0;
}
