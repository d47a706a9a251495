#include "support/udp.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <netinet/udp.h>
#include <poll.h>
#include <stdexcept>
#include <system_error>
#include <unistd.h>

namespace sealine::bench {
namespace {

constexpr int kBufferBytes = 16 << 20;

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

void ask_for(int descriptor, int level, int name, int value, const char* what) {
  if (::setsockopt(descriptor, level, name, &value, sizeof value) != 0) fail(what);
}

/// The size of the datagrams that were joined into this one; 0: none were.
std::size_t segment_bytes(msghdr& message) {
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr;
       head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level == SOL_UDP && head->cmsg_type == UDP_GRO) {
      int value = 0;
      std::memcpy(&value, CMSG_DATA(head), sizeof value);
      return static_cast<std::size_t>(value);
    }
  }
  return 0;
}

}  // namespace

sockaddr_in to_address(const std::string& text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::inet_pton(AF_INET, text.c_str(), &address.sin_addr) != 1) {
    throw std::invalid_argument("no address: " + text);
  }
  return address;
}

UdpSocket::UdpSocket(const std::string& address)
    : descriptor_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
      buffer_(kBatch * kTrainBytes) {
  if (descriptor_ < 0) fail("socket");
  const sockaddr_in local = to_address(address, 0);
  if (::bind(descriptor_, reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) {
    fail("bind");
  }
  ask_for(descriptor_, SOL_UDP, UDP_GRO, 1, "UDP_GRO");
  // Beyond the system's limit as far as this user may.
  const int bytes = kBufferBytes;
  for (const auto& [forced, plain] :
       {std::pair{SO_RCVBUFFORCE, SO_RCVBUF}, std::pair{SO_SNDBUFFORCE, SO_SNDBUF}}) {
    if (::setsockopt(descriptor_, SOL_SOCKET, forced, &bytes, sizeof bytes) != 0) {
      ask_for(descriptor_, SOL_SOCKET, plain, bytes, "the buffers of a socket");
    }
  }
}

UdpSocket::UdpSocket(UdpSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), buffer_(std::move(other.buffer_)) {}

UdpSocket::~UdpSocket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void UdpSocket::connect(const sockaddr_in& peer) {
  if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&peer), sizeof peer) != 0) {
    fail("connect");
  }
}

sockaddr_in UdpSocket::local() const {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    fail("getsockname");
  }
  return address;
}

bool UdpSocket::send(ByteView train, std::size_t datagram_bytes) const {
  iovec vector{const_cast<std::uint8_t*>(train.data()), train.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
  if (train.size() > datagram_bytes) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_UDP;
    head->cmsg_type = UDP_SEGMENT;
    head->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto size = static_cast<std::uint16_t>(datagram_bytes);
    std::memcpy(CMSG_DATA(head), &size, sizeof size);
  }
  if (::sendmsg(descriptor_, &message, MSG_NOSIGNAL) >= 0) return true;
  if (errno == EAGAIN) return false;
  // Nobody is there any more: the protocol above finds out in its own way.
  if (errno == ECONNREFUSED) return true;
  fail("sendmsg");
}

std::size_t UdpSocket::receive(const std::function<void(MutableBytes, const sockaddr_in&)>& take) {
  for (std::size_t index = 0; index < kBatch; ++index) {
    vectors_[index] = {buffer_.data() + index * kTrainBytes, kTrainBytes};
    msghdr& head = messages_[index].msg_hdr;
    head = {};
    head.msg_name = &sources_[index];
    head.msg_namelen = sizeof sources_[index];
    head.msg_iov = &vectors_[index];
    head.msg_iovlen = 1;
    head.msg_control = controls_[index].data();
    head.msg_controllen = kControlBytes;
  }
  const int count = ::recvmmsg(descriptor_, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
  if (count < 0) {
    if (errno == EAGAIN || errno == ECONNREFUSED || errno == EINTR) return 0;
    fail("recvmmsg");
  }
  std::size_t datagrams = 0;
  for (std::size_t index = 0; index < static_cast<std::size_t>(count); ++index) {
    MutableBytes rest(buffer_.data() + index * kTrainBytes, messages_[index].msg_len);
    const std::size_t segment = segment_bytes(messages_[index].msg_hdr);
    while (!rest.empty()) {
      const std::size_t size = segment == 0 ? rest.size() : std::min(segment, rest.size());
      take(rest.first(size), sources_[index]);
      rest = rest.subspan(size);
      ++datagrams;
    }
  }
  return datagrams;
}

void UdpSocket::wait(std::int64_t timeout_ns, bool for_room) const {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const timespec timeout{.tv_sec = timeout_ns / kSecond, .tv_nsec = timeout_ns % kSecond};
  const auto events = static_cast<short>(for_room ? POLLIN | POLLOUT : POLLIN);
  pollfd wanted{descriptor_, events, 0};
  if (::ppoll(&wanted, 1, &timeout, nullptr) < 0 && errno != EINTR) fail("ppoll");
}

}  // namespace sealine::bench
