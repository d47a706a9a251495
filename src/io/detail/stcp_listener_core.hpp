#pragma once

#include "io/detail/acceptors.hpp"
#include "io/detail/handshake_budget.hpp"
#include "io/detail/stcp_core.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/engine.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stcp_listener.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace sealine::io::stcp {

/// Fills in what options leave to the state directory: identity and trust.
[[nodiscard]] Result<std::shared_ptr<const ServerOptions>> complete(
    std::shared_ptr<const ServerOptions> options);
[[nodiscard]] Result<std::shared_ptr<const ClientOptions>> complete(
    std::shared_ptr<const ClientOptions> options);

/// What stands behind a Listener. Runs on the executor of the listener; each handshake runs on the
/// executor of its stream and reports back.
class ListenerCore : public std::enable_shared_from_this<ListenerCore> {
 public:
  using Endpoint = net::ip::tcp::endpoint;
  using Accepted = detail::OperationPtr<error_code, Stream>;
  using Drained = detail::OperationPtr<error_code>;

  ListenerCore(net::any_io_executor executor, std::shared_ptr<const ServerOptions> options,
               ListenerLimits limits);

  void listen(const std::string& host, std::uint16_t port, AddressFamily family, error_code& ec);
  void start_accept(Accepted done);
  void start_drain(Drained done);
  void cancel_accept();
  void close();
  void drop_operations();
  [[nodiscard]] Result<> set_options(std::shared_ptr<const ServerOptions> options);

  [[nodiscard]] const net::any_io_executor& executor() const noexcept { return executor_; }

  [[nodiscard]] std::vector<Endpoint> local_endpoints() const;
  [[nodiscard]] ListenerStatistics statistics() const noexcept;

  void on_failure(Listener::Observer observer) { observer_ = std::move(observer); }

  void set_stream_executor(Listener::MakeExecutor make) { make_executor_ = std::move(make); }

 private:
  struct HalfOpen {
    std::weak_ptr<StreamCore> stream;
    Endpoint client;
  };

  void accept_next(std::size_t index);
  void accepted(std::size_t index, const error_code& ec, net::ip::tcp::socket socket);
  void begin_handshake(net::ip::tcp::socket socket, const Endpoint& client);
  void handshake_over(std::uint64_t number, const std::optional<HandshakeFailure>& failure,
                      Stream stream);
  void hand_out();
  void report(const HandshakeFailure& failure);
  void resume_accepting();
  void pause_for_descriptors();
  [[nodiscard]] bool is_full() const noexcept;
  void stream_gone();
  void finish_drain();

  net::any_io_executor executor_;
  std::shared_ptr<const ServerOptions> options_;
  ListenerLimits limits_;
  detail::HandshakeBudget budget_;
  Listener::Observer observer_;
  Listener::MakeExecutor make_executor_;
  detail::Acceptors acceptors_;
  std::vector<bool> accepting_;
  net::steady_timer retry_;
  std::unordered_map<std::uint64_t, HalfOpen> half_open_;
  std::deque<Stream> ready_;
  Accepted accept_done_;
  Drained drain_done_;
  std::shared_ptr<std::atomic<std::size_t>> connections_;
  ListenerStatistics counts_;
  std::uint64_t numbers_ = 0;
  bool out_of_descriptors_ = false;
  bool closed_ = false;
};

}  // namespace sealine::io::stcp
