#pragma once

#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/operation.hpp"
#include "sealine/io/stt_options.hpp"
#include "sealine/io/stt_stream.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace sealine::io::stt {

/// An STT session whose handshake is done: opens streams, and gives out those that the peer opens.
///
/// Movable. Destruction closes it (code 0) at once; streams that are still held end with it. Runs
/// on get_executor(): the endpoint's, or that of a worker of the endpoint
/// (EndpointOptions::workers). All is called there; only get_executor(), connected(), moves and
/// destruction may be anywhere.
class SEALINE_API Session {
 public:
  using executor_type = net::any_io_executor;
  using Observer = std::function<void(const ::sealine::stt::Session::Event&)>;

  Session() noexcept = default;
  Session(Session&& other) noexcept = default;
  Session& operator=(Session&& other) noexcept;
  ~Session();

  [[nodiscard]] explicit operator bool() const noexcept { return core_ != nullptr; }

  [[nodiscard]] executor_type get_executor() const noexcept;

  /// Errors: already_closed, stream_limit.
  [[nodiscard]] Result<Stream> open(const StreamOptions& options = {});

  /// The next stream that the peer opened. Ends with net::error::eof once the session was closed
  /// with code 0, else with its fault. Signature: void(error_code, Stream).
  template <class Token>
  auto async_accept(Token&& token) {
    return net::async_initiate<Token, void(error_code, Stream)>(
        [core = core_](auto&& handler) {
          start_accept(core, detail::make_operation<error_code, Stream>(
                                 std::forward<decltype(handler)>(handler), executor_of(core)));
        },
        token);
  }

  /// Waits for all streams to end, then closes with code 0, and for the connection to be gone.
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

  /// Closes at once; code 0, or 256 and above.
  void close(std::uint16_t code, std::string_view reason);
  void rotate();
  /// Ends a pending accept with operation_aborted.
  void cancel();
  /// Sees every event of the session below, on the executor.
  void on_event(Observer observer);

  [[nodiscard]] Connected connected() const;
  [[nodiscard]] SessionStatistics statistics() const;
  /// How it ended, once it has.
  [[nodiscard]] const std::optional<SessionClosed>& outcome() const noexcept;

 private:
  friend class SessionCore;
  using CorePtr = std::shared_ptr<SessionCore>;

  explicit Session(CorePtr core) noexcept : core_(std::move(core)) {}

  static const executor_type& executor_of(const CorePtr& core) noexcept;
  static void start_accept(const CorePtr& core, detail::OperationPtr<error_code, Stream> done);
  static void start_drain(const CorePtr& core, detail::OperationPtr<error_code> done);

  CorePtr core_;
};

}  // namespace sealine::io::stt
