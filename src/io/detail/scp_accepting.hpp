#pragma once

#include "io/detail/buffer.hpp"
#include "io/detail/scp_core.hpp"
#include "sealine/base/error.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/scp_options.hpp"
#include "sealine/io/scp_server.hpp"
#include "sealine/scp/handshake.hpp"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace sealine::io::scp {

/// A server's handshake over an accepted connection: until its end, and no byte longer.
///
/// Silent in every failure. What a stranger may make it hold is one small buffer. Lives as long as
/// it waits for something.
class Accepting : public std::enable_shared_from_this<Accepting> {
 public:
  using Endpoint = net::ip::tcp::endpoint;
  using Done = std::move_only_function<void(std::expected<Established, HandshakeFailure>)>;
  /// Whether the table of channels has no room for one more of this client: a known key, or, where
  /// the mode shows none, an address.
  using IsFull = std::function<bool(const std::optional<crypto::PublicKey>&, const std::string&)>;

  Accepting(net::ip::tcp::socket socket, const Endpoint& client,
            std::shared_ptr<const ServerOptions> options, IsFull is_full, Done done);

  void start();
  /// Ends it; `done` is told.
  void cancel();

  [[nodiscard]] const Endpoint& client() const noexcept { return client_; }

 private:
  void read();
  void step();
  void send_reply();
  void judge(const crypto::PublicKey& key);
  void judged(Verdict verdict);
  void went_on(const Result<::sealine::scp::Progress>& progress);
  void choose_reconnect();
  void finish();
  void fail_with(Error error, bool discard);
  void end(std::expected<Established, HandshakeFailure> result);

  net::ip::tcp::socket socket_;
  net::steady_timer deadline_;
  Endpoint client_;
  std::string address_;
  std::shared_ptr<const ServerOptions> options_;
  IsFull is_full_;
  Done done_;
  std::optional<::sealine::scp::ServerHandshake> handshake_;
  std::optional<Verdict> verdict_;
  detail::Buffer rx_;
  std::size_t rx_end_ = 0;
  bool judging_ = false;
};

}  // namespace sealine::io::scp
