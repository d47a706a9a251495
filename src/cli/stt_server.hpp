#pragma once

#include "cli/asio.hpp"
#include "cli/failure.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/report.hpp"
#include "cli/stt_relay.hpp"
#include "sealine/io/stt_endpoint.hpp"

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sealine::cli {

/// Takes sessions, and their streams to what --echo, --exec or --forward says.
///
/// One thread; but sessions and streams are served where they run, which is a worker's thread with
/// --workers. From there what is said and counted goes by tell().
class SttServer final {
 public:
  /// `endpoint` and `shared` outlive it.
  SttServer(io::stt::Endpoint& endpoint, const SttOptions& options, const SttShared& shared,
            Output& output);

  /// Says where. Errors: those of the socket, with words.
  [[nodiscard]] Outcome<> listen();

  /// Until told to stop, and until all sessions have ended.
  [[nodiscard]] net::awaitable<void> serve();

  /// The first stream of whoever comes, alone with its session; nothing once told to stop.
  struct First {
    std::shared_ptr<io::stt::Session> session;
    io::stt::Stream stream;
  };

  [[nodiscard]] net::awaitable<std::optional<First>> first();

  /// No more sessions; those that are there end when their streams have.
  void drain();

  [[nodiscard]] std::size_t sessions() const noexcept { return sessions_.size(); }

 private:
  using SessionPtr = std::shared_ptr<io::stt::Session>;

  [[nodiscard]] net::awaitable<void> accept_sessions(
      std::function<net::awaitable<void>(SessionPtr)> serve);
  [[nodiscard]] net::awaitable<void> serve_session(SessionPtr session);
  [[nodiscard]] net::awaitable<void> serve_stream(std::string peer, io::stt::Stream stream);
  [[nodiscard]] net::awaitable<void> wait_for_first(SessionPtr session);
  [[nodiscard]] net::awaitable<void> echo(std::string peer, io::stt::Stream stream);
  [[nodiscard]] net::awaitable<void> command(std::string peer, io::stt::Stream stream);
  [[nodiscard]] net::awaitable<void> target(std::string peer, io::stt::Stream stream);

  /// Runs `what` on our thread: at once where this is it.
  template <class What>
  void tell(What what) {
    net::dispatch(executor_, std::move(what));
  }

  void note_stream(const std::string& peer, io::stt::StreamId id, const SttCounts& counts,
                   const std::optional<Error>& error);
  void note_session(const io::stt::Session& session);
  /// `what` is a literal.
  void warn(std::string_view what, Fields fields);

  io::stt::Endpoint* endpoint_;
  net::any_io_executor executor_;
  const SttOptions* options_;
  SttShared shared_;
  Output* output_;
  FailureLog failures_;
  std::list<SessionPtr> sessions_;
  net::steady_timer changed_;
  std::optional<First> first_;
  bool is_draining_ = false;
};

}  // namespace sealine::cli
