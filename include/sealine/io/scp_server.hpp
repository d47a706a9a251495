#pragma once

#include "sealine/base/bytes.hpp"
#include "sealine/base/error.hpp"
#include "sealine/base/export.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/scp_channel.hpp"
#include "sealine/io/scp_options.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace sealine::io::scp {

class ServerCore;

/// A handshake that came to nothing, or a connection that a budget refused.
struct HandshakeFailure {
  net::ip::tcp::endpoint client;
  Error error;  ///< half_open_full, too_many_handshakes, channel_unknown among them
  std::optional<Verdict> verdict;  ///< where the client's key was judged
  std::optional<crypto::PublicKey> key;
};

/// Counts since the server began.
struct ServerStatistics {
  std::uint64_t accepted = 0;     ///< TCP connections
  std::uint64_t established = 0;  ///< channels that were opened
  std::uint64_t resumed = 0;      ///< connections that took up a channel
  std::uint64_t failed = 0;       ///< handshakes
  std::uint64_t refused = 0;      ///< by a budget
  std::size_t half_open = 0;      ///< now
  std::size_t channels = 0;       ///< now
  std::size_t resumable = 0;      ///< now: in the table for reconnecting
};

/// What became of a broadcast: the channels that took it, and those that did not.
struct Broadcast {
  struct Skipped {
    ByteArray<16> id{};  ///< Channel::id
    Connected client;
    Error why;  ///< window_full, message_too_large, or how the channel is ending
  };

  std::size_t taken = 0;
  std::vector<Skipped> skipped;
};

/// Accepts SCP/1 channels, and takes up those whose connection was lost.
///
/// A channel goes to the handler of on_connection, in a coroutine of its own on the server's
/// executor; without a handler it waits for accept(). A handler that throws ends its channel with
/// CLOSE{10}; one that returns closes it. A failed handshake is silent towards the client and
/// reported to the observer. The server and all its channels run on one executor, that of the
/// coroutine that binds it; not thread-safe. Destruction stops listening; channels go on.
class SEALINE_API Server {
 public:
  using Handler = std::function<Task(Channel)>;
  using Observer = std::function<void(const HandshakeFailure&)>;

  /// The defaults, with a key of the caller's.
  explicit Server(const KeyPair& keys);
  explicit Server(ServerOptions options);
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();

  /// What serves a channel: `[](auto client) -> Task { ... }`. Set before listening.
  void on_connection(Handler handler);
  /// Called for each handshake that failed.
  void on_failure(Observer observer);

  /// Binds, then serves until stop() or drain(). All addresses, or those of a name. Errors: those
  /// of bind.
  net::awaitable<void> listen(std::uint16_t port);
  net::awaitable<void> listen(std::string_view host, std::uint16_t port);

  /// Begins to listen and to accept, on `executor`; may be called for several addresses. An empty
  /// host is all addresses, port 0 any free one. Errors: those of the system, of the state
  /// directory; bad_configuration.
  [[nodiscard]] Result<> bind(const net::any_io_executor& executor, std::string_view host,
                              std::uint16_t port);
  [[nodiscard]] Result<> bind(const net::any_io_executor& executor, std::string_view host,
                              std::uint16_t port, AddressFamily family);
  [[nodiscard]] std::vector<net::ip::tcp::endpoint> local_endpoints() const;
  /// The port of the first one; 0 before bind.
  [[nodiscard]] std::uint16_t port() const;

  /// Ends when the server stops.
  net::awaitable<void> serve();

  /// The next new channel, where there is no handler. Errors: cancelled once the server has
  /// stopped and all that were ready have been given out.
  net::awaitable<Channel> accept();
  net::awaitable<Result<Channel>> accept(AsResult tag);

  /// Sends one message on every open channel, each under its own keys and with its own receipt.
  /// Never waits: a channel whose window is full is skipped and named.
  Broadcast broadcast(ByteView message);

  Broadcast broadcast(std::string_view message) { return broadcast(as_bytes(message)); }

  /// New handshakes are judged by these from now on (SIGHUP): protocol and trust; channels that
  /// stand keep theirs. Errors: bad_configuration.
  [[nodiscard]] Result<> set_options(ServerOptions options);

  /// No further connection: stops listening, drops what is half-open. Channels go on; one whose
  /// connection is lost stays lost.
  void stop();
  /// stop(), and then waits until every channel has ended.
  net::awaitable<void> drain();
  /// The same; channels that are left after `grace` are ended with CLOSE{9}.
  net::awaitable<void> drain(Duration grace);

  [[nodiscard]] ServerStatistics statistics() const noexcept;

 private:
  std::shared_ptr<ServerCore> core_;
};

}  // namespace sealine::io::scp
