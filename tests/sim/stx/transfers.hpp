#pragma once

#include "sealine/stx/handshake.hpp"
#include "tests/sim/base/toy_engine.hpp"
#include "tests/sim/base/watching_engine.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/receiving.hpp"
#include "tests/sim/stx/sending.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace sealine::sim {

/// What all replays share.
struct StxSetting {
  StxSetting();
  /// The sources of a transfer, and what the receiver has of them.
  [[nodiscard]] std::vector<StxSource> transfer(std::size_t which, StxDisk& disk) const;

  static constexpr std::size_t kTransfers = 8;
  static constexpr const char* kPeer = "p";

  ToyEngine toy;
  KeyBook book;
  WatchingEngine engine;
  std::shared_ptr<const crypto::Psk> psk;
  std::shared_ptr<const stx::ServerHandshakeConfig> server;
  stx::Limits limits;
  Octets small;   ///< one block
  Octets large;   ///< two
  Octets sparse;  ///< two holes, and a block
};

}  // namespace sealine::sim
