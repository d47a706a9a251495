#include "tests/sim/stx/disk.hpp"

#include "sealine/base/bytes.hpp"
#include "tests/sim/base/dice.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace sealine::sim {

bool was_harmed = false;  ///< bits have rotted in it

void StxFile::write(std::size_t at, ByteView bytes) {
  if (part.size() < at + bytes.size()) part.resize(at + bytes.size());
  std::ranges::copy(bytes, part.begin() + static_cast<std::ptrdiff_t>(at));
  for (std::size_t k = at >> block_log2; k <= (at + bytes.size() - 1) >> block_log2; ++k) {
    dirty.insert(k);
  }
}

void StxFile::sync() {
  safe.resize(part.size());
  for (const std::size_t block : dirty) copy(block, part, safe);
  dirty.clear();
}

void StxFile::crash(Dice& dice) {
  if (is_pack && !is_finished) {
    part.clear();
    safe.clear();
  }
  for (const std::size_t block : dirty) {
    if (dice.chance(40)) continue;  // it made it
    if (dice.chance(50)) {
      copy(block, safe, part);  // as it was before; nothing where nothing was
      continue;
    }
    const std::size_t at = (block << block_log2) + (std::size_t{1} << (block_log2 - 1U));
    const std::size_t to = std::min(part.size(), (block + 1) << block_log2);
    for (std::size_t i = at; i < to; ++i) part[i] = i < safe.size() ? safe[i] : std::uint8_t{0};
  }
  if (dice.chance(30)) part.resize(std::min(part.size(), safe.size()));
  safe = part;
  dirty.clear();
}

void StxFile::copy(std::size_t block, const Octets& from, Octets& to) const {
  const std::size_t at = block << block_log2;
  const std::size_t end = std::min(to.size(), (block + 1) << block_log2);
  for (std::size_t i = at; i < end; ++i) to[i] = i < from.size() ? from[i] : std::uint8_t{0};
}

}  // namespace sealine::sim
