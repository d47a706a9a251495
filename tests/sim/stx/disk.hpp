#pragma once

#include "sealine/base/bytes.hpp"
#include "tests/sim/base/dice.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace sealine::sim {

using Octets = std::vector<std::uint8_t>;

/// What a receiver has on its disk under a name, and in its ledger.
struct StxFile {
  Octets part;                  ///< as it is now
  Octets safe;                  ///< as it is on stable storage
  std::set<std::size_t> dirty;  ///< blocks that differ between the two
  std::uint32_t have = 0;       ///< of the ledger
  std::uint8_t block_log2 = 0;
  std::int64_t mtime_ns = 0;
  bool is_pack = false;
  bool is_finished = false;
  bool was_harmed = false;  ///< bits have rotted in it

  void write(std::size_t at, ByteView bytes);
  /// All that was written is on stable storage.
  void sync();
  /// What was not synced is there, or not, or in part.
  void crash(Dice& dice);

 private:
  void copy(std::size_t block, const Octets& from, Octets& to) const;
};

/// The receive directory with its ledger; files by peer and name.
using StxDisk = std::map<std::string, StxFile>;

}  // namespace sealine::sim
