#include "tests/sim/stx/transfers.hpp"

#include "sealine/stx/handshake.hpp"
#include "tests/sim/base/content.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/stx/disk.hpp"
#include "tests/sim/stx/receiving.hpp"
#include "tests/sim/stx/sending.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sealine::sim {

StxSetting::StxSetting() : engine(toy, book) {
  DiceRng rng(7);
  crypto::Psk secret;
  rng.fill(secret.writable());
  psk = std::make_shared<const crypto::Psk>(std::move(secret));
  auto config = std::make_shared<stx::ServerHandshakeConfig>();
  config->psks = {psk};
  server = config;
  small.resize(40);
  Content::fill(1, 0, small);
  large.resize(StxSource::kBlock + 30);
  Content::fill(2, 0, large);
  sparse.resize(2 * StxSource::kBlock + 30);
  Content::fill(3, 0, MutableBytes(sparse).subspan(2 * StxSource::kBlock));
}

std::vector<StxSource> StxSetting::transfer(std::size_t which, StxDisk& disk) const {
  const auto source = [](std::string name, Octets content) {
    StxSource made;
    made.name = std::move(name);
    made.content = std::move(content);
    return made;
  };
  std::vector<StxSource> sources;
  switch (which) {
    case 0:
      sources = {source("a", small)};
      break;
    case 1:
      sources = {source("a", small), source("b", {})};
      break;
    case 2:
      sources = {source("a", sparse)};
      sources[0].has_holes = true;
      break;
    case 3:
      sources = {source("a", small)};
      sources[0].is_stream = true;
      break;
    case 4:
      sources = {source("a", small)};
      sources[0].pack = {10, 30};
      break;
    case 5:
      sources = {source("a", large)};
      break;
    default: {  // the receiver has a part of it: the right one, or another
      sources = {source("a", large)};
      StxFile& file = disk[StxReceiving::file_name(kPeer, sources[0].meta())];
      file.block_log2 = StxSource::kBlockLog2;
      file.part = large;
      file.part.resize(StxSource::kBlock);
      if (which == 7) file.part[9] ^= 1;
      file.safe = file.part;
      file.have = 1;
      break;
    }
  }
  return sources;
}

}  // namespace sealine::sim
