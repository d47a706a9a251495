#pragma once

#include "io/stt/endpoint_core.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stt_session.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/stt/session.hpp"
#include "sealine/websocket/connection.hpp"
#include "sealine/websocket/handshake.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace sealine::io::detail {
class Dialer;
}  // namespace sealine::io::detail

namespace sealine::io::stt {

/// What stands behind a Session: one TCP connection, the WebSocket on it, the session in that.
///
/// Every input (readable, writable, time, a call) ends in drive(), which takes what there is, sends
/// what may go, ends the operations that are done and arms the waits for the rest. Lives as long as
/// its Session, a Stream or a wait; a wait that Asio drops unrun (its context goes) drops the
/// operations with it. Runs on the endpoint's executor.
class SessionCore : public std::enable_shared_from_this<SessionCore> {
 public:
  using Socket = net::ip::tcp::socket;
  using Done = detail::OperationPtr<error_code>;
  using Moved = detail::OperationPtr<error_code, std::size_t>;
  using Given = detail::OperationPtr<error_code, Session>;
  using Accepted = detail::OperationPtr<error_code, Stream>;

  explicit SessionCore(std::shared_ptr<EndpointCore> endpoint);

  // --- beginning

  void dial(const Url& url, Given done);
  /// A connection that was accepted; `number` names it to the endpoint.
  void answer(Socket socket, const net::ip::tcp::endpoint& client, std::uint64_t number);

  // --- operations

  void start_accept(Accepted done);
  void start_drain(Done done);
  void start_read(StreamId id, MutableBytes target, Moved done);
  void start_write(StreamId id, ByteView source, Moved done);
  void start_read_message(StreamId id, std::vector<std::uint8_t>& message, Done done);
  void start_write_message(StreamId id, ByteView message, Done done);
  void start_shutdown(StreamId id, Done done);
  [[nodiscard]] Result<Stream> open(const StreamOptions& options);
  void reset(StreamId id, std::uint16_t code);
  void stop(StreamId id, std::uint16_t code);
  void cancel_stream(StreamId id);
  void cancel_accept();
  void abandon_stream(StreamId id);
  void close(std::uint16_t code, std::string_view reason);
  /// Its Session is gone.
  void abandon();
  void rotate();

  // --- what is known

  [[nodiscard]] const net::any_io_executor& executor() const noexcept {
    return endpoint_->executor();
  }

  [[nodiscard]] Connected connected() const { return connected_; }

  [[nodiscard]] SessionStatistics statistics() const;

  [[nodiscard]] const std::optional<SessionClosed>& outcome() const noexcept { return outcome_; }

  void on_event(Session::Observer observer) { observer_ = std::move(observer); }

  [[nodiscard]] bool is_open() const noexcept { return phase_ == Phase::open; }

  /// The endpoint is closed before the handshake is over.
  void give_up() { fail({Errc::cancelled, 0}); }

  /// Ends without a word when a wait was dropped unrun: the context is gone.
  void drop_operations();

  /// Its session, for those to whom it is handed out.
  [[nodiscard]] Session handle() { return Session(shared_from_this()); }

 private:
  /// What the connection is at.
  enum class Phase : std::uint8_t {
    fresh,
    connecting,
    http,         ///< the WebSocket's opening
    handshaking,  ///< STT's
    open,
    closing,    ///< the session is over; CLOSE and the WebSocket's Close are on their way
    answering,  ///< no WebSocket: the answer is written, then the connection ends
    closed,
  };

  /// The operations of one stream that wait, and how it stands.
  struct StreamState {
    Moved read;
    MutableBytes read_target;
    Done read_message;
    std::vector<std::uint8_t>* message = nullptr;
    Moved write;
    ByteView write_source;
    Done write_message;
    bool has_ended = false;     ///< reads: eof from now on
    bool has_finished = false;  ///< writes: what was written and FIN go out, whoever holds it
    std::optional<Error> read_fault;
    std::optional<Error> write_fault;
    bool is_gone = false;  ///< closed below
    bool is_held = true;   ///< a Stream stands for it
  };

  // --- session_core.cpp
  void drive();
  void after_call();
  void arm();
  void arm_read();
  void arm_write();
  void arm_timer();
  void readable();
  void timer_expired();
  void fail(const Error& error);
  void close_socket();
  [[nodiscard]] TimePoint next_deadline() const;

  // --- session_core_wire.cpp: the connection
  void connected_to(const error_code& ec, Socket socket);
  void begin_http_client();
  void take(MutableBytes bytes);
  void take_http(MutableBytes bytes);
  void take_websocket(MutableBytes bytes);
  void take_message(MutableBytes message);
  [[nodiscard]] bool take_handshake_frame(MutableBytes& rest);
  void take_closed(const websocket::Closed& closed);
  void end_of_stream();
  void established(::sealine::stt::Established result);
  void answer_plainly();
  void send_handshake(ByteView frame);
  bool transmit();
  bool send_pending();
  bool send_batch();
  void queue(ByteView bytes);
  void send_now(std::span<const net::const_buffer> buffers, std::size_t total);
  void give_session_up();

  // --- session_core_streams.cpp: events and operations
  bool take_events();
  void take_event(const ::sealine::stt::Session::Event& event);
  void session_closed(const SessionClosed& closed);
  void try_read(StreamId id, StreamState& stream);
  void try_write(StreamId id, StreamState& stream);
  [[nodiscard]] StreamState* find(StreamId id);
  void forget_if_done(StreamId id);
  void hand_out_streams();
  void end_operations(const Error& error);
  [[nodiscard]] Error end_error() const;
  template <class Operation, class... Results>
  void finish(Operation operation, Results... results);

  std::shared_ptr<EndpointCore> endpoint_;
  Socket socket_;
  net::steady_timer timer_;
  Phase phase_ = Phase::fresh;
  Connected connected_;
  Url url_;
  std::weak_ptr<detail::Dialer> dialer_;
  std::optional<std::uint64_t> number_;  ///< answered: its place at the endpoint
  std::vector<std::uint8_t> address_;    ///< the client's, as the responder knows it
  Given given_;                          ///< dialled: whom to hand the session to
  TimePoint handshake_deadline_ = TimePoint::max();
  std::optional<TimePoint> linger_until_;

  std::optional<websocket::ServerHandshake> http_server_;
  std::optional<websocket::ClientHandshake> http_client_;
  std::optional<websocket::Connection> websocket_;
  std::optional<::sealine::stt::Initiator> initiator_;
  std::optional<::sealine::stt::Session> session_;
  std::optional<SessionClosed> outcome_;
  Session::Observer observer_;

  std::vector<std::uint8_t> pending_;  ///< what the socket did not take
  std::size_t pending_begin_ = 0;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool driving_ = false;
  bool drive_again_ = false;
  TimePoint armed_until_ = TimePoint::max();

  std::map<StreamId, StreamState> streams_;
  std::deque<std::pair<StreamId, StreamOptions>> opened_;
  Accepted accept_;
  Done drain_;
};

}  // namespace sealine::io::stt
