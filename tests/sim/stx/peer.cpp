#include "tests/sim/stx/peer.hpp"

#include "sealine/stx/handshake.hpp"
#include "tests/sim/base/content.hpp"
#include "tests/sim/base/dice.hpp"
#include "tests/sim/stx/lane.hpp"
#include "tests/sim/stx/receiving.hpp"
#include "tests/sim/stx/sending.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

namespace sealine::sim {

StxSource SourceMaker::draw(std::size_t number) {
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

void SourceMaker::fill(StxSource& source, std::size_t size) {
  source.content.resize(size);
  Content::fill(++contents_, 0, source.content);
}

void SourceMaker::empty(StxSource& source, std::uint32_t block) {
  const auto at = static_cast<std::ptrdiff_t>(block * StxSource::kBlock);
  const auto size = static_cast<std::ptrdiff_t>(source.block(block).size());
  std::fill_n(source.content.begin() + at, size, std::uint8_t{0});
}

}  // namespace sealine::sim
