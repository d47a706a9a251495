#pragma once

#include "io/detail/udp.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/stt/datagram.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sealine::io::stt {

using UdpAddress = net::ip::udp::endpoint;
using ::sealine::stt::EcnMark;

/// Datagrams of one length that came together, from one peer; the last one may be shorter.
struct IncomingTrain {
  MutableBytes bytes;
  std::size_t datagram_bytes = 0;
  UdpAddress from;
  net::ip::address to;  ///< ours, unspecified where the kernel did not say
  EcnMark mark = EcnMark::none;
};

/// Datagrams of one length to be sent together, to one peer; the last one may be shorter.
struct OutgoingTrain {
  ByteView bytes;
  std::size_t datagram_bytes = 0;
  const UdpAddress* to = nullptr;  ///< nothing: where the socket is connected to
  net::ip::address from{};         ///< ours, unspecified: the kernel chooses
};

/// The most datagrams of a train, and the bytes of all of them.
inline constexpr std::size_t kMaxTrainDatagrams = 64;
inline constexpr std::size_t kMaxTrainBytes = 65507;

/// Memory for what one call receives: good until the next one. Shared by the sockets of an
/// executor.
class ReceiveBatch {
 public:
  static constexpr std::size_t kTrains = 2;
  static constexpr std::size_t kTrainBytes = 65536;

  ReceiveBatch() : memory_(kTrains * kTrainBytes) {}

  [[nodiscard]] std::span<const IncomingTrain> trains() const noexcept {
    return std::span(trains_).first(count_);
  }

  // --- for who receives

  [[nodiscard]] MutableBytes room(std::size_t index) noexcept {
    return MutableBytes(memory_).subspan(index * kTrainBytes, kTrainBytes);
  }

  [[nodiscard]] IncomingTrain& train(std::size_t index) noexcept { return trains_[index]; }

  void set_count(std::size_t count) noexcept { count_ = count; }

 private:
  std::vector<std::uint8_t> memory_;
  std::array<IncomingTrain, kTrains> trains_;
  std::size_t count_ = 0;
};

/// How the kernel treats a socket's datagrams.
struct DatagramCounts {
  std::size_t receive_buffer_bytes = 0;  ///< what was given, of what was asked for
  std::size_t send_buffer_bytes = 0;
  bool sends_trains = false;      ///< UDP_SEGMENT, as long as it has not failed
  bool receives_trains = false;   ///< UDP_GRO
  std::uint64_t overflowed = 0;   ///< datagrams that found the receive buffer full
  std::uint64_t unsegmented = 0;  ///< trains that went one datagram at a time after a failure
};

/// Whom a socket tells that it is ready.
class DatagramSink {
 public:
  DatagramSink() = default;
  DatagramSink(const DatagramSink&) = delete;
  DatagramSink& operator=(const DatagramSink&) = delete;
  virtual ~DatagramSink() = default;

  virtual void readable() = 0;
  virtual void writable() = 0;
  /// A wait was dropped unrun: its context is gone.
  virtual void drop_operations() = 0;
};

/// Datagrams of one socket, many with each call.                    spec: stt.md#transports
///
/// Never blocks. One thread (or strand).
class DatagramIo {
 public:
  DatagramIo() = default;
  DatagramIo(const DatagramIo&) = delete;
  DatagramIo& operator=(const DatagramIo&) = delete;
  virtual ~DatagramIo() = default;

  /// What waits, up to a batch. would_block: nothing. Errors are of the socket, or, of one that is
  /// connected, of the peer (connection_refused): they end nothing.
  virtual void receive(ReceiveBatch& batch, error_code& ec) = 0;
  /// All of it, or nothing: would_block. What the path does not take, or what a full queue drops,
  /// is lost like any datagram and no error.
  virtual void send(const OutgoingTrain& train, error_code& ec) = 0;

  /// Tells `sink`, which the wait keeps alive, once; it may find nothing there.
  virtual void wait_readable(std::shared_ptr<DatagramSink> sink) = 0;
  virtual void wait_writable(std::shared_ptr<DatagramSink> sink) = 0;

  [[nodiscard]] virtual bool is_open() const = 0;
  [[nodiscard]] virtual UdpAddress local_endpoint() const = 0;
  [[nodiscard]] virtual DatagramCounts counts() const = 0;
  /// Waits end unrun.
  virtual void close() = 0;
};

}  // namespace sealine::io::stt
