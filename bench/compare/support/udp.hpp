#pragma once

#include "sealine/base/bytes.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/uio.h>
#include <utility>
#include <vector>

namespace sealine::bench {

/// A UDP socket that sends trains of datagrams of one size (UDP_SEGMENT) and takes them as they
/// come (recvmmsg, UDP_GRO). Failures throw std::system_error.
class UdpSocket {
 public:
  explicit UdpSocket(const std::string& address);  ///< on a free port of it

  UdpSocket(UdpSocket&& other) noexcept;
  UdpSocket& operator=(UdpSocket&&) = delete;
  ~UdpSocket();

  void connect(const sockaddr_in& peer);
  [[nodiscard]] sockaddr_in local() const;

  /// All of one train: datagrams of `datagram_bytes`, of which the last may be shorter. False: the
  /// socket has no room.
  [[nodiscard]] bool send(ByteView train, std::size_t datagram_bytes) const;

  /// Calls `take` for each datagram that is there, at most those of one system call. Gives their
  /// number. The bytes are the caller's until the next call.
  std::size_t receive(const std::function<void(MutableBytes, const sockaddr_in&)>& take);

  /// Waits until something can be read (or, if asked for, written), at most so long.
  void wait(std::int64_t timeout_ns, bool for_room) const;

 private:
  static constexpr std::size_t kBatch = 8;
  static constexpr std::size_t kTrainBytes = 65'536;
  static constexpr std::size_t kControlBytes = 64;

  int descriptor_;
  std::vector<std::uint8_t> buffer_;
  std::array<iovec, kBatch> vectors_{};
  std::array<sockaddr_in, kBatch> sources_{};
  std::array<std::array<char, kControlBytes>, kBatch> controls_{};
  std::array<mmsghdr, kBatch> messages_{};
};

/// 127.0.0.1 and the like. Throws std::invalid_argument.
[[nodiscard]] sockaddr_in to_address(const std::string& text, std::uint16_t port);

}  // namespace sealine::bench
