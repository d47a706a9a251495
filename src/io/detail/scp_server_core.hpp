#pragma once

#include "io/detail/acceptors.hpp"
#include "io/detail/handshake_budget.hpp"
#include "io/detail/scp_accepting.hpp"
#include "io/detail/scp_core.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/scp_server.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace sealine::io::scp {

/// What stands behind a Server: acceptors, handshakes, the table of channels that may be resumed,
/// and the channels. Runs on the executor that bind() was given.
class ServerCore : public std::enable_shared_from_this<ServerCore> {
 public:
  using Endpoint = net::ip::tcp::endpoint;
  using Accepted = detail::OperationPtr<Result<std::shared_ptr<ChannelCore>>>;
  using Ended = detail::OperationPtr<Result<bool>>;

  explicit ServerCore(ServerOptions options);
  ServerCore(const ServerCore&) = delete;
  ServerCore& operator=(const ServerCore&) = delete;

  [[nodiscard]] Result<> bind(const net::any_io_executor& executor, const std::string& host,
                              std::uint16_t port, AddressFamily family);
  [[nodiscard]] Result<> set_options(ServerOptions options);
  void start_accept(Accepted accepted);
  void cancel_accept();
  /// Waits for the end of listening, or (`all`) of all channels too.
  void start_ended(bool all, Ended ended);
  void cancel_ended();
  void stop();
  /// Ends the channels that are left with CLOSE{9}.
  void go_away();
  void end_after(Duration grace);
  Broadcast broadcast(ByteView message);
  void drop_operations();

  void on_connection(Server::Handler handler);

  void on_failure(Server::Observer observer) { observer_ = std::move(observer); }

  [[nodiscard]] std::vector<Endpoint> local_endpoints() const;
  [[nodiscard]] ServerStatistics statistics() const noexcept;

  [[nodiscard]] const net::any_io_executor& executor() const noexcept { return executor_; }

  [[nodiscard]] bool is_bound() const noexcept { return !acceptors_.empty(); }

 private:
  /// A channel that may be resumed.
  struct Entry {
    std::weak_ptr<ChannelCore> channel;
    std::optional<crypto::PublicKey> key;
    std::string address;  ///< where the mode shows no key
  };

  void accept_next(std::size_t index);
  void resume_accepting();
  void accepted(std::size_t index, const error_code& ec, net::ip::tcp::socket socket);
  void pause_for_descriptors();
  void begin_handshake(net::ip::tcp::socket socket, const Endpoint& client);
  void handshake_over(std::uint64_t number, std::expected<Established, HandshakeFailure> result);
  void take_up(Established established, const Endpoint& client);
  void open_channel(Established established, const Endpoint& client);
  void hand_out(std::shared_ptr<ChannelCore> channel);
  void give_to_accept();
  void channel_ended(std::uint64_t number, const ByteArray<16>& id);
  void report(const HandshakeFailure& failure);
  void settle_ended();
  [[nodiscard]] bool is_full() const noexcept;
  [[nodiscard]] bool table_is_full(const std::optional<crypto::PublicKey>& key,
                                   const std::string& address) const;

  net::any_io_executor executor_;
  std::shared_ptr<const ServerOptions> options_;
  bool completed_ = false;  ///< options_ has what the state directory gives
  detail::HandshakeBudget budget_;
  std::shared_ptr<const Server::Handler> handler_;
  Server::Observer observer_;
  detail::Acceptors acceptors_;
  std::vector<bool> accepting_;
  std::optional<net::steady_timer> retry_;
  std::optional<net::steady_timer> grace_;
  std::unordered_map<std::uint64_t, std::weak_ptr<Accepting>> half_open_;
  std::unordered_map<std::uint64_t, std::weak_ptr<ChannelCore>> channels_;
  std::map<ByteArray<16>, Entry> table_;
  std::deque<std::shared_ptr<ChannelCore>> ready_;
  Accepted accept_done_;
  std::vector<Ended> stopped_done_;
  std::vector<Ended> drained_done_;
  ServerStatistics counts_;
  std::uint64_t numbers_ = 0;
  bool out_of_descriptors_ = false;
  bool stopped_ = false;
};

}  // namespace sealine::io::scp
