#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/scp/channel.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/scp/end.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sealine::sim {

enum class Expectation : std::uint8_t {
  works,         ///< right keys, right mode
  refused,       ///< a secret or key that the server does not take: not one byte in answer
  wrong_server,  ///< another key than the pinned one
};

/// One connection, and what a server has of it until it belongs to a channel.
struct ScpConnection {
  Pipe up;    ///< to the server
  Pipe down;  ///< to the client
  std::optional<scp::ServerHandshake> handshake;
  std::vector<std::uint8_t> inbox;  ///< of the handshake
  std::uint64_t consumed = 0;       ///< by it
  TimePoint opened{};
};

/// A client, the server's channel for it, and their connections, one after the other; an attacker's
/// talk has one honest end.
struct ScpTalk {
  const scp::ClientConfig* config = nullptr;
  std::size_t server = 0;
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

  [[nodiscard]] bool is_same_connection() const {
    return at_client != nullptr && at_client == at_server;
  }
};

/// How likely what is, in one seed.
struct Rates {
  bool is_liveness = false;  ///< faults stop, and then everything must end well
  unsigned tamper_permille = 0;
  unsigned cut_permille = 0;
  unsigned stall_permille = 0;
  unsigned crash_permille = 0;
  unsigned control_percent = 3;
  unsigned tick_percent = 8;
  unsigned abort_percent = 0;
  unsigned slow_percent = 0;  ///< an application takes nothing
  std::size_t talks = 4;
  std::size_t capacity = 16384;  ///< what a stream holds before it pushes back
  std::size_t handshakes = 24;   ///< connections at most, as they are the dear part
};

/// Keys that all seeds share, as making them is dear and they play no part of chance.
struct Keys {
  explicit Keys(crypto::Engine& engine) {
    DiceRng rng(42);
    for (auto& pair : pairs) {
      pair = std::make_shared<const crypto::KeyPair>(crypto::KeyPair::generate(engine, rng));
    }
    for (auto& psk : psks) {
      crypto::Psk made;
      rng.fill(made.writable());
      psk = std::make_shared<const crypto::Psk>(std::move(made));
    }
  }

  std::shared_ptr<const crypto::KeyPair> pairs[8];
  std::shared_ptr<const crypto::Psk> psks[4];
};

}  // namespace sealine::sim
