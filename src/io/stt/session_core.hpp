#pragma once

#include "io/stt/endpoint_core.hpp"
#include "io/stt/timers.hpp"
#include "io/stt/wire.hpp"
#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/time.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stt_session.hpp"
#include "sealine/stt/handshake.hpp"
#include "sealine/stt/session.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::io::stt {

class DatagramWire;

/// What stands behind a Session: the machine below it, the wire that carries it, and the operations
/// that wait.
///
/// Every input (readable, writable, time, a call) ends in drive(), which takes what there is, sends
/// what may go, ends the operations that are done and arms the waits for the rest. Lives as long as
/// its Session, a Stream or a wait; a wait that Asio drops unrun (its context goes) drops the
/// operations with it. Runs on the executor of its endpoint, or of the worker that it came to.
class SessionCore : public std::enable_shared_from_this<SessionCore> {
 public:
  using Done = detail::OperationPtr<error_code>;
  using Moved = detail::OperationPtr<error_code, std::size_t>;
  using Given = detail::OperationPtr<error_code, Session>;
  using Accepted = detail::OperationPtr<error_code, Stream>;

  explicit SessionCore(std::shared_ptr<EndpointCore> endpoint);

  // --- beginning

  void dial(const Url& url, Given done);
  /// A connection that was accepted; `number` names it to the endpoint.
  void answer(net::ip::tcp::socket socket, const net::ip::tcp::endpoint& client,
              std::uint64_t number);
  /// A client whose handshake the listener does; its wire is to be told.
  [[nodiscard]] DatagramWire& answer(const net::ip::tcp::endpoint& client);

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
  /// The same two from whatever thread it was, where it runs on a worker's.
  void let_go();
  void let_stream_go(StreamId id);
  void rotate();

  // --- what is known

  [[nodiscard]] const net::any_io_executor& executor() const noexcept {
    return endpoint_->executor();
  }

  [[nodiscard]] bool is_of_worker() const noexcept { return endpoint_->seat() != nullptr; }

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

  // --- for its wire

  [[nodiscard]] EndpointCore& endpoint() noexcept { return *endpoint_; }

  /// Nothing before the handshake is done.
  [[nodiscard]] ::sealine::stt::Session* session() noexcept {
    return session_ ? &*session_ : nullptr;
  }

  /// The session is over; its CLOSE may still be on its way.
  [[nodiscard]] bool is_closing() const noexcept { return phase_ == Phase::closing; }

  /// The handshake is done: the session begins, and is handed out.
  void establish(::sealine::stt::Established result, SessionConfig config);
  /// Nobody answers datagrams: the same once more, by WebSocket.
  void fall_back();
  /// The handshake came to nothing.
  void fail(const Error& error);
  /// No session, and no failure either: a request for a page, say.
  void release();
  /// Takes what there is, sends what may go, arms the waits.
  void drive();
  /// The peer, or the way to it, is gone: the session is over, where it was not.
  void lost();
  /// The same, and the wire is closed.
  void end();

 private:
  enum class Phase : std::uint8_t {
    beginning,  ///< until the handshake is done
    open,
    closing,  ///< the session is over, or there is none; last words are on their way
    closed,
  };

  struct Timer final : Timers::Timer {
    explicit Timer(SessionCore& owner);

    void expired() override;

    SessionCore& core;
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
  void dial_websocket(const Url& url);
  void after_call();
  void after_write(std::size_t bytes);
  void gather();
  void arm_timer();
  void timer_expired();
  void give_session_up();
  [[nodiscard]] TimePoint next_deadline() const;

  // --- session_core_streams.cpp: events and operations
  bool take_events();
  void take_event(const ::sealine::stt::Session::Event& event);
  void session_closed(const SessionClosed& closed);
  void try_read(StreamId id, StreamState& stream);
  void end_read(StreamId id, StreamState& stream, const error_code& code);
  std::size_t try_write(StreamId id, StreamState& stream);
  [[nodiscard]] StreamState* find(StreamId id);
  void forget_if_done(StreamId id);
  void hand_out_streams();
  void end_operations(const Error& error);
  [[nodiscard]] Error end_error() const;
  template <class Operation, class... Results>
  void finish(Operation operation, Results... results);

  std::shared_ptr<EndpointCore> endpoint_;
  Timer timer_;
  Phase phase_ = Phase::beginning;
  Connected connected_;
  Url url_;  ///< dialled
  std::unique_ptr<Wire> wire_;
  std::unique_ptr<Wire> former_wire_;    ///< closed; it may be in the middle of a call
  std::optional<std::uint64_t> number_;  ///< answered: its place at the endpoint
  Given given_;                          ///< dialled: whom to hand the session to
  std::optional<TimePoint> linger_until_;
  std::optional<::sealine::stt::Session> session_;
  std::optional<SessionClosed> outcome_;
  Session::Observer observer_;
  bool is_gathering_ = false;       ///< gather() is posted
  std::size_t gathered_bytes_ = 0;  ///< written since the last drive; an empty message counts too
  std::size_t seen_bytes_ = 0;      ///< of them, when gather() was posted
  TimePoint gathered_since_{};
  bool driving_ = false;
  bool drive_again_ = false;

  std::map<StreamId, StreamState> streams_;
  std::deque<std::pair<StreamId, StreamOptions>> opened_;
  Accepted accept_;
  Done drain_;
};

template <class Operation, class... Results>
void SessionCore::finish(Operation operation, Results... results) {
  net::post(executor(),
            [operation = std::move(operation), ... results = std::move(results)]() mutable {
              detail::complete(std::move(operation), std::move(results)...);
            });
}

}  // namespace sealine::io::stt
