#pragma once

#include "sealine/base/error.hpp"
#include "sealine/io/asio.hpp"
#include "sealine/io/stx_events.hpp"
#include "sealine/io/stx_options.hpp"
#include "sealine/stx/handshake.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sealine::io::stx {

/// A connection whose handshakes are done: frames come next.
struct OpenedLane {
  net::ip::tcp::socket socket;
  sealine::stx::LaneOpening keys;
  sealine::stx::PeerId peer_id{};
  Connected connected;
  std::vector<std::uint8_t> received;  ///< frames that came with the handshake
  std::uint64_t wire_bytes = 0;        ///< of the handshakes, both ways
  std::optional<crypto::PublicKey> stranger;
};

/// Ends a handshake from outside: its deadline, or somebody who stops it all. One executor.
class HandshakeStop final : public std::enable_shared_from_this<HandshakeStop> {
 public:
  explicit HandshakeStop(const net::any_io_executor& executor) : timer_(executor) {}

  /// What is under way now.
  void set_target(std::function<void()> target) { target_ = std::move(target); }

  void clear() {
    target_ = nullptr;
    timer_.cancel();
  }

  void start_deadline(Duration after);
  /// Stops what is under way, and what comes.
  void stop();

  [[nodiscard]] bool is_stopped() const noexcept { return stopped_; }

  [[nodiscard]] bool is_late() const noexcept { return late_; }

 private:
  void fire();

  net::steady_timer timer_;
  std::function<void()> target_;
  bool stopped_ = false;
  bool late_ = false;
};

/// Where a sender's lanes lead.
struct LaneTarget {
  std::string host;
  std::uint16_t port = 0;
  std::string address;                     ///< not empty: `host` in numbers, where lane 0 got to
  std::shared_ptr<const crypto::Psk> key;  ///< null: the STCP form
  std::shared_ptr<const stcp::ClientOptions> stcp;
  Duration handshake_timeout{};
  sealine::stx::TransferId transfer{};
};

/// Connects and does the client's handshakes. Errors: those of the Dialer, of STCP; authentication
/// ones where the receiver fell silent after our proof; no_answer, truncated, handshake_timeout.
[[nodiscard]] net::awaitable<Result<OpenedLane>> dial_lane(std::shared_ptr<const LaneTarget> target,
                                                           sealine::stx::LaneId lane,
                                                           std::shared_ptr<HandshakeStop> stop);

/// What the handshakes of a listener share.
struct LaneAcceptance {
  std::shared_ptr<const sealine::stx::ServerHandshakeConfig> keys;  ///< null: the STCP form
  std::shared_ptr<const stcp::ServerOptions> stcp;                  ///< its trust takes anybody
  std::shared_ptr<Trust> trust;  ///< judges, after STCP's handshake
  bool judges_strangers = false;
  sealine::stx::ServerParameters parameters;
  bool require_clock = false;
  Duration handshake_timeout{};
};

/// Who was refused, beside the error.
struct LaneRefusal {
  Error error;
  std::optional<crypto::PublicKey> key;
  std::optional<io::Verdict> verdict;
};

/// Does the server's handshakes over an accepted socket.
[[nodiscard]] net::awaitable<std::expected<OpenedLane, LaneRefusal>> accept_lane(
    net::ip::tcp::socket socket, std::shared_ptr<const LaneAcceptance> acceptance,
    std::shared_ptr<sealine::stx::NonceMemory> nonces, std::shared_ptr<HandshakeStop> stop);

/// 32 hex digits.
[[nodiscard]] std::string hex_of(const sealine::stx::PeerId& id);

}  // namespace sealine::io::stx
