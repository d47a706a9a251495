#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stcp_options.hpp"
#include "sealine/io/stcp_stream.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace sealine::io::stcp {

class ListenerCore;

/// A handshake that came to nothing, or a connection that a budget refused.
struct HandshakeFailure {
  net::ip::tcp::endpoint client;
  Error error;                     ///< half_open_full and too_many_handshakes among them
  std::optional<Verdict> verdict;  ///< where the client's key was judged
  std::optional<crypto::PublicKey> key;
};

/// Counts since the listener began.
struct ListenerStatistics {
  std::uint64_t accepted = 0;     ///< TCP connections
  std::uint64_t established = 0;  ///< handshakes that ended well
  std::uint64_t failed = 0;
  std::uint64_t refused = 0;    ///< by a budget
  std::size_t half_open = 0;    ///< now
  std::size_t connections = 0;  ///< now: streams handed out and not yet gone
};

/// Accepts STCP/1 connections and gives out those whose handshake is complete.
///
/// A failed handshake never ends it: it is silent towards the client and reported to the observer.
/// Budgets (ListenerLimits) bound what strangers cost; where the process has no descriptor left, it
/// waits for one. Not thread-safe: over an io_context that several threads run, make it with a
/// strand; each stream gets `stream_executor` or, without one, the listener's executor. Destruction
/// ends everything that is half-open.
class SEALINE_API Listener {
 public:
  using executor_type = net::any_io_executor;
  using Observer = std::function<void(const HandshakeFailure&)>;
  using MakeExecutor = std::function<net::any_io_executor()>;

  /// With the defaults. (No default arguments: g++ 12 cannot make them next to a co_await.)
  explicit Listener(executor_type executor);
  Listener(executor_type executor, ServerOptions options, ListenerLimits limits = {});
  Listener(executor_type executor, std::shared_ptr<const ServerOptions> options,
           ListenerLimits limits = {});

  explicit Listener(net::io_context& context) : Listener(context.get_executor()) {}

  Listener(net::io_context& context, ServerOptions options, ListenerLimits limits = {})
      : Listener(context.get_executor(), std::move(options), limits) {}

  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;
  ~Listener();

  [[nodiscard]] executor_type get_executor() noexcept;

  /// Called for each handshake that failed, on the listener's executor. Set before listen.
  void on_failure(Observer observer);
  /// Makes the executor of each stream, such as a strand of its own. Set before listen.
  void set_stream_executor(MakeExecutor make);

  /// Begins to listen; may be called for several addresses. An empty host is all addresses, IPv6
  /// and IPv4 on one socket where the system has both. Port 0 is any free one: see local_endpoints.
  /// Errors: those of the system; bad_configuration.
  void listen(std::string_view host, std::uint16_t port, error_code& ec,
              AddressFamily family = AddressFamily::any);
  void listen(std::string_view host, std::uint16_t port, AddressFamily family = AddressFamily::any);

  [[nodiscard]] std::vector<net::ip::tcp::endpoint> local_endpoints() const;
  /// The port of the first one.
  [[nodiscard]] std::uint16_t port() const;

  /// The next stream whose handshake is complete. Handshakes go on between calls, and with nobody
  /// calling, as long as the executor runs. One at a time. Signature: void(error_code, Stream).
  template <class Token>
  auto async_accept(Token&& token) {
    return net::async_initiate<Token, void(error_code, Stream)>(
        [core = core_](auto&& handler) {
          auto cancellation = net::get_associated_cancellation_slot(handler);
          if (cancellation.is_connected()) {
            cancellation.assign(
                [weak = std::weak_ptr<ListenerCore>(core)](net::cancellation_type type) {
                  if (type == net::cancellation_type::none) return;
                  if (const auto alive = weak.lock()) cancel_accept(alive);
                });
          }
          start_accept(core, detail::make_operation<error_code, Stream>(
                                 std::forward<decltype(handler)>(handler), executor_of(core)));
        },
        token);
  }

  /// New handshakes are judged by these from now on (SIGHUP). Errors: bad_configuration.
  [[nodiscard]] Result<> set_options(std::shared_ptr<const ServerOptions> options);

  /// Ends pending accepts with operation_aborted.
  void cancel();

  /// Stops listening and drops what is half-open. Streams that were handed out go on; a pending or
  /// later async_accept ends with operation_aborted, after finished handshakes have been given out.
  void close();

  /// close(), and then waits until every stream that was handed out is gone.
  /// Signature: void(error_code).
  template <class Token>
  auto async_drain(Token&& token) {
    return net::async_initiate<Token, void(error_code)>(
        [core = core_](auto&& handler) {
          start_drain(core, detail::make_operation<error_code>(
                                std::forward<decltype(handler)>(handler), executor_of(core)));
        },
        token);
  }

  [[nodiscard]] ListenerStatistics statistics() const noexcept;

 private:
  friend class ListenerCore;
  using CorePtr = std::shared_ptr<ListenerCore>;

  static void start_accept(const CorePtr& core, detail::OperationPtr<error_code, Stream> done);
  static void start_drain(const CorePtr& core, detail::OperationPtr<error_code> done);
  static void cancel_accept(const CorePtr& core);
  static const executor_type& executor_of(const CorePtr& core) noexcept;

  CorePtr core_;
};

}  // namespace sealine::io::stcp
