#pragma once

#include "io/stt/datagram_io.hpp"
#include "io/stt/datagram_socket.hpp"
#include "io/stt/endpoint_core.hpp"
#include "io/stt/wire.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stt_options.hpp"
#include "sealine/stt/datagram.hpp"
#include "sealine/stt/handshake.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sealine::io::stt {

class DatagramListener;
class SessionCore;

/// The datagrams of one session: a socket of its own where it was dialled, else those of the
/// listener; the paths to its peer.                                  spec: stt.md#transports
class DatagramWire final : public Wire {
 public:
  /// `core` owns it.
  explicit DatagramWire(SessionCore& core);
  ~DatagramWire() override;

  /// udp: by datagrams alone; stt: by WebSocket where nobody answers them.
  void dial(const Url& url);
  /// A session whose handshake the listener has done: with whom, through which socket, and to which
  /// of our addresses.
  void answer(DatagramListener& listener, std::shared_ptr<DatagramIo> io, const UdpAddress& peer,
              const net::ip::address& ours, ::sealine::stt::Established result);

  /// One datagram of the session, from a socket that more than one session uses.
  void take(MutableBytes datagram, const IncomingTrain& from, const std::shared_ptr<DatagramIo>& io,
            TimePoint now);

  /// Whether it is the first datagram since untouch().
  [[nodiscard]] bool touch() noexcept { return !std::exchange(is_touched_, true); }

  void untouch() noexcept { is_touched_ = false; }

  [[nodiscard]] std::size_t gather_bytes() const noexcept override { return kGatherBytes; }

  bool transmit() override;
  void arm() override;
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const override;
  void handle_timeout(TimePoint now) override;
  void take_path(::sealine::stt::PathId path) override;

  void refuse() override {}  ///< every fault is silence

  [[nodiscard]] bool is_done() const override;
  void close() override;

 private:
  using PathId = ::sealine::stt::PathId;

  /// Some trains: the last one is rarely full.
  static constexpr std::size_t kGatherBytes = std::size_t{192} << 10U;

  /// A dial of one address of the peer.
  struct Attempt final : DatagramSink {
    Attempt(DatagramWire& owner, std::shared_ptr<DatagramSocket> socket, const UdpAddress& to);

    void readable() override;
    void writable() override;
    void drop_operations() override;

    DatagramWire& wire;
    std::shared_ptr<DatagramSocket> io;
    UdpAddress peer;
    std::optional<::sealine::stt::Initiator> initiator;
    bool read_armed = false;
  };

  /// An address of the peer, and one of ours that it sends to. What goes to one that has not proved
  /// itself is at most three times what came from it.
  struct Path {
    PathId id = 0;
    std::shared_ptr<DatagramIo> io;
    UdpAddress peer;
    net::ip::address ours;
    bool is_proven = false;
    bool was_used = false;  ///< something went there
    std::uint64_t received_bytes = 0;
    std::uint64_t sent_bytes = 0;
  };

  /// Sealed datagrams that the socket did not take yet.
  struct Waiting {
    PathId path = 0;
    std::size_t datagram_bytes = 0;
    std::vector<std::uint8_t> bytes;
  };

  // --- datagram_wire_dial.cpp
  void resolved(const error_code& ec, const net::ip::tcp::resolver::results_type& results);
  void begin_attempts(std::vector<net::ip::tcp::endpoint> addresses);
  void try_next();
  void try_address(const UdpAddress& peer, TimePoint now);
  void send_handshake(Attempt& attempt);
  void read_attempt(Attempt& attempt);
  void take_handshake(Attempt& attempt, MutableBytes datagram, const IncomingTrain& from,
                      TimePoint now);
  void refused(Attempt& attempt, const error_code& ec);
  void reached(Attempt& attempt);
  void no_answer();
  [[nodiscard]] bool has_live_attempt() const;

  [[nodiscard]] bool is_dialling() const noexcept { return !listener_ && paths_.empty(); }

  // --- datagram_wire.cpp
  void begin_session(::sealine::stt::Established result, const UdpAddress& peer);
  [[nodiscard]] Path& path_of(const IncomingTrain& from, const std::shared_ptr<DatagramIo>& io);
  [[nodiscard]] Path* find_path(PathId id);
  bool send_waiting();
  void send(PathId id, ByteView bytes, std::size_t datagram_bytes);
  [[nodiscard]] bool try_send(PathId id, ByteView bytes, std::size_t datagram_bytes);
  [[nodiscard]] bool move_socket();
  [[nodiscard]] std::shared_ptr<DatagramSink> sink_of(Attempt& attempt) const;

  SessionCore& core_;
  EndpointCore& endpoint_;
  DatagramListener* listener_ = nullptr;
  std::vector<Path> paths_;
  PathId next_path_ = 1;
  std::deque<Waiting> waiting_;
  std::size_t largest_datagram_bytes_ = 0;
  TimePoint moved_at_{};
  bool write_armed_ = false;
  bool is_closed_ = false;
  bool is_touched_ = false;

  // while dialling
  net::ip::tcp::resolver resolver_;
  std::vector<std::unique_ptr<Attempt>> attempts_;
  std::vector<net::ip::tcp::endpoint> addresses_;
  std::size_t next_address_ = 0;
  TimePoint next_attempt_at_ = TimePoint::max();
  TimePoint deadline_ = TimePoint::max();  ///< of the resolver
  TimePoint fall_back_at_ = TimePoint::max();
  bool may_fall_back_ = false;
  bool was_answered_ = false;
  error_code last_error_;
};

}  // namespace sealine::io::stt
