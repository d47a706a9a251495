#pragma once

#include "io/stx/lane_opening.hpp"
#include "io/stx/send_session.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stx_sender.hpp"

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace sealine::io::stx {

/// A transfer at its sender: session after session until all is there, or nothing helps any more.
/// spec: stx.md#durability
class SendTransfer final : public std::enable_shared_from_this<SendTransfer> {
 public:
  using Done = io::detail::OperationPtr<error_code>;

  SendTransfer(const net::any_io_executor& executor, std::shared_ptr<SendShared> shared,
               std::shared_ptr<LaneTarget> target);

  /// `done` ends when result() is there.
  void start(Done done);
  void stop();

  [[nodiscard]] const Result<>& result() const noexcept { return result_; }

  /// A block of standard input has come; any thread.
  void stream_supplied();

 private:
  enum class Next : std::uint8_t { over, again };

  net::awaitable<void> run();
  net::awaitable<SendSessionEnd> run_session(OpenedLane lane);
  [[nodiscard]] Next judge_failed_handshake(const Error& error);
  [[nodiscard]] Next judge_session(const SendSessionEnd& end);
  /// Until the next try; over where the time for it has passed.
  net::awaitable<Next> pause(Error error);
  void finish(Result<> result);

  net::any_io_executor executor_;
  std::shared_ptr<SendShared> shared_;
  std::shared_ptr<LaneTarget> target_;
  std::shared_ptr<HandshakeStop> dialling_;
  std::shared_ptr<SendSession> session_;
  net::steady_timer timer_;
  Done done_;
  Result<> result_;
  TimePoint began_{};
  TimePoint attempts_since_{};
  unsigned attempt_ = 0;
  unsigned refusals_ = 0;
  bool reached_ = false;
  bool stopping_ = false;
  bool running_ = true;
};

}  // namespace sealine::io::stx
