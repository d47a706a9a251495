#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stcp/connection.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/base/pipe.hpp"
#include "tests/sim/stcp/end.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace sealine::sim {

enum class Expectation : std::uint8_t {
  works,         ///< right keys, right mode
  refused,       ///< a mode or secret that the server does not have: not one byte in answer
  wrong_server,  ///< another key than the pinned one
};

/// A connection between two nodes; an attacker's has one honest end.
struct StcpLink {
  std::unique_ptr<StcpEnd> client;
  std::unique_ptr<StcpEnd> server;
  Pipe up;                    ///< to the server
  Pipe down;                  ///< to the client
  bool client_closes = true;  ///< once all is sent; else stays open until something happens
  bool server_closes = true;
  Expectation expectation = Expectation::works;
  TimePoint opened{};
  bool is_cut = false;
  bool has_constant_rate = false;
  bool has_last_sequence = false;
  bool is_done = false;

  [[nodiscard]] bool is_tampered() const { return up.is_tampered || down.is_tampered; }

  [[nodiscard]] bool is_attack() const { return !client || !server; }
};

/// How likely what is, in one seed.
struct Rates {
  bool is_liveness = false;  ///< faults stop, and then everything must end well
  unsigned tamper_permille = 0;
  unsigned cut_permille = 0;
  unsigned stall_permille = 0;
  unsigned control_percent = 3;
  unsigned tick_percent = 8;
  unsigned abort_percent = 0;
  unsigned slow_percent = 0;
  std::size_t links = 4;
  std::size_t window_bytes = 16384;  ///< what a stream holds before it pushes back
  std::size_t handshakes = 24;       ///< connections opened at most, as they are the dear part
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
