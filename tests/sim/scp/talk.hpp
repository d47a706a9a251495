#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/scp/channel.hpp"
#include "tests/sim/base/expectation.hpp"
#include "tests/sim/base/inbox.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/base/way.hpp"
#include "tests/sim/scp/answering.hpp"
#include "tests/sim/scp/end.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace sealine::sim {

/// One connection, and what a server has of it until it belongs to a channel.
struct ScpConnection : Ways<Pipe> {
  std::optional<ScpAnswering> answering;
  Inbox inbox;  ///< of the handshake
  TimePoint opened{};

  /// The server closes it, having nothing to do with it any more.
  void hang_up() {
    answering.reset();
    close(false);
  }
};

/// A client, the server's channel for it, and their connections, one after the other; an attacker's
/// talk has one honest end.
struct ScpTalk {
  const scp::ClientConfig* config = nullptr;
  std::size_t server = 0;
  Letters letters;                                          ///< of the client, crashed or not
  std::unique_ptr<ScpEnd> client;                           ///< none: an attacker, or it crashed
  std::unique_ptr<ScpEnd> channel;                          ///< the server's, once there is one
  std::vector<std::unique_ptr<ScpEnd>> orphans;             ///< channels that never held anything
  std::vector<std::unique_ptr<ScpConnection>> connections;  ///< the client's is the last
  ScpConnection* at_client = nullptr;                       ///< its connection, while it has one
  ScpConnection* at_server = nullptr;                       ///< the one that the channel is on
  Expectation expectation = Expectation::works;
  std::optional<crypto::PublicKey> allowed_key;  ///< of the client; none: any
  TimePoint opened{};
  std::uint64_t receivable = 0;  ///< messages that a crashed server had received
  std::uint64_t dialed = 0;
  bool is_attack = false;
  bool is_disturbed = false;  ///< cut, tampered with, or silent for long
  bool client_crashed = false;
  bool server_crashed = false;

  /// Those that there are.
  [[nodiscard]] std::vector<ScpEnd*> ends() const {
    std::vector<ScpEnd*> both;
    for (ScpEnd* end : {client.get(), channel.get()}) {
      if (end != nullptr) both.push_back(end);
    }
    return both;
  }

  [[nodiscard]] bool is_over() const {
    const bool is_quiet = std::ranges::none_of(
        connections, [](const auto& one) { return one->answering.has_value(); });
    return (!client || client->is_over()) && (!channel || channel->is_over()) && is_quiet &&
           orphans.empty();
  }

  /// The server's channel drops its connection unread.
  void leave_server() {
    if (at_server != nullptr) at_server->close(false);
    at_server = nullptr;
  }

  [[nodiscard]] bool is_same_connection() const {
    return at_client != nullptr && at_client == at_server;
  }
};

}  // namespace sealine::sim
