#pragma once

#include "io/detail/tls_client.hpp"
#include "io/stt/endpoint_core.hpp"
#include "io/stt/wire.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stt_options.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/websocket/connection.hpp"
#include "sealine/websocket/handshake.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace sealine::io::detail {
class Dialer;
}  // namespace sealine::io::detail

namespace sealine::io::stt {

class SessionCore;

/// One TCP connection, TLS on it where wss:// was dialled, the WebSocket, one session in that.
///                                                                  spec: websocket.md
class WebSocketWire final : public Wire {
 public:
  using Socket = net::ip::tcp::socket;

  /// `core` owns it.
  explicit WebSocketWire(SessionCore& core);
  ~WebSocketWire() override;

  void dial(const Url& url);
  void answer(Socket socket, const net::ip::tcp::endpoint& client);

  [[nodiscard]] std::size_t gather_bytes() const noexcept override { return kGatherBytes; }

  bool transmit() override;
  void arm() override;
  [[nodiscard]] std::optional<TimePoint> poll_timeout() const override;
  void handle_timeout(TimePoint now) override;
  void refuse() override;

  [[nodiscard]] bool is_done() const override { return false; }  ///< it ends with its connection

  void close() override;

 private:
  /// A frame.
  static constexpr std::size_t kGatherBytes = std::size_t{64} << 10U;

  /// What the connection is at.
  enum class Stage : std::uint8_t {
    connecting,
    securing,     ///< TLS's handshake, where there is one
    http,         ///< the WebSocket's opening
    handshaking,  ///< STT's
    open,
    answering,  ///< no WebSocket: the answer is written, then the connection ends
    closed,
  };

  // --- websocket_wire.cpp
  void connected_to(const error_code& ec, Socket socket);
  void begin_tls();
  void begin_http_client();
  void arm_read();
  void arm_write();
  void readable();
  void established(::sealine::stt::Established result);
  void end_of_stream();
  void queue(ByteView bytes);
  /// Through TLS, where there is one; false: that has failed.
  bool queue_plain(ByteView bytes);
  /// What TLS has to say.
  void queue_tls();
  void send_handshake(ByteView frame);
  bool send_pending();
  bool send_batch();
  void send_now(std::span<const net::const_buffer> buffers, std::size_t total);

  // --- websocket_wire_incoming.cpp
  void take(MutableBytes bytes);
  void take_tls(MutableBytes bytes);
  void take_http(MutableBytes bytes);
  void take_websocket(MutableBytes bytes);
  void take_message(MutableBytes message);
  [[nodiscard]] bool take_handshake_frame(MutableBytes& rest);
  void take_closed(const websocket::Closed& closed);
  void answer_plainly();

  SessionCore& core_;
  EndpointCore& endpoint_;
  Socket socket_;
  Stage stage_ = Stage::connecting;
  Url url_;
  std::weak_ptr<detail::Dialer> dialer_;
  std::vector<std::uint8_t> address_;  ///< the client's, as the responder knows it
  TimePoint handshake_deadline_ = TimePoint::max();

  std::optional<detail::TlsClient> tls_;
  std::optional<websocket::ServerHandshake> http_server_;
  std::optional<websocket::ClientHandshake> http_client_;
  std::optional<websocket::Connection> websocket_;
  std::optional<::sealine::stt::Initiator> initiator_;

  std::vector<std::uint8_t> pending_;  ///< what the socket did not take
  std::size_t pending_begin_ = 0;
  bool read_armed_ = false;
  bool write_armed_ = false;
};

}  // namespace sealine::io::stt
