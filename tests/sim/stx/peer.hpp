#pragma once

#include "sealine/crypto/engine.hpp"
#include "sealine/stx/handshake.hpp"
#include "tests/sim/content.hpp"
#include "tests/sim/dice.hpp"
#include "tests/sim/stx/lane.hpp"
#include "tests/sim/stx/receiving.hpp"
#include "tests/sim/stx/sending.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
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

  [[nodiscard]] StxSource draw(std::size_t number) {
    constexpr std::size_t kBlock = StxSource::kBlock;
    StxSource source;
    source.name = "f" + std::to_string(number);
    const std::size_t sizes[] = {0,
                                 1,
                                 100,
                                 kBlock - 1,
                                 kBlock,
                                 kBlock + 1,
                                 3 * kBlock + 7,
                                 5 * kBlock,
                                 9 * kBlock,
                                 dice_.between(1, 14 * kBlock)};
    fill(source, dice_.pick(sizes));
    const std::size_t kind = dice_.below(10);
    if (kind == 0) {
      for (std::size_t i = dice_.between(2, 6), at = 0; i-- > 0;) {
        const std::size_t rest = source.content.size() - at;
        const std::size_t size = i == 0 ? rest : dice_.below(rest + 1);
        source.pack.push_back(static_cast<std::uint32_t>(size));
        at += size;
      }
    }
    source.is_stream = kind == 1 || kind == 2;
    source.has_holes = kind == 3 || kind == 4;
    source.is_padded = kind == 5;
    if (source.has_holes) {
      for (std::uint32_t i = 0; i < source.blocks(); ++i) {
        if (dice_.chance(50)) empty(source, i);
      }
    }
    return source;
  }

  void fill(StxSource& source, std::size_t size) {
    source.content.resize(size);
    Content::fill(++contents_, 0, source.content);
  }

 private:
  static void empty(StxSource& source, std::uint32_t block) {
    const auto at = static_cast<std::ptrdiff_t>(block * StxSource::kBlock);
    const auto size = static_cast<std::ptrdiff_t>(source.block(block).size());
    std::fill_n(source.content.begin() + at, size, std::uint8_t{0});
  }

  Dice& dice_;
  std::uint64_t contents_ = 0;
};

}  // namespace sealine::sim
