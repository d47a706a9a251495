#pragma once

#include "cli/asio.hpp"
#include "cli/failure.hpp"
#include "cli/gate.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "cli/plain_socket.hpp"
#include "cli/stt_relay.hpp"
#include "sealine/io/stt_endpoint.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

namespace sealine::cli {

/// Plaintext connections, each as a stream of one session that says its target first.
///
/// A session has ids for 32,767 streams: then the next one is dialled, and the old one ends with
/// its streams. One thread.
class SttForwarder final {
 public:
  /// `endpoint` and `shared` outlive it.
  SttForwarder(io::stt::Endpoint& endpoint, const SttOptions& options, const SttShared& shared,
               Output& output);

  /// All of -L, and says where. Errors: plaintext_off_loopback, those of the system.
  [[nodiscard]] Outcome<> listen();

  /// Dials, and serves until told to stop; with --retry a lost session is followed by another.
  /// The failure that ended it, if there was one.
  [[nodiscard]] net::awaitable<Outcome<>> run();

  /// No more connections; ends when those that are there have.
  void drain();

  [[nodiscard]] std::size_t connections() const noexcept { return places_.inside(); }

  [[nodiscard]] bool has_session() const noexcept { return session_ != nullptr; }

 private:
  using SessionPtr = std::shared_ptr<io::stt::Session>;

  [[nodiscard]] net::awaitable<Outcome<>> keep_session();
  [[nodiscard]] net::awaitable<void> watch(SessionPtr session);
  [[nodiscard]] net::awaitable<void> take(PlainSocket socket, std::string target);
  [[nodiscard]] net::awaitable<void> serve(PlainSocket socket, std::string target);
  [[nodiscard]] net::awaitable<Result<io::stt::Stream>> open();
  void wear_out();

  io::stt::Endpoint* endpoint_;
  const SttOptions* options_;
  SttShared shared_;
  Output* output_;
  std::list<PlainListener> listeners_;
  Gate places_;
  SessionPtr session_;         ///< nothing while one is dialled
  net::steady_timer changed_;  ///< the session, the number of connections, or that all is over
  std::uint64_t connections_ = 0;
  bool is_draining_ = false;
  bool is_over_ = false;
};

}  // namespace sealine::cli
