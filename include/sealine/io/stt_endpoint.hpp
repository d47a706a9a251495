#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stt_options.hpp"
#include "sealine/io/stt_session.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sealine::io::stt {

class EndpointCore;

/// The answer to a plain HTTP request: a page beside the WebSocket.
struct PlainAnswer {
  int status = 404;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body{};
  std::string headers{};  ///< more of them, each with CRLF
};

/// A dial from outside that came to nothing.
struct DialFailure {
  net::ip::tcp::endpoint client;
  Error error;
};

/// Dials and listens for STT sessions over UDP and WebSocket, with one seed and one node id.
///
/// A failed handshake never ends it: silent towards the client but for WebSocket's close code 1008,
/// and reported to the observer. Budgets (ListenerLimits) bound what strangers cost. One executor
/// (a strand, where several threads run it) for the endpoint, its sessions and their streams.
///
/// With EndpointOptions::workers above 1 what it listens to by datagrams has threads of its own:
/// a session runs on that of its worker for its whole life, with its streams (their
/// get_executor()). async_accept gives it out on the endpoint's executor all the same; what is
/// done with it is begun on its own, as by co_spawn(session.get_executor(), ...). Observers, pages,
/// sessions that were dialled and those by WebSocket stay on the endpoint's executor, which
/// outlives the endpoint. The endpoint's destructor ends the sessions of its workers (what waits
/// ends with them, or is dropped) and waits for the threads: not from one of them, nor where a
/// handler of theirs waits for the caller. A handler that throws there ends the program.
class SEALINE_API Endpoint {
 public:
  using executor_type = net::any_io_executor;
  using Observer = std::function<void(const DialFailure&)>;
  using Pages = std::function<PlainAnswer(const websocket::Request&)>;

  Endpoint(executor_type executor, EndpointOptions options);
  Endpoint(Endpoint&&) noexcept = default;
  Endpoint& operator=(Endpoint&&) noexcept;
  ~Endpoint();

  [[nodiscard]] executor_type get_executor() const noexcept;

  /// Several times for several addresses. An empty host is every address of this machine; stt://
  /// listens to both transports, on one port number.
  /// Errors: those of the socket; Errc::bad_configuration (seed).
  void listen(const Url& url, error_code& ec);
  /// Address and port of every socket, whatever it carries; the same of two is there once.
  [[nodiscard]] std::vector<net::ip::tcp::endpoint> local_endpoints() const;
  /// The least receive buffer that the kernel gave a socket for datagrams, of those opened so far;
  /// nothing without any. Less than kDatagramBufferBytes: see net.core.rmem_max.
  [[nodiscard]] std::optional<std::size_t> datagram_buffer_bytes() const;
  /// How many workers listen: 1 where the kernel did not take what steers datagrams to them
  /// (SO_ATTACH_REUSEPORT_CBPF), whatever was asked for.
  [[nodiscard]] WorkerStatistics workers() const;
  /// Answers requests that are no WebSocket's; without it they get 404.
  void on_request(Pages pages);
  void on_failure(Observer observer);

  /// The next session from outside whose handshake is done. Signature: void(error_code, Session).
  template <class Token>
  auto async_accept(Token&& token) {
    return start(token, [core = core_](auto done) { start_accept(core, std::move(done)); });
  }

  /// Resolves, connects, does both handshakes. Signature: void(error_code, Session). Errors: those
  /// of the socket; connect_timeout, not_this_protocol, peer_fell_silent (another seed, or none; of
  /// datagrams also nobody at all, unless the kernel knows: then connection_refused),
  /// answer_not_authentic, bad_configuration.
  template <class Token>
  auto async_connect(const Url& url, Token&& token) {
    return start(token,
                 [core = core_, url](auto done) { start_connect(core, url, std::move(done)); });
  }

  /// Stops listening; a pending accept ends with operation_aborted. Sessions go on.
  void close();

 private:
  using CorePtr = std::shared_ptr<EndpointCore>;
  using Given = detail::OperationPtr<error_code, Session>;

  template <class Token, class Begin>
  auto start(Token& token, Begin begin) {
    return net::async_initiate<Token, void(error_code, Session)>(
        [core = core_, begin = std::move(begin)](auto&& handler) {
          begin(detail::make_operation<error_code, Session>(
              std::forward<decltype(handler)>(handler), executor_of(core)));
        },
        token);
  }

  static const executor_type& executor_of(const CorePtr& core) noexcept;
  static void start_accept(const CorePtr& core, Given done);
  static void start_connect(const CorePtr& core, const Url& url, Given done);

  CorePtr core_;
};

}  // namespace sealine::io::stt
