#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stx/handshake.hpp"
#include "tests/sim/base/content.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/stx/lane.hpp"
#include "tests/sim/stx/receiving.hpp"
#include "tests/sim/stx/sending.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sealine::sim {

/// Keys that all seeds share, as they play no part of chance.
struct Keys {
  explicit Keys(crypto::Engine& /*engine*/) {
    DiceRng rng(42);
    for (auto& psk : psks) {
      crypto::Psk made;
      rng.fill(made.writable());
      psk = std::make_shared<const crypto::Psk>(std::move(made));
    }
  }

  std::shared_ptr<const crypto::Psk> psks[4];
};

/// How likely what is, in one seed.
struct Rates {
  bool is_liveness = false;  ///< faults stop, and then everything must arrive
  unsigned tamper_permille = 0;
  unsigned cut_permille = 0;
  unsigned stall_permille = 0;
  unsigned crash_permille = 0;
  unsigned change_permille = 0;
  unsigned rot_permille = 0;
  unsigned tick_percent = 8;
  std::size_t lanes = 1;
  std::size_t capacity = 65536;
  std::size_t dials = 100;  ///< connections at most, as they are the dear part
};

/// A sender, its connections and when it tries again.
struct StxPeer {
  std::string name;
  std::size_t psk = 0;
  bool is_known = true;
  std::unique_ptr<StxSending> sending;
  std::vector<std::unique_ptr<StxLane>> lanes;
  stx::TransferId transfer{};
  TimePoint retry_at{};
  unsigned failures = 0;
};

struct StxSession {
  std::unique_ptr<StxReceiving> receiving;
  StxPeer* peer = nullptr;
  stx::TransferId transfer{};
};

/// What senders have on their disks: files, packs, streams, of all sorts of sizes.
class SourceMaker {
 public:
  explicit SourceMaker(Dice& dice) : dice_(dice) {}

  [[nodiscard]] StxSource draw(std::size_t number);
  void fill(StxSource& source, std::size_t size);

 private:
  static void empty(StxSource& source, std::uint32_t block);
  Dice& dice_;
  std::uint64_t contents_ = 0;
};

}  // namespace sealine::sim
