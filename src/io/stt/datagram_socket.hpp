#pragma once

#include "io/stt/datagram_io.hpp"
#include "io/stt/eager_wait.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stt_options.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace sealine::io::stt {

struct DatagramSettings {
  std::size_t buffer_bytes = kDatagramBufferBytes;  ///< of the kernel, each way
  bool sends_trains = true;
  bool receives_trains = true;
  bool shares_address = false;  ///< with others that do (SO_REUSEPORT)
};

/// One UDP socket on Asio's reactor: UDP_SEGMENT and UDP_GRO where the kernel has them, ECT(0) on
/// what goes and the mark of what comes, the address of ours that a datagram came to, no
/// fragmentation.
class DatagramSocket final : public DatagramIo {
 public:
  DatagramSocket(const net::any_io_executor& executor, const DatagramSettings& settings);

  /// `both_families`: one of IPv6 that takes IPv4 as well.
  void bind(const UdpAddress& local, bool both_families, error_code& ec);
  /// To and from `peer` alone. Again, once the address that we had is gone: another takes its
  /// place.
  void connect(const UdpAddress& peer, error_code& ec);

  void receive(ReceiveBatch& batch, error_code& ec) override;
  void send(const OutgoingTrain& train, error_code& ec) override;
  void wait_readable(std::shared_ptr<DatagramSink> sink) override;
  void wait_writable(std::shared_ptr<DatagramSink> sink) override;

  [[nodiscard]] bool is_open() const override { return socket_.is_open(); }

  [[nodiscard]] UdpAddress local_endpoint() const override;

  [[nodiscard]] DatagramCounts counts() const override { return counts_; }

  void close() override;

  [[nodiscard]] int native_handle() { return socket_.native_handle(); }

 private:
  void open(const net::ip::udp& family, bool both_families, error_code& ec);
  void set_up();
  void send_one_by_one(const OutgoingTrain& train, error_code& ec);

  net::ip::udp::socket socket_;
  DatagramSettings settings_;
  DatagramCounts counts_;
  EagerWait eager_wait_;
  bool is_ipv6_ = false;
};

}  // namespace sealine::io::stt
