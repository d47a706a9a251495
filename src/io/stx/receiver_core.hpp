#pragma once

#include "io/detail/acceptors.hpp"
#include "io/detail/handshake_budget.hpp"
#include "io/stx/lane_opening.hpp"
#include "io/stx/receive_session.hpp"
#include "io/stx/receive_shared.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stx_receiver.hpp"
#include "sealine/stx/handshake.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sealine::io::stx {

/// What stands behind a Receiver: accepts, does handshakes within their budget, finds the session a
/// lane belongs to. Runs on the executor of the receiver.
class ReceiverCore final : public std::enable_shared_from_this<ReceiverCore> {
 public:
  using Done = io::detail::OperationPtr<error_code>;

  ReceiverCore(net::any_io_executor executor, ReceiveOptions options);

  [[nodiscard]] Result<> open();
  [[nodiscard]] Result<> listen(const std::string& host, std::uint16_t port,
                                stcp::AddressFamily family);
  [[nodiscard]] std::vector<net::ip::tcp::endpoint> local_endpoints() const;
  [[nodiscard]] Result<> set_keys(std::vector<std::shared_ptr<const crypto::Psk>> keys);
  /// `done` ends when the last session has ended after drain(), or `once` is fulfilled.
  void start(Done done);
  void drain();
  void stop();
  /// Its Receiver is gone: ends everything, and the threads.
  void shut_down();

  [[nodiscard]] ReceiveReport report() const;
  [[nodiscard]] ReceiverStatistics statistics() const noexcept;

  [[nodiscard]] const net::any_io_executor& executor() const noexcept { return executor_; }

  [[nodiscard]] const ReceiveOptions& options() const noexcept { return *options_; }

 private:
  using Endpoint = net::ip::tcp::endpoint;
  using SessionPtr = std::shared_ptr<ReceiveSession>;

  [[nodiscard]] Result<> prepare_stcp();
  void accept_next(std::size_t index);
  void accepted(std::size_t index, const error_code& ec, net::ip::tcp::socket socket);
  net::awaitable<void> serve(net::ip::tcp::socket socket, Endpoint client);
  void take_lane(OpenedLane lane);
  void begin_session(OpenedLane lane);
  void session_ended(const SessionPtr& session, const SessionEnd& end);
  /// CLOSE{code} over a lane that no session takes.
  void turn_away(OpenedLane lane, Code code);
  void refuse(const Endpoint& client, const LaneRefusal& refusal);
  [[nodiscard]] std::shared_ptr<const LaneAcceptance> acceptance() const;
  void wait_for_return(const SessionEnd& end);
  void finish_if_done();
  void finish();
  void report_progress();

  net::any_io_executor executor_;
  std::shared_ptr<const ReceiveOptions> options_;
  std::shared_ptr<ReceiveShared> shared_;
  std::shared_ptr<const stcp::ServerOptions> stcp_;
  std::shared_ptr<Trust> trust_;
  std::shared_ptr<const sealine::stx::ServerHandshakeConfig> keys_;
  std::shared_ptr<sealine::stx::NonceMemory> nonces_;
  io::detail::HandshakeBudget budget_;
  io::detail::Acceptors acceptors_;
  std::set<std::shared_ptr<HandshakeStop>> half_open_;
  std::set<SessionPtr> sessions_;
  net::steady_timer descriptor_timer_;
  net::steady_timer progress_timer_;
  net::steady_timer once_timer_;
  Done done_;
  ReceiveReport report_;
  std::uint64_t accepted_ = 0;
  std::uint64_t shown_bytes_ = 0;
  TimePoint shown_at_{};
  bool progress_armed_ = false;
  bool once_done_ = false;
  bool draining_ = false;
};

}  // namespace sealine::io::stx
