#pragma once

#include "io/detail/acceptors.hpp"
#include "io/detail/handshake_budget.hpp"
#include "io/detail/tls_client.hpp"
#include "io/stt/datagram_io.hpp"
#include "io/stt/datagram_listener.hpp"
#include "io/stt/timers.hpp"
#include "io/stt/workers.hpp"
#include "sealine/base/error.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stt_endpoint.hpp"
#include "sealine/stt/handshake.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace sealine::io::stt {

/// What stands behind an Endpoint: listening sockets, the responder, and the buffers that its
/// sessions share, for they all run on one executor. One of a worker is the same for the sessions
/// by datagrams that run on that worker's thread; it dials nobody.
class EndpointCore : public std::enable_shared_from_this<EndpointCore> {
 public:
  using Given = detail::OperationPtr<error_code, Session>;

  /// One datagram of the kernel is never larger; a batch of WebSocket messages is not either.
  static constexpr std::size_t kScratchBytes = std::size_t{256} << 10U;

  EndpointCore(net::any_io_executor executor, EndpointOptions options);
  /// That of a worker of `main`.
  EndpointCore(const EndpointCore& main, WorkerSeat seat);

  void listen(const Url& url, error_code& ec);
  void start_accept(Given done);
  void start_connect(const Url& url, Given done);
  void close();
  /// Its Endpoint is gone: sessions that nobody has accepted end as well.
  void abandon();
  [[nodiscard]] std::vector<net::ip::tcp::endpoint> local_endpoints() const;

  [[nodiscard]] std::optional<std::size_t> datagram_buffer_bytes() const noexcept {
    return datagram_buffer_bytes_;
  }

  /// How many listen to datagrams, and what was handed over between them.
  [[nodiscard]] WorkerStatistics workers() const noexcept;

  void on_request(Endpoint::Pages pages) { pages_ = std::move(pages); }

  void on_failure(Endpoint::Observer observer) { observer_ = std::move(observer); }

  // --- for sessions

  [[nodiscard]] const net::any_io_executor& executor() const noexcept { return executor_; }

  [[nodiscard]] const EndpointOptions& options() const noexcept { return options_; }

  [[nodiscard]] const ::sealine::stt::HandshakeConfig& handshake() const noexcept {
    return handshake_;
  }

  /// Calls `call` where its sessions run: at once, or on a worker's thread when this is another.
  template <class Call>
  void run_with_sessions(Call call) {
    if (!seat_ || seat_->thread->is_here()) return call();
    seat_->thread->send(std::move(call));
  }

  /// Those of its sessions.
  [[nodiscard]] Timers& timers() noexcept { return *timers_; }

  [[nodiscard]] ::sealine::stt::Responder& responder() noexcept { return *responder_; }

  /// Whom those who dial wss:// believe: read when it is first asked for. Errors: system_error.
  [[nodiscard]] Result<std::shared_ptr<const detail::TlsTrust>> tls_trust();

  /// What TLS opened; empty before tls_trust.
  [[nodiscard]] MutableBytes tls_scratch() noexcept { return tls_scratch_; }

  [[nodiscard]] PlainAnswer page(const websocket::Request& request) const;

  [[nodiscard]] MutableBytes receive_scratch() noexcept { return receive_scratch_; }

  [[nodiscard]] MutableBytes send_scratch() noexcept { return send_scratch_; }

  /// Ends without a word when a wait was dropped unrun: the context is gone.
  void drop_operations();
  /// What one call receives from a socket for datagrams.
  [[nodiscard]] ReceiveBatch& receive_batch();
  /// What the kernel gave a socket for datagrams.
  void note_socket(const DatagramCounts& counts);
  void note_failure(const net::ip::tcp::endpoint& client, const Error& why);

  [[nodiscard]] ListenerCounts& counts() const noexcept { return *counts_; }

  /// So many sessions wait for async_accept that no handshake is begun any more.
  [[nodiscard]] bool has_enough_waiting() const noexcept {
    return counts_->waiting.load(std::memory_order_relaxed) >= options_.listener.waiting;
  }

  /// A session by datagrams, for async_accept.
  void session_ready(std::shared_ptr<SessionCore> session);
  /// The same, from a worker as from here: it waits from now on.
  void take_ready(std::shared_ptr<SessionCore> session);
  /// A dial from outside by WebSocket is over: with a session, or without one.
  void handshake_over(std::uint64_t number, const std::optional<Error>& failure);

  // --- for a worker

  /// Its place; nothing: this is none.
  [[nodiscard]] const WorkerSeat* seat() const noexcept { return seat_ ? &*seat_ : nullptr; }

  void adopt(std::shared_ptr<DatagramIo> socket) { datagrams_.adopt(std::move(socket)); }

  void take_strays(std::vector<std::unique_ptr<StrayDatagram>> strays) {
    datagrams_.take_strays(std::move(strays));
  }

  void end_sessions();

 private:
  struct HalfOpen {
    std::shared_ptr<SessionCore> session;
    net::ip::tcp::endpoint client;
  };

  void listen_to_websocket(const Url& url, error_code& ec);
  void listen_to_datagrams(const Url& url, error_code& ec);
  void listen_to_both(const Url& url, error_code& ec);
  void listen_at(const DatagramPlaces& places, error_code& ec);
  void start_accepting(const Url& url, detail::Acceptors opened);
  void accept_next(std::size_t index);
  void accepted(std::size_t index, const error_code& ec, net::ip::tcp::socket socket);
  void hand_out();
  void make_responder();

  std::optional<WorkerSeat> seat_;  ///< its thread's context outlives all else here
  net::any_io_executor executor_;
  EndpointOptions options_;
  ::sealine::stt::HandshakeConfig handshake_;
  std::optional<Error> misconfigured_;
  std::optional<::sealine::stt::Responder> responder_;
  std::shared_ptr<Timers> timers_;
  std::shared_ptr<ListenerCounts> counts_;  ///< of a worker: those of the whole listener
  detail::HandshakeBudget budget_;
  detail::Acceptors acceptors_;
  net::steady_timer retry_;
  std::unordered_map<std::uint64_t, HalfOpen> half_open_;
  std::deque<std::shared_ptr<SessionCore>> ready_;
  Given accept_done_;
  Endpoint::Pages pages_;
  Endpoint::Observer observer_;
  DatagramListener datagrams_{*this};
  std::unique_ptr<ReceiveBatch> batch_;
  std::optional<std::size_t> datagram_buffer_bytes_;
  std::shared_ptr<const detail::TlsTrust> tls_trust_;
  std::vector<std::uint8_t> tls_scratch_;
  std::vector<std::uint8_t> receive_scratch_;
  std::vector<std::uint8_t> send_scratch_;
  std::uint64_t numbers_ = 0;
  bool closed_ = false;
  std::unique_ptr<Workers> workers_;  ///< where many listen to datagrams
};

}  // namespace sealine::io::stt
