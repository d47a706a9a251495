#pragma once

#include "io/stt/datagram_io.hpp"
#include "io/stt/datagram_ports.hpp"
#include "io/stt/stray_datagrams.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/stt/frame.hpp"
#include "sealine/stt/handshake.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace sealine::io::stt {

class DatagramWire;
class EndpointCore;
class SessionCore;

/// The sockets of an endpoint that listens to datagrams, or of one of its workers: its handshakes,
/// and to whom of its sessions a datagram belongs.                   spec: stt.md#transports
class DatagramListener {
 public:
  /// `endpoint` owns it.
  explicit DatagramListener(EndpointCore& endpoint);
  ~DatagramListener();

  /// A socket at each of the places, or at least at one of them; else `ec` says why not.
  void listen(const DatagramPlaces& places, error_code& ec);
  /// A socket that is bound. Workers have theirs in the same order.
  void adopt(std::shared_ptr<DatagramIo> socket);
  [[nodiscard]] std::vector<net::ip::udp::endpoint> local_endpoints() const;

  /// No more handshakes. The sockets go with the last session.
  void close();
  /// Ends all sessions, with a CLOSE that nobody waits for, and the sockets.
  void end_sessions();
  /// Datagrams for sessions of this worker that came to others.
  void take_strays(std::vector<std::unique_ptr<StrayDatagram>> strays);
  /// The context is gone, and what waits in it.
  void drop_operations();

  // --- for sessions

  /// A session has ended.
  void forget(const ::sealine::stt::SessionId& session);
  /// drive() of `core` once `io` takes more.
  void wait_writable(const DatagramIo& io, SessionCore& core);

 private:
  struct Served {
    std::shared_ptr<SessionCore> core;
    DatagramWire* wire = nullptr;  ///< the core's
  };

  struct Port final : DatagramSink {
    Port(DatagramListener& owner, std::size_t place, std::shared_ptr<DatagramIo> socket);

    void readable() override;
    void writable() override;
    void drop_operations() override;

    DatagramListener& listener;
    std::size_t index;
    std::shared_ptr<DatagramIo> io;
    std::vector<std::weak_ptr<SessionCore>> writers;  ///< whose datagrams wait
    bool read_armed = false;
    bool write_armed = false;
  };

  void arm_read(Port& port);
  void read(Port& port);
  void take(Port& port, MutableBytes datagram, const IncomingTrain& from, TimePoint now);
  [[nodiscard]] bool hand_over(const Port& port, ByteView datagram, const IncomingTrain& from);
  void take_frames(Port& port, MutableBytes frames, const IncomingTrain& from, TimePoint now);
  void take_handshake(Port& port, MutableBytes datagram, const IncomingTrain& from, TimePoint now);
  void begin_session(Port& port, const IncomingTrain& from, ::sealine::stt::Established result);
  void drive_touched();
  void close_if_unused();
  [[nodiscard]] std::shared_ptr<DatagramSink> sink_of(Port& port) const;

  EndpointCore& endpoint_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::unordered_map<std::uint64_t, Served> sessions_;
  std::vector<Served> touched_;  ///< by the batch at hand
  bool is_closing_ = false;
};

}  // namespace sealine::io::stt
